package transcode

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// table is a message type compiled for one set of options: what the wire may hold, and what each of it prints as. It is
// immutable once its compiler is done, and shared by goroutines.
//
//	wire:  tag ───────────▶ short / dense / sparse ──▶ entries[k]
//	JSON:  entries[k].name  ──  entries[k].form  ──  entries[k].op, .sub, .enum or .pair
type table struct {
	name protoreflect.FullName
	kind messageKind

	// Where a tag's entry is; 0 is none.
	short  [128]uint8        // by a tag of one byte: field number and wire type at once
	dense  []uint16          // by field number, for those below len(dense)
	sparse map[uint32]uint16 // by field number, for the others

	entries []entry // entries[0] is what the type does not know

	// defaults are the texts of all fields that EmitDefaults prints when unset, in declaration order; that of the
	// field with index i is defaults[defaultAt[i]:defaultAt[i+1]].
	defaults  string
	defaultAt []int32

	// loose says that serializers do not write the fields in declaration order: they go by number, and Go's puts the
	// members of oneofs last.
	loose bool

	required int32                    // how many fields are required
	ranges   protoreflect.FieldRanges // of extensions; nil: none
	foreign  bool                     // a MessageSet, which is left to the library
	enter    *entrance                // which taps begin here; nil: none
}

// messageKind is how a message type prints.
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

// entry is one field under one of the wire types it may have.
type entry struct {
	name  string // `,"name":`; the comma becomes the brace of the object where the field is its first
	index int32  // in declaration order; -1 for what is unknown
	after int32  // index of the last field of its oneof, or its own: nothing up to it may follow
	mask  uint64 // the bits of a varint that count

	form     form
	plain    form // form, whether the field is tapped or not
	elem     form // of a list's elements, a packed list's, and of map keys and values
	op       op
	always   bool  // print the zero value too
	utf8     bool  // the library refuses invalid UTF-8 when decoding
	required uint8 // 1 for a required field

	sub  *table
	enum *enumTable
	pair *pairTable
	hook *hook

	tag      []byte // as the wire has it
	wire     protowire.Type
	number   protowire.Number
	alt      uint16 // the entry of the same field under its other wire type
	packable bool
	zero     string // what the default prints as, without the name
	field    protoreflect.FieldDescriptor
}

// form is the way a value stands on the wire, and how it is gone about.
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
	tappedForm // a field that a tap ends at
)

// pairTable is the entry type of a map.
type pairTable struct {
	key, value *entry
	keys       keyOrder
}

// keyOrder is how a map's keys are sorted.
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

// text is the quoted name of a number, or "".
func (t *enumTable) text(n int32) string {
	if n >= 0 && int(n) < len(t.dense) {
		return t.dense[n]
	}

	return t.sparse[n]
}

// denseLimit is how far field and enum numbers are looked up by index.
const denseLimit = 512

// find is the entry for a field number and wire type; entries[0] if there is none.
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

// lookup decodes a tag of several bytes at b[i] and gives its entry and where the value begins, or -1 if the tag is
// broken. Numbers beyond all fields and what is no tag at all are left to skip.
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

// after is what EmitDefaults prints for the fields behind one, given by its index.
func (t *table) after(index int32) string {
	if t.defaults == "" {
		return ""
	}

	return t.defaults[t.defaultAt[index+1]:]
}

// byNumber is the entry of a field under its first wire type, or nil.
func (t *table) byNumber(number protowire.Number) *entry {
	k := slices.IndexFunc(t.entries, func(e entry) bool { return e.number == number && number != 0 })
	if k < 0 {
		return nil
	}

	return &t.entries[k]
}
