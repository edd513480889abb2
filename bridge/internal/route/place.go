package route

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxDepth is how deep field paths, bodies and their messages may nest, of any type. Protobuf libraries
// of other languages refuse deeper messages.
const maxDepth = 100

// place is the position of a value in a message: a path through singular messages and map entries to a
// field or a map entry.
type place struct {
	steps []step
}

// step is a field, or an entry of a map field.
type step struct {
	field protoreflect.FieldDescriptor
	// key is the entry's key if keyed.
	key   protoreflect.MapKey
	keyed bool
}

// value returns the descriptor of the step's value: the field, or the map's value.
func (s *step) value() protoreflect.FieldDescriptor {
	if s.keyed {
		return s.field.MapValue()
	}
	return s.field
}

// tokens appends the step's canonical tokens: the field's proto name and the key.
func (s *step) tokens(dst []string) []string {
	dst = append(dst, string(s.field.Name()))
	if s.keyed {
		dst = append(dst, keyToken(s.key))
	}
	return dst
}

// keyToken returns the canonical token of a map key. Its brackets distinguish it from field names.
func keyToken(key protoreflect.MapKey) string {
	return "[" + strconv.Quote(key.String()) + "]"
}

// field returns the descriptor of the place's value.
func (p place) field() protoreflect.FieldDescriptor {
	last := p.last()
	return last.value()
}

// tokens returns the canonical spelling of the place.
func (p place) tokens() []string {
	var tokens []string
	for _, s := range p.steps {
		tokens = s.tokens(tokens)
	}
	return tokens
}

// keyed reports whether the place is a map entry or beneath one.
func (p place) keyed() bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return s.keyed })
}

// repeated reports whether the place takes a list.
func (p place) repeated() bool { return p.field().IsList() }

// last returns the last step of the place.
func (p place) last() step { return p.steps[len(p.steps)-1] }

// parent returns the message that contains the place's last step. It creates missing messages.
func (p place) parent(m protoreflect.Message) protoreflect.Message {
	for _, s := range p.steps[:len(p.steps)-1] {
		if s.keyed {
			m = m.Mutable(s.field).Map().Mutable(s.key).Message()
		} else {
			m = m.Mutable(s.field).Message()
		}
	}
	return m
}

// clear removes the value at the place.
func (p place) clear(m protoreflect.Message) {
	m, last := p.parent(m), p.last()
	if last.keyed {
		m.Mutable(last.field).Map().Clear(last.key)
	} else {
		m.Clear(last.field)
	}
}

// put sets the place's value, or appends the values if the place is repeated. The message keeps the
// values but does not modify them.
func (p place) put(m protoreflect.Message, values ...protoreflect.Value) {
	m, last := p.parent(m), p.last()

	switch {
	case last.keyed:
		m.Mutable(last.field).Map().Set(last.key, values[0])
	case last.field.IsList():
		list := m.Mutable(last.field).List()
		for _, v := range values {
			list.Append(v)
		}
	default:
		m.Set(last.field, values[0])
	}
}

// unknownFieldError reports a name in a field path that its message does not have.
type unknownFieldError struct {
	// message lacks the field; prefix is the part of the path that leads to message, as written.
	message protoreflect.MessageDescriptor
	prefix  string
	name    string
	// parent is the place of message; it has no steps for the request itself.
	parent place
}

func (e *unknownFieldError) Error() string { return "unknown field" }

// resolvePlace finds the place of a field path: fields by JSON or proto name, map entries as m.key or
// m[key]. Its errors do not repeat the path. A missing field is an *unknownFieldError.
func resolvePlace(input protoreflect.MessageDescriptor, path string) (place, error) {
	var (
		p       place
		message = input
		rest    = path
	)

	for {
		if len(p.steps) == maxDepth {
			return place{}, fmt.Errorf("nested deeper than %d", maxDepth)
		}

		name := rest[:indexAny(rest, ".[")]

		field := fieldByName(message, name)
		if field == nil {
			return place{}, &unknownFieldError{
				message: message, prefix: path[:len(path)-len(rest)], name: name, parent: p,
			}
		}

		s := step{field: field}

		var err error
		if rest, err = s.takeKey(rest[len(name):]); err != nil {
			return place{}, err
		}

		p.steps = append(p.steps, s)

		if rest == "" {
			return p, nil
		}

		if rest[0] != '.' {
			return place{}, fmt.Errorf("%s follows a whole name; a dot is expected", quoted(rest))
		}

		rest = rest[1:]
		if message = s.fields(); message == nil {
			return place{}, fmt.Errorf("%s has no fields to name", shown(name))
		}
	}
}

// takeKey reads the key that follows a map field's name and returns the rest of the path. A map field
// without a key stands for the whole map.
func (s *step) takeKey(rest string) (string, error) {
	bracketed := strings.HasPrefix(rest, "[")

	if !s.field.IsMap() {
		if bracketed {
			return "", fmt.Errorf("%s is no map, so it takes no key", s.field.Name())
		}
		return rest, nil
	}

	if rest == "" {
		return "", nil
	}

	key := rest[1:]

	if bracketed {
		end := strings.IndexByte(key, ']')
		if end < 0 {
			return "", errors.New("the bracket of the key is not closed")
		}

		key, rest = key[:end], key[end+1:]
	} else {
		key = key[:indexAny(key, ".")]
		rest = rest[1+len(key):]
	}

	var err error
	s.key, err = parseMapKey(s.field.MapKey(), key)
	s.keyed = true
	return rest, err
}

// fields returns the message whose fields a path can name beneath the step, or nil.
func (s *step) fields() protoreflect.MessageDescriptor {
	f := s.value()
	if f.Message() == nil || f.IsList() || f.IsMap() || isOpaque(f.Message()) {
		return nil
	}
	return f.Message()
}

// fieldByName finds a field by its JSON name, its proto name or, for groups, its text name.
func fieldByName(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	fields := m.Fields()
	if f := fields.ByJSONName(name); f != nil {
		return f
	}

	if f := fields.ByName(protoreflect.Name(name)); f != nil {
		return f
	}
	return fields.ByTextName(name)
}

// parseMapKey converts a map key from its JSON form, a string.
func parseMapKey(f protoreflect.FieldDescriptor, text string) (protoreflect.MapKey, error) {
	switch f.Kind() {
	case protoreflect.StringKind:
		if utf8.ValidString(text) {
			return protoreflect.ValueOfString(text).MapKey(), nil
		}
	case protoreflect.BoolKind:
		if text == "true" || text == "false" {
			return protoreflect.ValueOfBool(text == "true").MapKey(), nil
		}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			return protoreflect.ValueOfInt32(int32(n)).MapKey(), nil
		}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return protoreflect.ValueOfInt64(n).MapKey(), nil
		}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		if n, err := strconv.ParseUint(text, 10, 32); err == nil {
			return protoreflect.ValueOfUint32(uint32(n)).MapKey(), nil
		}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return protoreflect.ValueOfUint64(n).MapKey(), nil
		}
	default:
		// Map keys have no other kinds.
	}
	return protoreflect.MapKey{}, fmt.Errorf("the key %s is not %s", quoted(text), wanted(f))
}

// indexAny is strings.IndexAny, but returns the string's length if no character is found.
func indexAny(s, chars string) int {
	if at := strings.IndexAny(s, chars); at >= 0 {
		return at
	}
	return len(s)
}
