package site

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
)

// resumeSpec returns the route's configuration of opening at a cursor, nil if it has none.
func (c compiler) resumeSpec() *route.ResumeSpec {
	resume := c.route.Resume
	if resume == nil {
		return nil
	}
	return &route.ResumeSpec{Field: resume.Field, Offset: resume.Offset, Set: resume.Set}
}

// compileResume binds the route's resume to a schema.
func (c compiler) compileResume(b *Binding) error {
	if c.route.Resume == nil {
		return nil
	}
	if b.Binder != nil {
		b.Resume = b.Binder.Resume()
	}
	if b.Resume != nil && c.route.Resume.MaxAge != 0 && b.Resume.Kind() != route.CursorTimestamp {
		return config.Errorf("resume.max_age", "needs cursors that are google.protobuf.Timestamp, and %s is %s; write max_events instead",
			c.route.Resume.Field, b.Resume.Kind())
	}
	if err := c.checkCursors(b); err != nil {
		return err
	}
	if warning := c.warnOfStringIDs(b); warning != nil {
		b.Warnings = append(b.Warnings, warning)
	}
	path := c.route.Resume.Expired.Field
	if path == "" {
		return nil
	}
	message := b.Method.Output()
	for name := range strings.SplitSeq(path, ".") {
		var field protoreflect.FieldDescriptor
		if message != nil {
			field = message.Fields().ByName(protoreflect.Name(name))
		}
		if field == nil || field.Cardinality() == protoreflect.Repeated {
			return config.Errorf("resume.expired.field", "%s has no single field %s (at %q)", b.Method.Output().FullName(), path, name)
		}
		b.expired = append(b.expired, field)
		message = field.Message()
	}
	return nil
}

// checkCursors refuses an event.id whose type does not fit resume.field, since each client
// that reconnects would be sent a gap. Strings fit any type.
func (c compiler) checkCursors(b *Binding) error {
	if b.Resume == nil || b.Plan == nil {
		return nil
	}
	id := b.Plan.IDField()
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
	if takes := b.Resume.Kind(); takes != kind && takes != route.CursorString {
		return config.Errorf("resume.field", "%s is %s, and event.id %s is %s, which is never a value of it",
			c.route.Resume.Field, takes, *c.route.Event.ID, kind)
	}
	return nil
}

// warnOfStringIDs returns a warning if event.id is a string and resume.field is not. All
// strings may be values of resume.field, but usually event.id names a wrong field.
func (c compiler) warnOfStringIDs(b *Binding) *config.Error {
	if b.Resume == nil || b.Plan == nil || b.Resume.Kind() == route.CursorString {
		return nil
	}
	id := b.Plan.IDField()
	if id == nil || id.Kind() != protoreflect.StringKind {
		return nil
	}
	return config.Errorf("event.id", "%s is a string, and resume.field %s is %s: a client whose id is no value of it is answered stream-gap expired "+
		"after a restart of the bridge; name the field whose value %[2]s takes", *c.route.Event.ID, c.route.Resume.Field, b.Resume.Kind())
}

// SaysExpired reports whether a message of an RPC that was opened at a cursor says that the
// cursor is too old.
func (b *Binding) SaysExpired(wire []byte) (says bool) {
	if len(b.expired) == 0 {
		return false
	}
	// dynamicpb panics on some invalid messages. Package transcode reports those.
	defer func() {
		if recover() != nil {
			says = false
		}
	}()
	message := protoreflect.Message(dynamicpb.NewMessage(b.Method.Output()))
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
