package route

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// jsonReader walks JSON along the descriptor of the message or field that it sets. It checks which
// fields the source may set and names the field in every error; protojson alone interprets values.
type jsonReader struct {
	binder  *Binder
	data    []byte
	decoder *json.Decoder

	// whole names the JSON text in errors: "the body", "the value".
	whole string
	from  origin

	// work is the cost of the messages and values read so far; see spend.
	work int

	// target is the offset that locate searches for, or -1.
	target int
	found  *locatedValue
}

// locatedValue is a value within the JSON.
type locatedValue struct {
	field protoreflect.FieldDescriptor
	at    *spot
	raw   []byte
}

// newJSONReader returns a reader for one pass over one JSON text.
func newJSONReader(b *Binder, data []byte, whole string, from origin) *jsonReader {
	r := &jsonReader{binder: b, data: data, decoder: json.NewDecoder(bytes.NewReader(data)), whole: whole, from: from, target: -1}
	r.decoder.UseNumber()
	return r
}

// locate returns the innermost value at an offset, or nil. read reads the JSON.
func (r *jsonReader) locate(offset int, read func() error) *locatedValue {
	r.target = offset
	if err := read(); err != nil {
		return nil
	}
	return r.found
}

// explain returns the error for a value that protojson refused.
func (v *locatedValue) explain(detail string) error {
	if v.field.Message() != nil && scalarForm(v.field.Message()) == "" {
		return v.at.failf("%s", detail)
	}
	return v.at.failf("%v", mismatchJSON(v.field, v.raw))
}

// readBody reads a body up to its end.
func (r *jsonReader) readBody(given *ledger) error {
	if err := r.readRequest(given); err != nil {
		return err
	}

	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return badRequest("something follows the JSON at byte %d of the body", r.decoder.InputOffset())
	}
	return nil
}

// readRequest reads a body as the JSON of the request message.
func (r *jsonReader) readRequest(given *ledger) error {
	top := &spot{given: given, closed: r.binder.closed, open: r.binder.body}

	tok, err := r.token()
	if err != nil {
		return err
	}

	if isOpaque(r.binder.input) {
		given.from = r.from
		return r.skip(tok, top)
	}

	if tok != json.Delim('{') {
		return badRequest("want an object as the body, got %s", shape(tok))
	}
	return r.readFields(r.binder.input, top)
}

// readValue reads the value of a field or of a map entry at a spot.
func (r *jsonReader) readValue(f protoreflect.FieldDescriptor, at *spot) error {
	start := r.next()

	tok, err := r.token()
	if err != nil {
		return err
	}

	err = r.readToken(f, tok, at)
	r.locateAt(f, at, start)
	return err
}

// readFields reads the rest of an object whose keys are a message's fields.
func (r *jsonReader) readFields(m protoreflect.MessageDescriptor, at *spot) error {
	if err := r.spend(messageWork); err != nil {
		return err
	}

	var seen map[protoreflect.FieldNumber]bool // made for the first field

	chosen := at.given

	for r.decoder.More() {
		if seen == nil {
			seen = make(map[protoreflect.FieldNumber]bool)
		}

		if chosen == nil {
			chosen = &ledger{}
		}

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

// resolve finds the field with a name and checks that the source may set it.
func (r *jsonReader) resolve(m protoreflect.MessageDescriptor, at *spot, name string) (protoreflect.FieldDescriptor, *spot, error) {
	f := fieldByName(m, name)

	if f == nil {
		child := at.extension(name)

		switch f = r.extension(m, name); {
		case f == nil:
			return nil, nil, child.failf("unknown field%s", didYouMean(suggest(m, at, name)))
		case !at.open.all:
			return nil, nil, child.failf("it is not open to the %s", r.from)
		default:
			return f, child, r.checkDepth(child)
		}
	}

	child := at.child(name, string(f.Name()))
	if by := child.closed.covered(); by != nil {
		return nil, nil, child.failf("%s", by.reason)
	}

	// If only a part of the field is open, its value must be an object.
	through := f.IsMap() || f.Message() != nil && !f.IsList() && !isOpaque(f.Message())
	if !child.open.all && (child.open.none() || !through) {
		return nil, nil, child.failf("it is not open to the %s", r.from)
	}
	return f, child, r.checkDepth(child)
}

// suggest returns the field nearest to name that is open to the source.
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

// extension finds the extension that a name in brackets refers to.
func (r *jsonReader) extension(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
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
func (r *jsonReader) readField(f protoreflect.FieldDescriptor, at *spot, chosen *ledger) error {
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

	err = r.readToken(f, tok, at)
	r.locateAt(f, at, start)
	return err
}

// readToken reads the rest of the value of a field or of a map entry.
func (r *jsonReader) readToken(f protoreflect.FieldDescriptor, tok json.Token, at *spot) error {
	switch {
	case f.IsList():
		return r.readList(f, tok, at)
	case f.IsMap():
		return r.readMap(f, tok, at)
	default:
		return r.readSingle(f, tok, at)
	}
}

// readElement reads an element of a list or a map.
func (r *jsonReader) readElement(f protoreflect.FieldDescriptor, at *spot) error {
	if err := r.checkDepth(at); err != nil {
		return err
	}

	start := r.next()

	tok, err := r.token()
	if err != nil {
		return err
	}

	err = r.readSingle(f, tok, at)
	r.locateAt(f, at, start)
	return err
}

// readList reads the rest of a list.
func (r *jsonReader) readList(f protoreflect.FieldDescriptor, tok json.Token, at *spot) error {
	if tok != json.Delim('[') {
		return at.failf("want an array, got %s", shape(tok))
	}

	if err := at.give(r.from); err != nil {
		return err
	}

	for i := 0; r.decoder.More(); i++ {
		if err := r.readElement(f, at.item(i)); err != nil {
			return err
		}
	}

	_, err := r.token()
	return err
}

// readMap reads the rest of a map.
func (r *jsonReader) readMap(f protoreflect.FieldDescriptor, tok json.Token, at *spot) error {
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
			return entry.failf("it is not open to the %s", r.from)
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

// readSingle reads the rest of a value that is neither a list nor a map.
func (r *jsonReader) readSingle(f protoreflect.FieldDescriptor, tok json.Token, at *spot) error {
	_, composite := tok.(json.Delim)

	switch m := f.Message(); {
	case m != nil && isOpaque(m):
		if want := delimiterOf(m); want != nil && tok != want {
			return at.failf("want %s, got %s", wantedMessage(m), shape(tok))
		}

		if err := at.give(r.from); err != nil {
			return err
		}
		return r.skip(tok, at)
	case m == nil && composite:
		return at.failf("want %s, got %s", wanted(f), shape(tok))
	case m == nil:
		return at.give(r.from)
	case tok != json.Delim('{'):
		return at.failf("want an object, got %s", shape(tok))
	default:
		return r.readFields(m, at)
	}
}

// skip reads the rest of a value without named fields.
func (r *jsonReader) skip(tok json.Token, at *spot) error {
	var inside []json.Token // the open objects and arrays

	for {
		work := messageWork
		if n := len(inside); n > 0 && inside[n-1] == json.Delim('{') {
			work = messageWork / 2 // a key, or its value
		}

		switch tok {
		case json.Delim('{'), json.Delim('['):
			inside = append(inside, tok)
		case json.Delim('}'), json.Delim(']'):
			inside, work = inside[:len(inside)-1], 0
		}

		if err := r.spend(work); err != nil {
			return err
		}

		depth := len(inside)
		if depth == 0 {
			return nil
		}

		if at.depth+depth > maxDepth {
			return r.tooDeep()
		}

		var err error
		if tok, err = r.token(); err != nil {
			return err
		}
	}
}

const (
	// messageWork is the cost of a message, and of a value within a Struct, which becomes a message
	// too: about 3 µs. A byte of JSON takes less than 0.1 µs.
	messageWork = 2
	// freeWork is the cost that a JSON text of any size may have. A longer text may have one message
	// for every eight bytes.
	freeWork = 8192 * messageWork
)

// spend adds work and refuses a text that costs too much. Without the limit a text of 56 KB could name
// 18,000 messages of 3 bytes each.
func (r *jsonReader) spend(work int) error {
	if r.work += work; r.work > max(freeWork, len(r.data)/8*messageWork) {
		return &Error{
			Status:  http.StatusRequestEntityTooLarge,
			Message: fmt.Sprintf("%s has more than %d objects and values", r.whole, max(freeWork/messageWork, len(r.data)/8)),
		}
	}
	return nil
}

// checkDepth refuses a value that is nested too deep.
func (r *jsonReader) checkDepth(at *spot) error {
	if at.depth > maxDepth {
		return r.tooDeep()
	}
	return nil
}

func (r *jsonReader) tooDeep() error {
	return badRequest("%s is nested deeper than %d", r.whole, maxDepth)
}

// locateAt remembers the value just read if it is the innermost one at the target.
func (r *jsonReader) locateAt(f protoreflect.FieldDescriptor, at *spot, start int) {
	if end := int(r.decoder.InputOffset()); r.found == nil && start <= r.target && r.target < end {
		r.found = &locatedValue{field: f, at: at, raw: r.data[start:end]}
	}
}
