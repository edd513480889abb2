package route

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// ResumeSpec says which fields ask the upstream to resume at a cursor. In a request with a cursor they
// override every other source. In a request without one they behave like other fields, except that
// Field is closed to the query and the body unless the route opens it by name.
type ResumeSpec struct {
	// Field is the path of the field for the cursor: a string, bytes, an integer, a
	// google.protobuf.Timestamp or a wrapper of one; neither repeated nor in a map.
	Field string
	// Offset is added to an integer cursor; other cursors allow no offset.
	Offset int64
	// Set has constants like those of [Spec], set only in requests with a cursor.
	Set map[string]any
}

// CursorKind is the type of a cursor's field.
type CursorKind int

// The kinds of cursors. Integers are of any width, signed or unsigned.
const (
	CursorString CursorKind = iota
	CursorBytes
	CursorInteger
	CursorTimestamp
)

// String names the kind for an error: "an integer".
func (k CursorKind) String() string {
	switch k {
	case CursorString:
		return "a string"
	case CursorBytes:
		return "bytes"
	case CursorInteger:
		return "an integer"
	case CursorTimestamp:
		return "a google.protobuf.Timestamp"
	default:
		return "unknown"
	}
}

// maxDigits is the length of the longest 64-bit integer.
const maxDigits = len("-9223372036854775808")

var (
	// errEmptyCursor reports an empty cursor; no event has an empty id.
	errEmptyCursor = errors.New("the cursor is empty")
	// errNoPresence reports a cursor that equals the default of a field without presence.
	errNoPresence = errors.New("in this field it is no cursor at all")
)

// Resume changes a request message so that it resumes at a cursor. It is immutable and safe for
// concurrent use.
type Resume struct {
	input  protoreflect.MessageDescriptor
	place  place
	kind   CursorKind
	offset *big.Int
	set    []constant
}

// CompileResume is Compile for a Spec with nothing but Resume.
func CompileResume(spec ResumeSpec, input protoreflect.MessageDescriptor, resolver Resolver) (*Resume, error) {
	b, err := Compile(Spec{Resume: &spec}, input, resolver)
	if err != nil {
		return nil, err
	}
	return b.Resume(), nil
}

// Kind returns the type of the field. The ids of the route's events must have it too.
func (r *Resume) Kind() CursorKind { return r.kind }

// Apply returns the wire bytes of request, a message from Bind, changed to resume at cursor. It
// replaces lists, maps and messages rather than merging them. Equal requests and cursors give equal
// bytes.
//
// The cursor is an event's id in the transcoder's form: a string unchanged, bytes in unpadded
// base64url, an integer in decimal, a Timestamp in its JSON form. Apply refuses other spellings, since
// two spellings of one cursor would not compare equal. An error means that the cursor, which a client
// may have made up, is not a value of the field; the error is safe to log.
func (r *Resume) Apply(request, cursor []byte) ([]byte, error) {
	v, err := r.parse(string(cursor))
	if err != nil {
		return nil, err
	}

	m := dynamicpb.NewMessage(r.input)
	if err := unmarshal(request, m); err != nil {
		return nil, fmt.Errorf("the request: %w", err)
	}

	for _, c := range r.set {
		c.place.clear(m)
		c.put(m)
	}

	r.place.put(m, v)

	wire, err := marshal(proto.MarshalOptions{AllowPartial: true}, m)
	if err != nil {
		return nil, fmt.Errorf("the cursor %s: %w", quoted(string(cursor)), err)
	}
	return wire, nil
}

// parse converts a cursor to a value of the field.
func (r *Resume) parse(cursor string) (protoreflect.Value, error) {
	text, ok := cursor, true

	switch r.kind {
	case CursorString:
		ok = utf8.ValidString(cursor)
	case CursorBytes:
		ok = canonicalBase64(cursor)
	case CursorInteger:
		text, ok = addOffset(cursor, r.offset)
	case CursorTimestamp:
		ok = canonicalTimestamp(r.place.field(), cursor)
	}

	switch {
	case cursor == "":
		return protoreflect.Value{}, errEmptyCursor
	case !ok:
		return protoreflect.Value{}, fmt.Errorf("the cursor %s is not %s", quoted(cursor), r.kind)
	}

	v, err := parseText(r.place.field(), text)
	if err != nil {
		return protoreflect.Value{}, fmt.Errorf("the cursor %s and the offset %s: %w", quoted(cursor), r.offset, err)
	}

	if f := r.place.field(); f.Message() == nil && !f.HasPresence() && v.Equal(f.Default()) {
		// The request would equal one without a cursor, which starts elsewhere.
		return protoreflect.Value{}, fmt.Errorf("the cursor %s and the offset %s: %w", quoted(cursor), r.offset, errNoPresence)
	}
	return v, nil
}

// addOffset adds the offset to an integer in strconv's decimal form. The sum may overflow the field.
func addOffset(cursor string, offset *big.Int) (string, bool) {
	if len(cursor) > maxDigits {
		return "", false
	}

	n, ok := new(big.Int).SetString(cursor, 10)
	if !ok || n.String() != cursor {
		return "", false
	}
	return n.Add(n, offset).String(), true
}

// canonicalBase64 reports whether a text is base64url in its only accepted form: no padding, line ends
// or stray bits.
func canonicalBase64(cursor string) bool {
	decoded, err := base64.RawURLEncoding.DecodeString(cursor)
	return err == nil && base64.RawURLEncoding.EncodeToString(decoded) == cursor
}

// canonicalTimestamp reports whether a text equals the JSON that protojson writes for a Timestamp: in
// UTC, with the shortest exact fraction.
func canonicalTimestamp(f protoreflect.FieldDescriptor, cursor string) bool {
	v, err := parseText(f, cursor)
	if err != nil {
		return false
	}

	text, err := protojson.Marshal(v.Message().Interface())
	return err == nil && string(text) == `"`+cursor+`"`
}

// Resume returns nil if the Spec has no Resume.
func (b *Binder) Resume() *Resume { return b.resume }

// bindResume compiles the fields for resuming. It binds them with a compiler of their own because they
// may override fields of other sources.
func (c *compiler) bindResume(spec *ResumeSpec) {
	if spec == nil {
		return
	}

	r := &Resume{input: c.binder.input, offset: big.NewInt(spec.Offset)}
	separate := compiler{binder: &Binder{input: c.binder.input, resolver: c.binder.resolver, closed: &fieldSet{}}}

	separate.bindCursor(r, spec)

	for _, path := range slices.Sorted(maps.Keys(spec.Set)) {
		if constant, ok := separate.bindConstant(keyOf("resume.set", path), path, spec.Set[path]); ok {
			r.set = append(r.set, constant)
		}
	}

	c.errs = append(c.errs, separate.errs...)
	c.binder.resume = r
}

// closeCursor closes the cursor's field to the query and the body, unless one of them lists it. A
// client gives its position by Last-Event-ID.
func (c *compiler) closeCursor(named ...Fields) {
	r := c.binder.resume
	if r == nil || len(r.place.steps) == 0 {
		return
	}

	tokens := r.place.tokens()

	for _, fields := range named {
		for _, path := range fields.Paths {
			if p, err := resolvePlace(c.binder.input, path); err == nil && slices.Equal(p.tokens(), tokens) {
				return
			}
		}
	}

	c.binder.closed.add(tokens, &membership{key: "resume.field", reason: "it is set by the route"})
}

// bindCursor binds the field for the cursor.
func (c *compiler) bindCursor(r *Resume, spec *ResumeSpec) {
	const key = "resume.field"

	p, ok := c.bind(key, spec.Field)
	if !ok {
		return
	}

	r.place = p

	if r.kind, ok = CursorKindOf(p.field()); !ok || p.keyed() {
		c.failf(key, "%s is %s; a cursor needs a field with a single string, bytes, integer or google.protobuf.Timestamp",
			shown(spec.Field), kindOf(p))
		return
	}

	if spec.Offset != 0 && r.kind != CursorInteger {
		c.failf("resume.offset", "only an integer takes an offset, and %s is %s", shown(spec.Field), r.kind)
	}
}

// CursorKindOf returns the cursor kind of a field, or false if the field cannot hold a cursor.
func CursorKindOf(f protoreflect.FieldDescriptor) (CursorKind, bool) {
	if f.IsList() || f.IsMap() {
		return 0, false
	}

	kind := f.Kind()

	if m := f.Message(); m != nil {
		switch name := m.FullName(); name {
		case "google.protobuf.Timestamp":
			return CursorTimestamp, true
		case "google.protobuf.StringValue", "google.protobuf.BytesValue", "google.protobuf.Int32Value",
			"google.protobuf.Int64Value", "google.protobuf.UInt32Value", "google.protobuf.UInt64Value":
			value := m.Fields().ByNumber(1)
			if value == nil {
				return 0, false
			}

			kind = value.Kind()
		default:
			return 0, false
		}
	}

	switch kind {
	case protoreflect.StringKind:
		return CursorString, true
	case protoreflect.BytesKind:
		return CursorBytes, true
	default:
		return CursorInteger, isInteger(kind)
	}
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
