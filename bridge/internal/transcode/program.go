package transcode

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// table is a message type compiled for one set of options: the fields that the wire may hold, and their
// JSON forms. It is immutable once compiled, and safe for concurrent use.
//
//	wire:  tag ───────────▶ short / dense / sparse ──▶ entries[k]
//	JSON:  entries[k].name  ──  entries[k].form  ──  entries[k].op, .sub, .enum or .pair
type table struct {
	name protoreflect.FullName
	kind messageKind

	// The index of a tag's entry; 0 is none.
	short  [128]uint8        // by the byte of a short tag: field number and wire type
	dense  []uint16          // by field number below len(dense)
	sparse map[uint32]uint16 // by any other field number

	entries []entry // entries[0] stands for unknown fields

	// defaults are the JSON texts of all fields that EmitDefaults prints when unset, in declaration
	// order; the text of field i is defaults[defaultAt[i]:defaultAt[i+1]].
	defaults  string
	defaultAt []int32

	// loose reports that serializers do not write the fields in declaration order: they write by
	// number, and Go's writes the members of oneofs last.
	loose bool

	required int32                    // number of required fields
	ranges   protoreflect.FieldRanges // extension ranges, or nil
	foreign  bool                     // left to the library, such as a MessageSet
	enter    *entrance                // taps on this type, or nil
}

// messageKind is the JSON form of a message type.
type messageKind uint8

const (
	objectKind messageKind = iota // an object of its fields
	anyKind
	timestampKind
	durationKind
	fieldMaskKind
	structKind
	valueKind
	listValueKind
	wrapperKind
)

// entry is one field under one of its possible wire types.
type entry struct {
	name  string // `,"name":`; closeObject turns the first field's comma into a brace
	index int32  // in declaration order; -1 for unknown fields
	after int32  // last index of its oneof, or its own; later fields have larger ones
	mask  uint64 // the significant bits of a varint

	form     form
	plain    form // form without taps
	elem     form // form of a single value; unknownForm for maps
	op       op
	always   bool  // print the zero value too
	utf8     bool  // the library refuses invalid UTF-8 when decoding
	required uint8 // 1 for a required field

	sub  *table
	enum *enumTable
	pair *pairTable
	hook *hook

	tag      []byte // in wire format
	wire     protowire.Type
	number   protowire.Number
	alt      uint16 // the entry of the same field under its other wire type
	packable bool
	zero     string // JSON of the default, without the name
	field    protoreflect.FieldDescriptor
}

// form is the wire form of a value.
type form uint8

const (
	unknownForm form = iota
	varintForm
	fixed32Form
	fixed64Form
	stringForm
	bytesForm
	messageForm
	groupForm
	listForm   // a field per element
	packedForm // all elements in one field
	mapForm
	tappedForm // a tap ends here
)

// pairTable is the entry type of a map.
type pairTable struct {
	key, value *entry
	keys       keyOrder
}

// keyOrder is the sort order of a map's keys.
type keyOrder uint8

const (
	textKeys keyOrder = iota
	signedKeys
	unsignedKeys
	boolKeys
)

// enumTable has the quoted names of an enum's values.
type enumTable struct {
	dense  []string // by number from 0; "" where there is none
	sparse map[int32]string
}

// text returns the quoted name of a number, or "".
func (t *enumTable) text(n int32) string {
	if n >= 0 && int(n) < len(t.dense) {
		return t.dense[n]
	}
	return t.sparse[n]
}

// denseLimit is the limit up to which field and enum numbers are looked up by index.
const denseLimit = 512

// find returns the entry for a field number and wire type, or entries[0] if there is none.
func (t *table) find(number protowire.Number, wire protowire.Type) *entry {
	var k uint16
	if int(number) < len(t.dense) {
		k = t.dense[number]
	} else {
		k = t.sparse[uint32(number)] //nolint:gosec // field numbers have 29 bits
	}

	e := &t.entries[k]
	if e.wire == wire {
		return e
	}

	if e = &t.entries[e.alt]; e.wire == wire {
		return e
	}
	return &t.entries[0]
}

// lookup decodes a tag of several bytes at b[i]. It returns the tag's entry and the offset of the
// value, or -1 if the tag is malformed. An unknown number has entries[0], and skip handles it.
func (t *table) lookup(b []byte, i int) (*entry, int) {
	if i+1 < len(b) && b[i+1] < 0x80 {
		tag := uint(b[i]&0x7f) | uint(b[i+1])<<7
		return t.find(protowire.Number(tag>>3), protowire.Type(tag&7)), i + 2 //nolint:gosec // 14 bits
	}

	number, wire, n := protowire.ConsumeTag(b[i:])
	if n < 0 || number > protowire.MaxValidNumber {
		return nil, -1
	}
	return t.find(number, wire), i + n
}

// after returns the defaults that EmitDefaults prints after the field with this index.
func (t *table) after(index int32) string {
	if t.defaults == "" {
		return ""
	}
	return t.defaults[t.defaultAt[index+1]:]
}

// byNumber returns the entry of a field under its first wire type, or nil.
func (t *table) byNumber(number protowire.Number) *entry {
	k := slices.IndexFunc(t.entries, func(e entry) bool { return e.number == number && number != 0 })
	if k < 0 {
		return nil
	}
	return &t.entries[k]
}
