package route

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// key reads a key of an object.
func (r *jsonReader) key() (string, error) {
	tok, err := r.token()
	if err != nil {
		return "", err
	}

	name, ok := tok.(string)
	if !ok {
		return "", badRequest("%s is not valid JSON after byte %d", r.whole, r.decoder.InputOffset())
	}
	return name, nil
}

// token reads a token.
func (r *jsonReader) token() (json.Token, error) {
	start := r.next()

	tok, err := r.decoder.Token()
	if err != nil {
		return nil, badRequest("%s is not valid JSON after byte %d", r.whole, r.decoder.InputOffset())
	}

	// encoding/json replaces a lone surrogate by U+FFFD, and protojson refuses it without a position.
	if _, ok := tok.(string); ok && hasLoneSurrogate(r.data[start:r.decoder.InputOffset()]) {
		return nil, badRequest("%s has half of a surrogate pair before byte %d", r.whole, r.decoder.InputOffset())
	}
	return tok, nil
}

// delimiterOf returns the first token of a well-known type's JSON, or nil if it may begin with several.
func delimiterOf(m protoreflect.MessageDescriptor) json.Token {
	switch m.FullName() {
	case "google.protobuf.Any", "google.protobuf.Struct":
		return json.Delim('{')
	case "google.protobuf.ListValue":
		return json.Delim('[')
	default:
		return nil
	}
}

// hasLoneSurrogate reports whether a valid JSON string escapes half of a UTF-16 surrogate pair.
func hasLoneSurrogate(raw []byte) bool {
	pending := false

	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			if pending {
				return true
			}
			continue
		}

		i++

		unit := 0
		if raw[i] == 'u' {
			// Valid JSON has four hexadecimal digits here.
			for _, digit := range raw[i+1 : i+5] {
				unit = unit<<4 | int(unhex(digit))
			}

			i += 4
		}

		low := 0xdc00 <= unit && unit < 0xe000
		if low != pending {
			return true
		}

		pending = 0xd800 <= unit && unit < 0xdc00
	}
	return pending
}

// next returns the offset of the next value.
func (r *jsonReader) next() int {
	rest := r.data[r.decoder.InputOffset():]
	return len(r.data) - len(bytes.TrimLeft(rest, " \t\r\n:,"))
}

// mismatchJSON returns an error with the value that the field wants and the JSON received.
func mismatchJSON(f protoreflect.FieldDescriptor, raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err == nil && len(raw) > 0 && raw[0] == '"' {
		return mismatch(f, text)
	}

	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return errors.New("want " + wanted(f))
	}

	switch value.(type) {
	case map[string]any:
		return fmt.Errorf("want %s, got an object", wanted(f))
	case []any:
		return fmt.Errorf("want %s, got an array", wanted(f))
	default:
		return fmt.Errorf("want %s, got %s", wanted(f), cut(string(raw)))
	}
}

// shape names a token for an error.
func shape(tok json.Token) string {
	switch v := tok.(type) {
	case nil:
		return "null"
	case json.Delim:
		if v == '[' {
			return "an array"
		}
		return "an object"
	case string:
		return quoted(v)
	default:
		return cut(fmt.Sprint(v))
	}
}
