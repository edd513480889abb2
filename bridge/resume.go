package bridge

import (
	"errors"
	"slices"
	"strconv"

	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// errNoCursor says that an id is no value of the field that takes cursors: a
// client made it up, and the backend need not be asked.
var errNoCursor = errors.New("the id is no cursor of this route")

// cursors are the rules by which the route's RPCs are opened at a cursor; nil
// where they cannot be.
func (e *endpoint) cursors() *topic.Cursors {
	resume := e.route.Resume
	if resume == nil {
		return nil
	}
	rules := &topic.Cursors{
		Inclusive: resume.Inclusive,
		Repeats:   e.route.Event.Cursor == "repeats",
		Expired: func(err error) bool {
			return errors.Is(err, errNoCursor) || slices.Contains(resume.Expired.Codes, statusName(status.Code(err)))
		},
	}
	if b := e.bound.Load(); b != nil && b.resume != nil && b.resume.Integer() {
		rules.NotAfter = integerNotAfter
	}
	return rules
}

// integerNotAfter compares cursors that are integers in decimal.
func integerNotAfter(cursor, other []byte) bool {
	if a, err := strconv.ParseInt(string(cursor), 10, 64); err == nil {
		b, err := strconv.ParseInt(string(other), 10, 64)
		return err == nil && a <= b
	}
	a, errA := strconv.ParseUint(string(cursor), 10, 64)
	b, errB := strconv.ParseUint(string(other), 10, 64)
	return errA == nil && errB == nil && a <= b
}

// resumeSpec is what the route's configuration says about opening at a cursor.
func (e *endpoint) resumeSpec() route.ResumeSpec {
	resume := e.route.Resume
	return route.ResumeSpec{Field: resume.Field, Offset: resume.Offset, Set: resume.Set}
}

// resumeFields are the field paths that only the bridge sets.
func (e *endpoint) resumeFields() []string {
	if e.route.Resume == nil {
		return nil
	}
	fields := []string{e.route.Resume.Field}
	for field := range e.route.Resume.Set {
		fields = append(fields, field)
	}
	slices.Sort(fields)
	return fields
}
