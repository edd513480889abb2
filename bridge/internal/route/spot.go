package route

import (
	"fmt"
	"slices"
	"strings"
)

// spot is the position of the JSON reader in the message.
type spot struct {
	// up is the spot of the enclosing message, list or map; nil for the request.
	up *spot
	// written is the last part of the path in the client's spelling.
	written string
	// element is a list element's index plus 1, or 0 outside lists. It becomes text only in an error,
	// since a body may have thousands of elements.
	element int
	depth   int

	// The parts of the ledger and of the field sets at the spot. given is nil in lists and extensions:
	// the route's keys and the query cannot name anything there, so all of it is open and no other
	// source can set it.
	given  *ledger
	closed *fieldSet
	open   openness
}

// child returns the spot of a field or a map entry. written is the client's spelling, token the
// canonical one.
func (at *spot) child(written, token string) *spot {
	c := &spot{up: at, written: written, depth: at.depth + 1, open: at.open}

	if at.given != nil {
		c.given, c.closed, c.open = at.given.child(token), at.closed.child(token), at.open.child(token)
	}
	return c
}

// extension returns the spot of an extension, which no key of the route can name.
func (at *spot) extension(written string) *spot {
	return &spot{up: at, written: written, depth: at.depth + 1, open: openness{all: true}}
}

// item returns the spot of a list element.
func (at *spot) item(index int) *spot {
	return &spot{up: at, element: index + 1, depth: at.depth + 1, open: openness{all: true}}
}

// String returns the path of the spot in the client's spelling, each part cut.
func (at *spot) String() string {
	var parts []string
	for ; at.up != nil; at = at.up {
		if at.element > 0 {
			parts = append(parts, fmt.Sprintf("[%d]", at.element-1))
			continue
		}

		parts = append(parts, cut(at.written))
	}

	var b strings.Builder

	for _, part := range slices.Backward(parts) {
		if b.Len() > 0 && !strings.HasPrefix(part, "[") {
			b.WriteByte('.')
		}

		b.WriteString(part)
	}
	return b.String()
}

// failf returns a 400 that names the spot; at the top it is about the whole request.
func (at *spot) failf(format string, args ...any) error {
	if at.up == nil {
		return badRequest(format, args...)
	}
	return badField(at.String(), format, args...)
}

// give records the source of the value at the spot. It fails if the value was already given.
func (at *spot) give(from origin) error {
	if at.given == nil {
		return nil
	}

	switch at.given.from {
	case "":
		at.given.from = from
		return nil
	case from:
		return at.failf("it is given twice")
	default:
		return at.failf("it is given in both the query and the body")
	}
}

// fresh returns the spot with an empty ledger, for reading the same JSON again.
func (at *spot) fresh() *spot {
	again := *at
	if at.given != nil {
		again.given = &ledger{}
	}
	return &again
}
