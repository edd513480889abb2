package ssetest

import (
	"fmt"
	"strconv"
)

// Violation is a breach of ssebridge's wire contract. The stream may still be fine by the standard.
//
//nolint:errname // it is the contract's word, and what tests look for
type Violation struct {
	// Rule says what the contract wants, and what came instead.
	Rule string
	// Line is the line at which it showed, cut to a readable length; "" where no line is to blame.
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

// quoted shows bytes in one printable line of bounded length.
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
