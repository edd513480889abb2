package transcode

import (
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// nameTap reads an event's name from a field or from the set member of a oneof.
type nameTap struct {
	path  fieldPath
	field protoreflect.FieldDescriptor // nil if oneof is set
	oneof protoreflect.OneofDescriptor
}

// errBothTaps reports a tap with both a field and a oneof.
var errBothTaps = errors.New("field and oneof exclude each other")

// resolveTap finds a tap's field or oneof.
func resolveTap(md protoreflect.MessageDescriptor, field, oneof string) (
	path fieldPath, f protoreflect.FieldDescriptor, o protoreflect.OneofDescriptor, err error,
) {
	switch {
	case field != "" && oneof != "":
		err = errBothTaps
	case oneof != "":
		path, o, err = resolveOneof(md, oneof)
	default:
		path, f, err = resolveField(md, field)
	}
	return path, f, o, err
}

func compileName(md protoreflect.MessageDescriptor, tap NameTap) (*nameTap, error) {
	path, field, oneof, err := resolveTap(md, tap.Field, tap.Oneof)
	if err != nil {
		return nil, err
	}

	if field != nil && !namesEvents(field) {
		return nil, fmt.Errorf("%q in %s is %s; a name is a string, an enum, a bool or an integer",
			tap.Field, field.Parent().FullName(), kindText(field))
	}
	return &nameTap{path, field, oneof}, nil
}

func namesEvents(fd protoreflect.FieldDescriptor) bool {
	if fd.Cardinality() == protoreflect.Repeated {
		return false
	}

	switch fd.Kind() {
	case protoreflect.StringKind, protoreflect.EnumKind, protoreflect.BoolKind:
		return true
	default:
		return isInteger(fd.Kind())
	}
}

// append appends the name to dst and reports whether the message has one.
func (t *nameTap) append(dst []byte, msg protoreflect.Message) ([]byte, bool) {
	msg, ok := t.path.follow(msg)
	if !ok {
		return dst, false
	}

	if t.field == nil {
		member := msg.WhichOneof(t.oneof)
		if member == nil {
			return dst, false
		}
		return append(dst, member.Name()...), true
	}

	if t.field.HasPresence() && !msg.Has(t.field) {
		return dst, false
	}
	return t.appendValue(dst, msg.Get(t.field))
}

// appendValue appends the name for a value of the field and reports whether it is one.
func (t *nameTap) appendValue(dst []byte, value protoreflect.Value) ([]byte, bool) {
	switch x := value.Interface().(type) {
	case string:
		return append(dst, x...), x != ""
	case bool:
		return strconv.AppendBool(dst, x), true
	case protoreflect.EnumNumber:
		if value := t.field.Enum().Values().ByNumber(x); value != nil {
			return append(dst, value.Name()...), true
		}
		return strconv.AppendInt(dst, int64(x), 10), true
	default:
		return appendInteger(dst, x), true
	}
}

// constants returns the names that the type alone determines.
func (t *nameTap) constants() []string {
	var names []string

	switch {
	case t.oneof != nil:
		for fields, i := t.oneof.Fields(), 0; i < fields.Len(); i++ {
			names = append(names, string(fields.Get(i).Name()))
		}
	case t.field.Enum() != nil:
		values := t.field.Enum().Values()
		for i := range values.Len() {
			// The first of several aliases is the name.
			if value := values.Get(i); values.ByNumber(value.Number()) == value {
				names = append(names, string(value.Name()))
			}
		}
	case t.field.Kind() == protoreflect.BoolKind:
		names = []string{"false", "true"}
	}
	return names
}

// enumNumber returns an enum's number from its wire value.
func enumNumber(v uint64) protoreflect.EnumNumber {
	return protoreflect.EnumNumber(int32(v)) //nolint:gosec // the type's own truncation
}
