package route

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// constant is a configured value and its place in every request.
type constant struct {
	place place
	// values are set if the field takes texts; a list may have several.
	values []protoreflect.Value
	// whole is set for all other fields: a message with only the place's last step set.
	whole protoreflect.Message
}

// put sets the constant in a request message.
func (c constant) put(m protoreflect.Message) {
	if c.whole != nil {
		merge(c.place.parent(m), c.whole)
	} else {
		c.place.put(m, c.values...)
	}
}

// parseConstant converts a configured value for a place by the rules of proto3 JSON.
func (b *Binder) parseConstant(p place, value any) (constant, error) {
	f := p.field()
	list, isList := value.([]any)

	switch {
	case value == nil && !takesNull(f):
		return constant{}, errors.New("must not be null; leave the key out")
	case p.repeated() && !isList:
		return constant{}, fmt.Errorf("want a list, got %s", describe(value))
	case value == nil || !takesText(f):
		whole, err := b.parseWhole(p, value)
		return constant{place: p, whole: whole}, err
	case !p.repeated() && isList:
		return constant{}, fmt.Errorf("want %s, got a list", wanted(f))
	case !isList:
		list = []any{value}
	}

	values := make([]protoreflect.Value, 0, len(list))

	for i, element := range list {
		v, err := parseElement(f, element)
		if err != nil && isList {
			return constant{}, fmt.Errorf("element %d: %w", i, err)
		}

		if err != nil {
			return constant{}, err
		}

		values = append(values, v)
	}
	return constant{place: p, values: values}, nil
}

// parseWhole converts a configured value through its JSON.
func (b *Binder) parseWhole(p place, value any) (protoreflect.Message, error) {
	text, err := constantJSON(value, 0)
	if err != nil {
		return nil, err
	}

	whole, err := b.readJSON(p, string(text), &spot{open: openness{all: true}}, fromRoute)
	if err != nil {
		return nil, err
	}

	if err := checkRequired(whole, p.last()); err != nil {
		return nil, err
	}
	return whole, nil
}

// checkRequired reports a required proto2 field that a constant's value lacks, since no request could
// supply it.
func checkRequired(whole protoreflect.Message, last step) error {
	v := whole.Get(last.field)
	if last.keyed {
		v = v.Map().Get(last.key)
	}

	m, ok := v.Interface().(protoreflect.Message)
	if !ok {
		return nil
	}

	if err := proto.CheckInitialized(m.Interface()); err != nil {
		return errors.New(protoText(err))
	}
	return nil
}

// constantJSON returns the JSON of a configured value. Numbers without a JSON form, such as infinity,
// become strings as in proto3 JSON.
func constantJSON(value any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}

	switch v := value.(type) {
	case nil:
		return []byte("null"), nil
	case []any:
		text := []byte{'['}

		for i, element := range v {
			part, err := constantJSON(element, depth+1)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}

			text = append(appendComma(text), part...)
		}
		return append(text, ']'), nil
	case map[string]any:
		text := []byte{'{'}

		for _, name := range slices.Sorted(maps.Keys(v)) {
			part, err := constantJSON(v[name], depth+1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", shown(name), err)
			}

			text = append(appendComma(text), quoteJSON(name)...)
			text = append(append(text, ':'), part...)
		}
		return append(text, '}'), nil
	default:
		text, form, err := scalarText(value)
		if err != nil {
			return nil, err
		}

		if form == jsonString || form == jsonNumber && !json.Valid([]byte(text)) {
			text = quoteJSON(text)
		}
		return []byte(text), nil
	}
}

// appendComma appends a comma if text already has an element.
func appendComma(text []byte) []byte {
	if len(text) > 1 {
		text = append(text, ',')
	}
	return text
}

// parseElement converts a configured scalar by the rules of proto3 JSON. A YAML string stands for a
// JSON string, so 5 is not a text and "true" is not a bool.
func parseElement(f protoreflect.FieldDescriptor, value any) (protoreflect.Value, error) {
	switch value.(type) {
	case []any, map[string]any:
		return protoreflect.Value{}, fmt.Errorf("want %s, got %s", wanted(f), describe(value))
	}

	text, form, err := scalarText(value)
	if err != nil {
		return protoreflect.Value{}, err
	}

	if !form.fits(f) {
		return protoreflect.Value{}, fmt.Errorf("want %s, got %s", wanted(f), describe(value))
	}
	return parseText(f, text)
}

// jsonForm is the kind of JSON scalar that a configured value becomes.
type jsonForm int

const (
	jsonString jsonForm = iota
	jsonNumber
	jsonBool
)

// fits reports whether proto3 JSON allows the form for the field.
func (form jsonForm) fits(f protoreflect.FieldDescriptor) bool {
	kind := f.Kind()
	if f.Message() != nil {
		switch scalarForm(f.Message()) {
		case boolForm:
			kind = protoreflect.BoolKind
		case numberForm, kindForm(protoreflect.Int32Kind), kindForm(protoreflect.Int64Kind),
			kindForm(protoreflect.Uint32Kind), kindForm(protoreflect.Uint64Kind):
			kind = protoreflect.DoubleKind
		default:
			kind = protoreflect.StringKind
		}
	}

	switch kind {
	case protoreflect.BoolKind:
		return form == jsonBool
	case protoreflect.StringKind, protoreflect.BytesKind:
		return form == jsonString
	default:
		return form != jsonBool
	}
}

// scalarText returns the JSON text of a configured scalar, a string without its quotes.
func scalarText(value any) (string, jsonForm, error) {
	switch v := value.(type) {
	case string:
		return v, jsonString, nil
	case bool:
		return strconv.FormatBool(v), jsonBool, nil
	case float32:
		return floatText(float64(v), 32), jsonNumber, nil
	case float64:
		return floatText(v, 64), jsonNumber, nil
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), jsonNumber, nil
	case json.Number:
		return v.String(), jsonNumber, nil
	case nil:
		return "", 0, errors.New("must not be null")
	default:
		return "", 0, errors.New("want a string, a number, true, false, null, or a list or a mapping of them")
	}
}

// floatText returns a float in proto3 JSON's form.
func floatText(v float64, bits int) string {
	switch text := strconv.FormatFloat(v, 'g', -1, bits); text {
	case "+Inf":
		return "Infinity"
	case "-Inf":
		return "-Infinity"
	default:
		return text
	}
}

// describe names a configured value for an error.
func describe(value any) string {
	switch v := value.(type) {
	case string:
		return "the string " + quoted(v)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	default:
		text, _, err := scalarText(value)
		if err != nil {
			return "something else"
		}
		return text
	}
}
