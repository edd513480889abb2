package transcode

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// dataTap is the part of a message that is printed.
type dataTap struct {
	path  fieldPath
	field protoreflect.FieldDescriptor // nil if oneof is set
	oneof protoreflect.OneofDescriptor
}

func compileData(md protoreflect.MessageDescriptor, tap DataTap) (*dataTap, error) {
	path, field, oneof, err := resolveTap(md, tap.Field, tap.Oneof)
	if err != nil {
		return nil, err
	}

	t := &dataTap{path, field, oneof}
	if err := t.checkParent(); err != nil {
		return nil, err
	}
	return t, nil
}

// checkParent refuses a part of a message whose JSON is not an object of its fields: such a part has no
// JSON of its own.
func (t *dataTap) checkParent() error {
	var d protoreflect.Descriptor = t.field
	if t.oneof != nil {
		d = t.oneof
	}

	if parent := d.Parent().FullName(); specialJSON(parent) {
		return fmt.Errorf("%q is inside a %s, which can be taken only as a whole", d.Name(), parent)
	}
	return nil
}

// find returns the field to print and its message; nil means JSON null.
func (t *dataTap) find(msg protoreflect.Message) (protoreflect.Message, protoreflect.FieldDescriptor) {
	msg, ok := t.path.follow(msg)
	if !ok {
		return nil, nil
	}

	fd := t.field
	if fd == nil {
		fd = msg.WhichOneof(t.oneof)
	}

	if fd == nil || fd.HasPresence() && !msg.Has(fd) {
		return nil, nil
	}
	return msg, fd
}

// appendPart appends the JSON of the tapped part of a message of wireLen bytes. The first result is
// invalid after an error.
func (p *Plan) appendPart(dst []byte, msg protoreflect.Message, wireLen int) (out []byte, err error) {
	defer p.guard(&err)

	msg, fd := p.data.find(msg)
	if fd == nil {
		return append(dst, "null"...), nil
	}

	if s := p.survey(wireLen); s != nil {
		if err = s.value(fd, msg.Get(fd), 1); err != nil {
			return dst, err
		}
	}

	if fd.Cardinality() != protoreflect.Repeated && fd.Message() != nil {
		printed, err := p.appendProto(dst, msg.Get(fd).Message().Interface())
		if err != nil {
			return dst, err
		}
		return p.seal(printed, len(dst))
	}

	printed, err := p.appendProto(dst, oneField{msg, fd})
	if err != nil {
		return dst, err
	}
	return p.seal(unwrapField(printed, len(dst)), len(dst))
}

// oneField presents a message with a single field to protojson, so that protojson prints a list, a map
// or a scalar by the same code and options as within the message. All other fields claim to be set, so
// that none is printed as a default, and Range skips them.
type oneField struct {
	protoreflect.Message
	field protoreflect.FieldDescriptor
}

var _ proto.Message = oneField{}

func (o oneField) ProtoReflect() protoreflect.Message { return o }

func (o oneField) Interface() protoreflect.ProtoMessage { return o }

func (o oneField) Has(protoreflect.FieldDescriptor) bool { return true }

func (o oneField) Range(f func(protoreflect.FieldDescriptor, protoreflect.Value) bool) {
	f(o.field, o.Get(o.field))
}

// unwrapField replaces the `{"name":value}` after start by `value`, in place.
func unwrapField(buf []byte, start int) []byte {
	from := start + 1 + stringLen(buf[start+1:]) + 1 // brace, name, colon
	n := copy(buf[start:], buf[from:len(buf)-1])
	return buf[:start+n]
}
