package route

import (
	"fmt"
	"slices"
	"strings"
)

// spot is where in the message the reader of JSON is.
type spot struct {
	// up is the spot of the message, list or map around, nil for the request.
	up *spot
	// written is how the client wrote the last part of the way.
	written string
	// element counts the element of a list from 1; 0 is no element. It is written only
	// for an error, since a body may have thousands.
	element int
	depth   int

	// The parts of the message's sets at the spot. given is nil in lists and
	// extensions, which no key of the route and no query can name: such a spot is
	// open and has no other source.
	given  *ledger
	closed *fieldSet
	open   openness
}

// child returns the spot of a field or an entry, as the client wrote it and by
// its canonical token.
func (at *spot) child(written, token string) *spot {
	c := &spot{up: at, written: written, depth: at.depth + 1, open: at.open}

	if at.given != nil {
		c.given, c.closed, c.open = at.given.child(token), at.closed.child(token), at.open.child(token)
	}

	return c
}

// beyond returns the spot of what no key of the route can name.
func (at *spot) beyond(written string) *spot {
	return &spot{up: at, written: written, depth: at.depth + 1, open: openness{all: true}}
}

// item returns the spot of an element of a list.
func (at *spot) item(index int) *spot {
	return &spot{up: at, element: index + 1, depth: at.depth + 1, open: openness{all: true}}
}

// String returns the spot as the client would name it, each part cut.
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

// failf returns a 400 that names the spot, or the request as a whole at its top.
func (at *spot) failf(format string, args ...any) error {
	if at.up == nil {
		return badRequest(format, args...)
	}

	return badField(at.String(), format, args...)
}

// give notes that a source gives the value at the spot. Its error is that the value
// was given before.
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

// unread returns the spot as it was before anything was given there, to read the same
// JSON again.
func (at *spot) unread() *spot {
	again := *at
	if at.given != nil {
		again.given = &ledger{}
	}

	return &again
}
