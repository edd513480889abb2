package bridge

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/upstream"
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
		Repeats:   e.route.Event.Cursor == config.CursorRepeats,
		Repeating: e.repeats.found.Load,
		Expired: func(err error) bool {
			endedHere := errors.Is(err, upstream.ErrMoved) || errors.Is(err, upstream.ErrIdle)
			return errors.Is(err, errNoCursor) || !endedHere && slices.Contains(resume.Expired.Codes, failure.CodeName(status.Code(err)))
		},
	}
	if b := e.bound.Load(); b != nil && b.resume != nil {
		switch b.resume.Kind() {
		case route.CursorInteger:
			rules.NotAfter = integerNotAfter
		case route.CursorTimestamp:
			rules.NotAfter = timestampNotAfter
		case route.CursorString, route.CursorBytes: // have no order
		}
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

// maxCatchUp returns how many missed events a client is sent; 0 is any number.
func (e *endpoint) maxCatchUp() uint64 {
	if e.route.Resume == nil {
		return 0
	}
	return uint64(e.route.Resume.MaxEvents) //nolint:gosec // not negative
}

// tooOld reports whether a cursor is older than resume.max_age.
func (e *endpoint) tooOld(cursor []byte) bool {
	if e.route.Resume == nil || e.route.Resume.MaxAge == 0 || cursor == nil {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, string(cursor))
	return err == nil && time.Since(at) > time.Duration(e.route.Resume.MaxAge)
}

// timestampNotAfter compares cursors that are timestamps, as JSON has them.
func timestampNotAfter(cursor, other []byte) bool {
	a, errA := time.Parse(time.RFC3339Nano, string(cursor))
	b, errB := time.Parse(time.RFC3339Nano, string(other))
	return errA == nil && errB == nil && !a.After(b)
}

// resumeSpec is what the route's configuration says about opening at a cursor.
func (e *endpoint) resumeSpec() *route.ResumeSpec {
	resume := e.route.Resume
	if resume == nil {
		return nil
	}
	return &route.ResumeSpec{Field: resume.Field, Offset: resume.Offset, Set: resume.Set}
}

// compileResume binds the route's resume to a schema.
func (e *endpoint) compileResume(b *binding) error {
	if e.route.Resume == nil {
		return nil
	}
	if b.binder != nil {
		b.resume = b.binder.Resume()
	}
	if b.resume != nil && e.route.Resume.MaxAge != 0 && b.resume.Kind() != route.CursorTimestamp {
		return config.Errorf("resume.max_age", "needs cursors that are google.protobuf.Timestamp, and %s is %s; write max_events instead",
			e.route.Resume.Field, b.resume.Kind())
	}
	if err := e.checkCursors(b); err != nil {
		return err
	}
	if warning := e.doubtCursors(b); warning != nil {
		b.warnings = append(b.warnings, warning)
	}
	path := e.route.Resume.Expired.Field
	if path == "" {
		return nil
	}
	message := b.method.Output()
	for name := range strings.SplitSeq(path, ".") {
		var field protoreflect.FieldDescriptor
		if message != nil {
			field = message.Fields().ByName(protoreflect.Name(name))
		}
		if field == nil || field.Cardinality() == protoreflect.Repeated {
			return config.Errorf("resume.expired.field", "%s has no single field %s (at %q)", b.method.Output().FullName(), path, name)
		}
		b.expired = append(b.expired, field)
		message = field.Message()
	}
	return nil
}

// checkCursors refuses ids that are never a value of the field that takes cursors:
// each client that comes back would be told a gap. A string may hold anything, and
// takes anything.
func (e *endpoint) checkCursors(b *binding) error {
	if b.resume == nil || b.plan == nil {
		return nil
	}
	id := b.plan.IDField()
	if id == nil || id.Kind() == protoreflect.StringKind {
		return nil
	}
	kind := route.CursorInteger
	switch {
	case id.Message() != nil:
		kind = route.CursorTimestamp
	case id.Kind() == protoreflect.BytesKind:
		kind = route.CursorBytes
	}
	if takes := b.resume.Kind(); takes != kind && takes != route.CursorString {
		return config.Errorf("resume.field", "%s is %s, and event.id %s is %s, which is never a value of it",
			e.route.Resume.Field, takes, *e.route.Event.ID, kind)
	}
	return nil
}

// doubtCursors warns of ids that are strings where the field that takes cursors is not
// one: the strings may all be values of it, but usually event.id names a wrong field. nil
// is no doubt.
func (e *endpoint) doubtCursors(b *binding) *config.Error {
	if b.resume == nil || b.plan == nil || b.resume.Kind() == route.CursorString {
		return nil
	}
	id := b.plan.IDField()
	if id == nil || id.Kind() != protoreflect.StringKind {
		return nil
	}
	return config.Errorf("event.id", "%s is a string, and resume.field %s is %s: a client whose id is no value of it is answered stream-gap expired "+
		"after a restart of the bridge; name the field whose value %[2]s takes", *e.route.Event.ID, e.route.Resume.Field, b.resume.Kind())
}

// saysExpired reports whether a message of an RPC that was opened at a cursor says
// that the cursor is too old.
func (b *binding) saysExpired(wire []byte) (says bool) {
	if len(b.expired) == 0 {
		return false
	}
	// dynamicpb panics on some bytes that are no message of the type; whether
	// they are one is transcode's to say.
	defer func() {
		if recover() != nil {
			says = false
		}
	}()
	message := protoreflect.Message(dynamicpb.NewMessage(b.method.Output()))
	if proto.Unmarshal(wire, message.Interface()) != nil {
		return false
	}
	for i, field := range b.expired {
		if !message.Has(field) {
			return false
		}
		if i < len(b.expired)-1 {
			message = message.Get(field).Message()
		}
	}
	return true
}
