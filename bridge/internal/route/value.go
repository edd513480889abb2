package route

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// A field that a single text cannot hold, such as a message, a map or a list of messages, takes JSON in
// the query, in a header and as a constant of the route. So a GET, and with it an EventSource, can open
// every RPC.

// isJSON reports whether a text for a field is JSON. A list takes its elements one by one as texts, or
// all together as a JSON array.
func isJSON(f protoreflect.FieldDescriptor, text string) bool {
	return !takesText(f) || f.IsList() && strings.HasPrefix(text, "[")
}

// jsonOf returns the complete JSON for a field's text. An empty text stands for an empty message, and a
// single element for a list of one.
func jsonOf(f protoreflect.FieldDescriptor, text string) string {
	switch {
	case f.IsMap():
		return text
	case f.IsList():
		if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") {
			return text
		}
		return "[" + text + "]"
	case text != "" || isAnyJSON(f.Message()):
		return text
	case delimiterOf(f.Message()) == json.Delim('['):
		return "[]"
	default:
		return "{}"
	}
}

// isAnyJSON reports whether any JSON value is the JSON of the message.
func isAnyJSON(m protoreflect.MessageDescriptor) bool {
	return m.FullName() == "google.protobuf.Value"
}

// readJSON reads a text as JSON for the place p, within the fields that the source may set at the spot.
// It returns a message of the type that contains the place's last step, with only that step set.
func (b *Binder) readJSON(p place, text string, at *spot, from origin) (protoreflect.Message, error) {
	f := p.field()

	if !utf8.ValidString(text) {
		return nil, at.failf("want valid UTF-8, got %s", quoted(text))
	}

	// Wrapping an element into a list is safe only if it is one JSON value.
	if whole := jsonOf(f, text); whole == text || f.IsList() {
		if err := checkJSON(text); err != nil {
			return nil, at.failf("%s", syntaxOf(f, err))
		}
	}

	data := []byte(jsonOf(f, text))

	if err := newJSONReader(b, data, "the value", from).readValue(f, at); err != nil {
		return nil, nameSpot(err, at)
	}

	// protojson reads only whole messages. Wrapping the text cannot set another field, since it is one
	// JSON value.
	prefix, suffix := "{"+quoteJSON(p.last().field.JSONName())+":", "}"
	if s := p.last(); s.keyed {
		prefix, suffix = prefix+"{"+quoteJSON(s.key.String())+":", suffix+"}"
	}

	m := dynamicpb.NewMessage(p.last().field.ContainingMessage())
	opts := protojson.UnmarshalOptions{AllowPartial: true, Resolver: b.resolver}

	if err := unmarshalJSON(opts, []byte(prefix+string(data)+suffix), m); err != nil {
		detail, offset := position(err, []byte(prefix+string(data)+suffix))
		again := at.fresh()

		r := newJSONReader(b, data, "the value", from)
		if found := r.locate(offset-len(prefix), func() error { return r.readValue(f, again) }); found != nil {
			return nil, found.explain(detail)
		}
		return nil, at.failf("%s", detail)
	}
	return m, nil
}

// checkJSON checks that a text is one JSON value.
func checkJSON(text string) error {
	var value json.RawMessage
	return json.Unmarshal([]byte(text), &value) //nolint:wrapcheck // the caller looks for its type
}

// syntaxOf describes the position at which a text stops being JSON.
func syntaxOf(f protoreflect.FieldDescriptor, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return "the value is not valid JSON"
	}

	hint := ""
	if takesText(f) {
		hint = "; what begins with [ is a JSON array, so a string that does is sent within one"
	}

	after := syntax.Offset - 1 // the last byte read is the wrong one
	if strings.Contains(syntax.Error(), "unexpected end") {
		after = syntax.Offset
	}
	return fmt.Sprintf("the value is not valid JSON after byte %d%s", after, hint)
}

// hintFor describes the values of a field if the text is obviously not its JSON; else it returns "".
func hintFor(f protoreflect.FieldDescriptor, name, text string) string {
	begins := strings.TrimLeft(text, " \t\r\n")

	switch m := f.Message(); {
	case strings.HasPrefix(begins, "{"), strings.HasPrefix(begins, "["), m != nil && isAnyJSON(m):
		return ""
	case f.IsMap():
		return fmt.Sprintf("it is a map: want its JSON object, or name a key, as in %s[key]=value", shown(name))
	case f.IsList():
		return "it is a list of objects: want each, or an array of all, as JSON"
	case text == "" || m == nil:
		return ""
	case isOpaque(m):
		return fmt.Sprintf("want %s as JSON, got %s", wantedMessage(m), quoted(text))
	case m.Fields().Len() == 0:
		return "it is an object without fields: want {} or nothing, got " + quoted(text)
	default:
		return "it is an object: want its JSON, or name one of its fields"
	}
}

// nameSpot adds the spot's name to an error about the JSON as a whole.
func nameSpot(err error, at *spot) error {
	var refused *Error
	if errors.As(err, &refused) && refused.Field == "" {
		return at.failf("%s", refused.Message)
	}
	return err
}

// merge adds the fields of src to dst, which has the same type. It appends to lists, adds entries to
// maps, and merges messages that both have, within maps too, where proto.Merge would replace them. Both
// messages share the added values afterwards.
func merge(dst, src protoreflect.Message) {
	src.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList():
			list := dst.Mutable(f).List()
			for i := range v.List().Len() {
				list.Append(v.List().Get(i))
			}
		case f.IsMap():
			mergeMap(f, dst.Mutable(f).Map(), v.Map())
		case f.Message() != nil && !isOpaque(f.Message()) && dst.Has(f):
			merge(dst.Mutable(f).Message(), v.Message())
		default:
			dst.Set(f, v)
		}
		return true
	})
}

func mergeMap(f protoreflect.FieldDescriptor, dst, src protoreflect.Map) {
	value := f.MapValue()

	src.Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
		if value.Message() != nil && !isOpaque(value.Message()) && dst.Has(key) {
			merge(dst.Mutable(key).Message(), v.Message())
		} else {
			dst.Set(key, v)
		}
		return true
	})
}
