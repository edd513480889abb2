package transcode

import "google.golang.org/protobuf/reflect/protoreflect"

// looseLimit is the largest number of fields of a loose type. A larger type's messages go to the
// orderly pass if they are out of order.
const looseLimit = 256

// part is the JSON of a field, as a range of dst.
type part struct {
	index    int32
	from, to int
}

// isLoose reports whether serializers write a type's fields in another order than their declaration.
// They do if the field numbers do not rise, or if fields follow a oneof, since Go's serializer writes
// oneofs last.
func isLoose(md protoreflect.MessageDescriptor) bool {
	fields := md.Fields()
	afterOneof := false

	for i := range fields.Len() {
		fd := fields.Get(i)
		od := fd.ContainingOneof()
		member := od != nil && !od.IsSynthetic()

		if afterOneof && !member || i > 0 && fd.Number() < fields.Get(i-1).Number() {
			return true
		}

		afterOneof = member
	}
	return false
}

// looseFields is fields for a loose type. It prints each field in wire order, once, and then rearranges
// the JSON.
func (r *run) looseFields(dst, b []byte, t *table, depth int) []byte {
	memory := r.memory()
	base, start := len(memory.parts), len(dst)
	last, required, ordered := int32(-1), int32(0), true

	var seen [looseLimit]bool

	for i := 0; ; {
		e, value := r.next(b, i, t)
		if e == nil {
			if value < 0 {
				return nil
			}
			break
		}

		if seen[e.after] {
			return r.stop(disorder)
		}

		seen[e.after] = true
		ordered = ordered && e.index > last
		last = e.index
		required += int32(e.required)
		from := len(dst)

		if dst, i = r.field(dst, b, value, e, depth); i < 0 {
			return nil
		}

		if len(dst) > r.limit {
			return r.stop(tooLarge)
		}

		memory.parts = append(memory.parts, part{index: e.index, from: from, to: len(dst)})
	}

	if required < t.required && r.anys == 0 {
		return r.stop(incomplete)
	}

	parts := memory.parts[base:]
	memory.parts = memory.parts[:base]

	if ordered && t.defaults == "" {
		return dst
	}
	return r.arrange(dst, start, parts, t)
}

// arrange moves a message's parts, printed after start, into declaration order, with defaults between
// them.
func (r *run) arrange(dst []byte, start int, parts []part, t *table) []byte {
	end := len(dst)
	if !r.spend(end - start) {
		return nil
	}

	sortParts(parts)

	last := int32(-1)
	moved := -1 // the new start of the data tap's value
	data := r.dataRange()

	for _, p := range parts {
		dst = appendDefaults(dst, t, last+1, p.index)
		last = p.index

		if data != nil && data.to > data.from && data.from >= p.from && data.to <= p.to {
			moved = data.from - p.from + len(dst) - end + start
		}

		dst = append(dst, dst[p.from:p.to]...)
	}

	dst = append(dst, t.after(last)...)

	if moved >= 0 {
		data.from, data.to = moved, moved+data.to-data.from
	}

	n := copy(dst[start:], dst[end:])

	dst = dst[:start+n]
	if len(dst) > r.limit {
		return r.stop(tooLarge)
	}
	return dst
}

// dataRange returns the printed range of the data tap's value, or nil without a data tap.
func (r *run) dataRange() *captured {
	if r.tapped == nil || r.plan.data == nil {
		return nil
	}
	return &r.tapped.captured[dataSlot]
}

// sortParts sorts by index. Insertion sort suits few parts that are mostly in order.
func sortParts(parts []part) {
	for i := 1; i < len(parts); i++ {
		for k := i; k > 0 && parts[k].index < parts[k-1].index; k-- {
			parts[k], parts[k-1] = parts[k-1], parts[k]
		}
	}
}

// appendDefaults appends the defaults of the fields with indexes in [from, to).
func appendDefaults(dst []byte, t *table, from, to int32) []byte {
	if t.defaults == "" {
		return dst
	}
	return append(dst, t.defaults[t.defaultAt[from]:t.defaultAt[to]]...)
}
