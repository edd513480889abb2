package ssetest

import (
	"fmt"
	"strconv"
)

// Violation is a violation of ssebridge's wire contract. The stream may still be valid by the standard.
//
//nolint:errname // Violation is the contract's own term
type Violation struct {
	// Rule is the violated rule, and what the stream has instead.
	Rule string
	// Line is the offending line, cut to a readable length; "" if there is none.
	Line string
}

func (v *Violation) Error() string {
	if v.Line == "" {
		return "ssetest: " + v.Rule
	}
	return "ssetest: " + v.Rule + ", at " + v.Line
}

func violation(line []byte, format string, args ...any) *Violation {
	return &Violation{Rule: fmt.Sprintf(format, args...), Line: quoted(line)}
}

// quoted formats bytes as one printable line of bounded length.
func quoted(b []byte) string {
	const most = 300

	switch {
	case len(b) == 0:
		return ""
	case len(b) > most:
		return strconv.Quote(string(b[:most])) + fmt.Sprintf("… (%d bytes)", len(b))
	default:
		return strconv.Quote(string(b))
	}
}
