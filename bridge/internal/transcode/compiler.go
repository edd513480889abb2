package transcode

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// compiler makes one table per message type. Tables refer to each other, so compiling a type compiles
// all types that it reaches.
type compiler struct {
	defaults    bool
	protoNames  bool
	enumNumbers bool

	tables map[protoreflect.MessageDescriptor]*table
	enums  map[protoreflect.EnumDescriptor]*enumTable
}

func newCompiler(opts *Options) *compiler {
	c := &compiler{defaults: opts.EmitDefaults, protoNames: opts.ProtoNames, enumNumbers: opts.EnumNumbers}
	c.forget()
	return c
}

// forget empties the cache, so that types are compiled again.
func (c *compiler) forget() {
	c.tables = map[protoreflect.MessageDescriptor]*table{}
	c.enums = map[protoreflect.EnumDescriptor]*enumTable{}
}

// message returns the table of a type. The table of a recursive type is incomplete while its fields are
// compiled.
func (c *compiler) message(md protoreflect.MessageDescriptor) *table {
	if t, ok := c.tables[md]; ok {
		return t
	}

	t := &table{
		name: md.FullName(), kind: kindOf(md.FullName()),
		required: int32(md.RequiredNumbers().Len()), //nolint:gosec // at most the number of fields
		foreign:  md.IsPlaceholder() || isMessageSet(md) || !isAsKnown(md),
	}
	c.tables[md] = t

	if md.ExtensionRanges().Len() > 0 {
		t.ranges = md.ExtensionRanges()
	}

	var fields []protoreflect.FieldDescriptor
	for i := range md.Fields().Len() {
		fields = append(fields, md.Fields().Get(i))
	}

	t.entries = []entry{{index: -1, after: -1, wire: -1}}
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })

	for _, fd := range fields {
		c.field(t, fd)
	}

	t.loose = md.Fields().Len() <= looseLimit && isLoose(md)
	c.addDefaults(t, md)
	t.addressEntries()
	return t
}

// field adds the entries of a field.
func (c *compiler) field(t *table, fd protoreflect.FieldDescriptor) {
	e := c.entry(fd)

	switch {
	case fd.IsMap():
		e.form, e.elem, e.op, e.sub = mapForm, unknownForm, noOp, nil
		e.zero = "{}"
		e.pair = c.pair(fd)
		t.add(e)
	case fd.IsList():
		e.form = listForm
		e.zero = "[]"
		e.packable = e.elem == varintForm || e.elem == fixed32Form || e.elem == fixed64Form
		t.add(e)

		if e.packable {
			k := uint16(len(t.entries) - 1) //nolint:gosec // a type has fewer fields
			e.form, e.wire, e.alt = packedForm, protowire.BytesType, k
			t.add(e)
			t.entries[k].alt = k + 1
		}
	default:
		t.add(e)
	}
}

func (t *table) add(e entry) {
	e.plain = e.form
	e.tag = protowire.AppendTag(nil, e.number, e.wire)
	t.entries = append(t.entries, e)
}

// entry returns the part of a field's entry that is independent of its cardinality. Its form is that of
// a single value.
func (c *compiler) entry(fd protoreflect.FieldDescriptor) entry {
	info := kindOps[fd.Kind()]
	e := entry{
		index: int32(fd.Index()), after: int32(fd.Index()), //nolint:gosec // a type has fewer fields
		form: info.form, plain: info.form, elem: info.form, op: info.op, mask: info.mask, zero: info.zero,
		always: fd.HasPresence() || c.defaults, utf8: enforcesUTF8(fd),
		number: fd.Number(), wire: info.wire, field: fd,
	}

	name := fd.JSONName()
	if c.protoNames {
		name = fd.TextName()
	}

	quoted, _ := appendText([]byte{','}, []byte(name))
	e.name = string(append(quoted, ':'))

	if fd.Cardinality() == protoreflect.Required {
		e.required = 1
	}

	if od := fd.ContainingOneof(); od != nil {
		for i := range od.Fields().Len() {
			e.after = max(e.after, int32(od.Fields().Get(i).Index())) //nolint:gosec // a type has fewer fields
		}
	}

	if fd.Message() != nil && !fd.IsMap() {
		e.sub = c.message(fd.Message())
	}

	if ed := fd.Enum(); ed != nil {
		c.enumEntry(&e, ed)
	}
	return e
}

func (c *compiler) enumEntry(e *entry, ed protoreflect.EnumDescriptor) {
	if ed.FullName() == nullValueName {
		e.op, e.zero = nullOp, "null"
		return
	}

	e.enum = c.enum(ed)
	// zero is the JSON of a map entry's absent value, and of a field without presence under
	// EmitDefaults. The latter is always 0, the first value of such an enum.
	if e.field.Cardinality() != protoreflect.Repeated {
		e.zero = string(appendEnum(nil, int32(e.field.Default().Enum()), e.enum))
	}
}

// pair compiles the entry type of a map.
func (c *compiler) pair(fd protoreflect.FieldDescriptor) *pairTable {
	key, value := c.entry(fd.MapKey()), c.entry(fd.MapValue())
	key.tag = protowire.AppendTag(nil, key.number, key.wire)
	value.tag = protowire.AppendTag(nil, value.number, value.wire)

	p := &pairTable{key: &key, value: &value}

	switch key.op {
	case noOp:
		p.keys = textKeys
	case boolOp:
		p.keys = boolKeys
	case int32Op, int64Op, sint32Op, sint64Op:
		p.keys = signedKeys
	default:
		p.keys = unsignedKeys
	}
	return p
}

func (c *compiler) enum(ed protoreflect.EnumDescriptor) *enumTable {
	if t, ok := c.enums[ed]; ok {
		return t
	}

	t := &enumTable{sparse: map[int32]string{}}
	c.enums[ed] = t

	if c.enumNumbers {
		return t
	}

	for i := range ed.Values().Len() {
		value := ed.Values().Get(i)
		n := int32(value.Number())
		text := `"` + string(value.Name()) + `"`

		// The first of several aliases is the name.
		if ed.Values().ByNumber(value.Number()) != value {
			continue
		}

		t.sparse[n] = text

		if n >= 0 && n < denseLimit {
			t.dense = append(t.dense, make([]string, max(0, int(n)+1-len(t.dense)))...)
			t.dense[n] = text
		}
	}
	return t
}

// addDefaults stores the JSON that EmitDefaults prints for fields that are not on the wire.
func (c *compiler) addDefaults(t *table, md protoreflect.MessageDescriptor) {
	if !c.defaults {
		return
	}

	var all strings.Builder

	t.defaultAt = []int32{0}

	for i := range md.Fields().Len() {
		if fd := md.Fields().Get(i); !fd.HasPresence() {
			e := t.byNumber(fd.Number())
			all.WriteString(e.name + e.zero)
		}

		t.defaultAt = append(t.defaultAt, int32(all.Len())) //nolint:gosec // names of one type
	}

	t.defaults = all.String()
}

// addressEntries fills the lookup structures from tags to entries.
func (t *table) addressEntries() {
	t.sparse = map[uint32]uint16{}

	for k := range t.entries[1:] {
		e := &t.entries[k+1]
		at := uint16(k + 1)

		if len(e.tag) == 1 {
			t.short[e.tag[0]] = uint8(at)
		}

		if e.form == packedForm {
			continue // reached through the other entry's alt
		}

		if e.number < denseLimit {
			t.dense = append(t.dense, make([]uint16, max(0, int(e.number)+1-len(t.dense)))...)
			t.dense[e.number] = at
		} else {
			t.sparse[uint32(e.number)] = at
		}
	}
}

// kindOf returns the JSON form of the messages with this name.
func kindOf(name protoreflect.FullName) messageKind {
	switch name {
	case anyName:
		return anyKind
	case timestampName:
		return timestampKind
	case durationName:
		return durationKind
	case fieldMaskName:
		return fieldMaskKind
	case structName:
		return structKind
	case valueName:
		return valueKind
	case listValueName:
		return listValueKind
	}

	if specialJSON(name) {
		return wrapperKind
	}
	return objectKind
}

// isMessageSet reports whether a type is a proto1 MessageSet, which protobuf-go supports only under a
// build tag.
func isMessageSet(md protoreflect.MessageDescriptor) bool {
	set, ok := md.(interface{ IsMessageSet() bool })
	return ok && set.IsMessageSet()
}

// enforcesUTF8 reports whether decoding refuses invalid UTF-8 in a field: always in proto3, by a
// feature in editions. Otherwise printing refuses it.
func enforcesUTF8(fd protoreflect.FieldDescriptor) bool {
	if fd.Syntax() == protoreflect.Editions {
		if f, ok := fd.(interface{ EnforceUTF8() bool }); ok {
			return f.EnforceUTF8()
		}
	}
	return fd.Syntax() == protoreflect.Proto3
}
