package route

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// parseText converts a text from a query, a path or a header to a value of the field, or to an element
// of a repeated field. Texts are proto3 JSON scalars without quotes.
func parseText(f protoreflect.FieldDescriptor, text string) (protoreflect.Value, error) {
	if !utf8.ValidString(text) {
		return protoreflect.Value{}, fmt.Errorf("want valid UTF-8, got %s", quoted(text))
	}

	var (
		v  protoreflect.Value
		ok bool
	)

	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), nil
	case protoreflect.BoolKind:
		v, ok = protoreflect.ValueOfBool(text == "true"), text == "true" || text == "false"
	case protoreflect.EnumKind:
		v, ok = parseEnum(f.Enum(), text)
	case protoreflect.MessageKind, protoreflect.GroupKind:
		v, ok = parseMessage(f.Message(), text)
	default:
		v, ok = parseWrapped(f.Kind(), text)
	}

	if !ok {
		return protoreflect.Value{}, mismatch(f, text)
	}
	return v, nil
}

// mismatch returns an error with the value that the field wants and the text received.
func mismatch(f protoreflect.FieldDescriptor, text string) error {
	if f.Enum() == nil {
		return fmt.Errorf("want %s, got %s", wanted(f), quoted(text))
	}
	return fmt.Errorf("want %s, got %s%s", wanted(f), quoted(text), didYouMean(nearestValue(f.Enum(), text)))
}

// parseEnum converts an enum value's name or number. An open enum takes any number.
func parseEnum(e protoreflect.EnumDescriptor, text string) (protoreflect.Value, bool) {
	if v := e.Values().ByName(protoreflect.Name(text)); v != nil {
		return protoreflect.ValueOfEnum(v.Number()), true
	}

	number, ok := parseWrapped(protoreflect.Int32Kind, text)
	if !ok {
		return protoreflect.Value{}, false
	}

	n := protoreflect.EnumNumber(number.Int()) //nolint:gosec // parsed as an int32
	return protoreflect.ValueOfEnum(n), !e.IsClosed() || e.Values().ByNumber(n) != nil
}

// parseMessage converts the text of a well-known type whose JSON is a scalar.
func parseMessage(m protoreflect.MessageDescriptor, text string) (protoreflect.Value, bool) {
	switch scalarForm(m) {
	case "":
		return protoreflect.Value{}, false
	case boolForm:
		if text != "true" && text != "false" {
			return protoreflect.Value{}, false
		}
	default:
		text = quoteJSON(text)
	}

	message := dynamicpb.NewMessage(m)
	if err := unmarshalJSON(protojson.UnmarshalOptions{}, []byte(text), message); err != nil {
		return protoreflect.Value{}, false
	}
	return protoreflect.ValueOfMessage(message), true
}

// parseWrapped converts numbers and bytes through the wrapper message of their kind, so that exponents,
// NaN and both base64 alphabets parse exactly as in protojson.
func parseWrapped(kind protoreflect.Kind, text string) (protoreflect.Value, bool) {
	var wrapper proto.Message

	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		if v, ok := parseShort(text); ok {
			return protoreflect.ValueOfInt32(v), true
		}

		wrapper = &wrapperspb.Int32Value{}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		if v, ok := parseShort(text); ok {
			return protoreflect.ValueOfInt64(int64(v)), true
		}

		wrapper = &wrapperspb.Int64Value{}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		wrapper = &wrapperspb.UInt32Value{}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		wrapper = &wrapperspb.UInt64Value{}
	case protoreflect.FloatKind:
		wrapper = &wrapperspb.FloatValue{}
	case protoreflect.DoubleKind:
		wrapper = &wrapperspb.DoubleValue{}
	case protoreflect.BytesKind:
		wrapper = &wrapperspb.BytesValue{}
	default:
		return protoreflect.Value{}, false
	}

	if err := unmarshalJSON(protojson.UnmarshalOptions{}, []byte(quoteJSON(text)), wrapper); err != nil {
		return protoreflect.Value{}, false
	}

	m := wrapper.ProtoReflect()
	return m.Get(m.Descriptor().Fields().ByName("value")), true
}

// parseShort is the fast path for small integers: digits without a leading zero, too few to overflow.
func parseShort(text string) (int32, bool) {
	if text == "" || len(text) > len("999999999") || text[0] == '0' && text != "0" {
		return 0, false
	}

	var n int32

	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}

		n = 10*n + int32(text[i]-'0')
	}
	return n, true
}

// quoteJSON returns valid UTF-8 as a JSON string.
func quoteJSON(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(b)
}

// unmarshalJSON is protojson.Unmarshal. It recovers from panics: dynamic messages panic on some inputs
// that generated ones refuse.
func unmarshalJSON(opts protojson.UnmarshalOptions, data []byte, m proto.Message) (err error) {
	defer func() {
		if recover() != nil {
			err = errUnreadable
		}
	}()

	if err := opts.Unmarshal(data, m); err != nil {
		return fmt.Errorf("protojson: %w", err)
	}
	return nil
}
