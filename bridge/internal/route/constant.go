package route

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// constant is a place and the values that each request has there.
type constant struct {
	place  place
	values []protoreflect.Value
}

// parseConstant converts a configured value to the values of a place.
func parseConstant(p place, value any) ([]protoreflect.Value, error) {
	f := p.field()

	if !takesText(f) {
		return nil, fmt.Errorf("the field is %s, which a constant cannot be", kindOf(p))
	}

	list, isList := value.([]any)

	switch {
	case p.repeated() && !isList:
		return nil, fmt.Errorf("want a list, got %s", describe(value))
	case !p.repeated() && isList:
		return nil, fmt.Errorf("want %s, got a list", wanted(f))
	case !isList:
		list = []any{value}
	}

	values := make([]protoreflect.Value, 0, len(list))

	for i, element := range list {
		v, err := parseElement(f, element)
		if err != nil && isList {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}

		if err != nil {
			return nil, err
		}

		values = append(values, v)
	}

	return values, nil
}

// parseElement converts a configured scalar as proto3 JSON does: a YAML string
// stands for a JSON string, and so on, so that 5 is no text and "true" no bool.
func parseElement(f protoreflect.FieldDescriptor, value any) (protoreflect.Value, error) {
	text, form, err := scalarText(value)
	if err != nil {
		return protoreflect.Value{}, err
	}

	if !form.fits(f) {
		return protoreflect.Value{}, fmt.Errorf("want %s, got %s", wanted(f), describe(value))
	}

	return parseText(f, text)
}

// jsonForm is what kind of JSON scalar a configured value is.
type jsonForm int

const (
	jsonString jsonForm = iota
	jsonNumber
	jsonBool
)

// fits reports whether proto3 JSON may write a value of the field in the form.
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

// scalarText returns a configured scalar as the text of its JSON.
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
		return "", 0, errors.New("want a string, a number, true, false or a list of them")
	}
}

// floatText returns a float as proto3 JSON writes it.
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

// describe names a configured value for a message.
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
