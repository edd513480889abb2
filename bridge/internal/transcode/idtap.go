package transcode

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// idTap reads a message's id.
type idTap struct {
	path  fieldPath
	field protoreflect.FieldDescriptor
}

func compileID(md protoreflect.MessageDescriptor, path string) (*idTap, error) {
	f, fd, err := resolveField(md, path)
	if err != nil {
		return nil, err
	}

	switch {
	case fd.IsMap():
	case fd.Message() != nil && fd.Message().FullName() == timestampName,
		fd.Kind() == protoreflect.StringKind, fd.Kind() == protoreflect.BytesKind, isInteger(fd.Kind()):
		return &idTap{path: f, field: fd}, nil
	}
	return nil, fmt.Errorf("%q in %s is %s; an id is a string, bytes, an integer or a %s",
		path, fd.Parent().FullName(), kindText(fd), timestampName)
}

// append appends the id's text to dst and reports whether the message has an id. Its errors are
// protojson's.
func (t *idTap) append(dst []byte, msg protoreflect.Message) ([]byte, bool, error) {
	msg, ok := t.path.follow(msg)
	if !ok || !msg.Has(t.field) {
		return dst, false, nil
	}

	v := msg.Get(t.field)
	if t.field.IsList() {
		v = v.List().Get(v.List().Len() - 1)
	}

	if t.field.Message() != nil {
		return appendTimestamp(dst, v.Message())
	}

	start := len(dst)

	switch x := v.Interface().(type) {
	case string:
		dst = append(dst, x...)
	case []byte:
		dst = base64.RawURLEncoding.AppendEncode(dst, x)
	default:
		if isZero(x) && !t.field.HasPresence() {
			return dst, false, nil
		}

		dst = appendInteger(dst, x)
	}
	return dst, len(dst) > start, nil
}

// appendTimestamp appends a Timestamp in its JSON form, without the quotes.
func appendTimestamp(dst []byte, msg protoreflect.Message) ([]byte, bool, error) {
	start := len(dst)

	out, err := protojson.MarshalOptions{}.MarshalAppend(dst, msg.Interface())
	if err != nil {
		return dst, false, fmt.Errorf("id: %w", err)
	}

	n := copy(out[start:], out[start+1:len(out)-1])
	return out[:start+n], true, nil
}

func isInteger(kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return true
	default:
		return false
	}
}

// isZero reports whether protoreflect's value of an integer field is 0.
func isZero(x any) bool {
	switch x := x.(type) {
	case int32:
		return x == 0
	case int64:
		return x == 0
	case uint32:
		return x == 0
	case uint64:
		return x == 0
	default:
		return false
	}
}

// appendInteger appends an integer field's value in decimal.
func appendInteger(dst []byte, x any) []byte {
	switch x := x.(type) {
	case int32:
		return strconv.AppendInt(dst, int64(x), 10)
	case int64:
		return strconv.AppendInt(dst, x, 10)
	case uint32:
		return strconv.AppendUint(dst, uint64(x), 10)
	case uint64:
		return strconv.AppendUint(dst, x, 10)
	default:
		return dst
	}
}
