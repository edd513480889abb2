package route

import (
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// bodyReader reads a body along the message's descriptor.
type bodyReader struct {
	binder  *Binder
	data    []byte
	decoder *json.Decoder
	given   *ledger

	// target is the offset to locate, -1 for none.
	target int
	found  *locatedValue
}

// locatedValue is a value of the body.
type locatedValue struct {
	field protoreflect.FieldDescriptor
	at    *spot
	raw   []byte
}

// readTop reads the body's value.
func (r *bodyReader) readTop() error {
	top := &spot{given: r.given, closed: r.binder.closed, open: r.binder.body}

	tok, err := r.token()
	if err != nil {
		return err
	}

	if isOpaque(r.binder.input) {
		r.given.from = fromBody

		return r.skip(tok, top)
	}

	if tok != json.Delim('{') {
		return badRequest("want an object as the body, got %s", shape(tok))
	}

	return r.readFields(r.binder.input, top)
}

// readFields reads the rest of an object whose names are a message's fields.
func (r *bodyReader) readFields(m protoreflect.MessageDescriptor, at *spot) error {
	seen := make(map[protoreflect.FieldNumber]bool)

	chosen := at.given
	if chosen == nil {
		chosen = &ledger{}
	}

	for r.decoder.More() {
		name, err := r.key()
		if err != nil {
			return err
		}

		f, child, err := r.resolve(m, at, name)
		if err != nil {
			return err
		}

		if seen[f.Number()] {
			return child.failf("it is given twice")
		}

		seen[f.Number()] = true

		if err := r.readField(f, child, chosen); err != nil {
			return err
		}
	}

	_, err := r.token()

	return err
}

// resolve finds the field of a name and checks that it is open to the body.
func (r *bodyReader) resolve(m protoreflect.MessageDescriptor, at *spot, name string) (protoreflect.FieldDescriptor, *spot, error) {
	f := fieldByName(m, name)

	if f == nil {
		child := at.beyond(name)

		switch f = r.extension(m, name); {
		case f == nil:
			return nil, nil, child.failf("unknown field%s", didYouMean(suggest(m, at, name)))
		case !at.open.all:
			return nil, nil, child.failf("it is not open to the body")
		default:
			return f, child, child.checkDepth()
		}
	}

	child := at.child(name, string(f.Name()))
	if by := child.closed.covered(); by != nil {
		return nil, nil, child.failf("%s", by.reason)
	}

	// Where only a part is open, the way there leads through objects alone.
	through := f.IsMap() || f.Message() != nil && !f.IsList() && !isOpaque(f.Message())
	if !child.open.all && (child.open.none() || !through) {
		return nil, nil, child.failf("it is not open to the body")
	}

	return f, child, child.checkDepth()
}

// suggest returns the name that was probably meant, of those open to the body.
func suggest(m protoreflect.MessageDescriptor, at *spot, name string) string {
	near := nearestField(m, name, func(f protoreflect.FieldDescriptor) bool {
		token := string(f.Name())

		return !at.open.child(token).none() && at.closed.child(token).covered() == nil
	})
	if near == "" || at.up == nil {
		return near
	}

	return at.String() + "." + near
}

// extension finds the extension of a name in brackets.
func (r *bodyReader) extension(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if !strings.HasPrefix(name, "[") || !strings.HasSuffix(name, "]") {
		return nil
	}

	full := protoreflect.FullName(name[1 : len(name)-1])
	if !full.IsValid() {
		return nil
	}

	x, err := r.binder.resolver.FindExtensionByName(full)
	if err != nil || x == nil || x.TypeDescriptor().ContainingMessage().FullName() != m.FullName() {
		return nil
	}

	return x.TypeDescriptor()
}

// readField reads the value of a message's field.
func (r *bodyReader) readField(f protoreflect.FieldDescriptor, at *spot, chosen *ledger) error {
	start := r.next()

	tok, err := r.token()
	if err != nil {
		return err
	}

	if tok == nil && !takesNull(f) {
		return nil
	}

	if err := chosen.choose(f, at); err != nil {
		return err
	}

	switch {
	case f.IsList():
		err = r.readList(f, tok, at)
	case f.IsMap():
		err = r.readMap(f, tok, at)
	default:
		err = r.readSingle(f, tok, at)
	}

	r.mark(f, at, start)

	return err
}

// readElement reads an element of a list or a map.
func (r *bodyReader) readElement(f protoreflect.FieldDescriptor, at *spot) error {
	if err := at.checkDepth(); err != nil {
		return err
	}

	start := r.next()

	tok, err := r.token()
	if err != nil {
		return err
	}

	err = r.readSingle(f, tok, at)
	r.mark(f, at, start)

	return err
}

// readList reads the rest of a list, of which the elements are not told apart.
func (r *bodyReader) readList(f protoreflect.FieldDescriptor, tok json.Token, at *spot) error {
	if tok != json.Delim('[') {
		return at.failf("want an array, got %s", shape(tok))
	}

	at.give()

	for i := 0; r.decoder.More(); i++ {
		if err := r.readElement(f, at.beyond(fmt.Sprintf("[%d]", i))); err != nil {
			return err
		}
	}

	_, err := r.token()

	return err
}

// readMap reads the rest of a map.
func (r *bodyReader) readMap(f protoreflect.FieldDescriptor, tok json.Token, at *spot) error {
	if tok != json.Delim('{') {
		return at.failf("want an object, got %s", shape(tok))
	}

	seen := make(map[string]bool)

	for r.decoder.More() {
		name, err := r.key()
		if err != nil {
			return err
		}

		key, err := parseMapKey(f.MapKey(), name)
		if err != nil {
			return at.failf("%v", err)
		}

		entry := at.child("["+name+"]", keyToken(key))

		switch by := entry.closed.covered(); {
		case by != nil:
			return entry.failf("%s", by.reason)
		case entry.open.none():
			return entry.failf("it is not open to the body")
		case seen[keyToken(key)]:
			return entry.failf("it is given twice")
		}

		seen[keyToken(key)] = true

		if err := r.readElement(f.MapValue(), entry); err != nil {
			return err
		}
	}

	_, err := r.token()

	return err
}

// readSingle reads the rest of a value that is no list and no map.
func (r *bodyReader) readSingle(f protoreflect.FieldDescriptor, tok json.Token, at *spot) error {
	_, composite := tok.(json.Delim)

	switch m := f.Message(); {
	case m != nil && isOpaque(m):
		if want := delimiterOf(m); want != nil && tok != want {
			return at.failf("want %s, got %s", wantedMessage(m), shape(tok))
		}

		at.give()

		return r.skip(tok, at)
	case m == nil && composite:
		return at.failf("want %s, got %s", wanted(f), shape(tok))
	case m == nil:
		at.give()

		return nil
	case tok != json.Delim('{'):
		return at.failf("want an object, got %s", shape(tok))
	default:
		return r.readFields(m, at)
	}
}

// skip reads the rest of a value that has no fields to name.
func (r *bodyReader) skip(tok json.Token, at *spot) error {
	for depth := 0; ; {
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}

		if depth == 0 {
			return nil
		}

		if at.depth+depth > maxDepth {
			return badRequest("the body is nested deeper than %d", maxDepth)
		}

		var err error
		if tok, err = r.token(); err != nil {
			return err
		}
	}
}

// mark keeps a value that was just read, if it is the innermost at the target.
func (r *bodyReader) mark(f protoreflect.FieldDescriptor, at *spot, start int) {
	if end := int(r.decoder.InputOffset()); r.found == nil && start <= r.target && r.target < end {
		r.found = &locatedValue{field: f, at: at, raw: r.data[start:end]}
	}
}
