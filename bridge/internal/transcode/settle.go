package transcode

import (
	"cmp"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// piece is a field on the wire; of a list or a map, as many of its fields as follow one another. A hostile message has
// millions, and so they are small: a gRPC message has less than 4 GiB.
type piece struct {
	entry          *entry
	at, value, end uint32 // offsets of the tag, of the (first) value, and behind the (last) value
	replaced       bool
}

// maxPieces is how many pieces, and how many entries of maps, are put in order at once. They take some 20 and 70 MiB.
const maxPieces = 1 << 20

// settle puts the fields of a message in the order they are printed in, each whole and in one place: the last of a scalar
// and of a oneof, all parts of a message, all elements of a list. Left-out parts are checked, for the library would have
// decoded them. The insides of the fields are not looked at.
//
// A body in order comes back as it is. Where each field is in one place, its pieces come back instead, sorted: they are
// printed from where they are, and nothing is moved, however deep such messages are nested. Both are nil after a failure.
func (r *run) settle(b []byte, t *table, depth int) (settled []byte, pieces []piece) {
	memory := r.memory()
	base := len(memory.pieces)

	ordered, ok := r.gather(b, t)
	pieces = memory.pieces[base:]
	memory.pieces = memory.pieces[:base]

	switch {
	case !ok:
		return nil, nil
	case ordered && b == nil:
		return []byte{}, nil
	case ordered:
		return b, nil
	}

	slices.SortFunc(pieces, func(x, y piece) int {
		return cmp.Or(cmp.Compare(x.entry.after, y.entry.after), cmp.Compare(x.at, y.at))
	})

	whole := true

	// Checking may use the arena, and so it comes before writing.
	for group := range groups(pieces) {
		kept, ok := r.leaveOut(b, pieces[group.from:group.to], depth)
		if !ok {
			return nil, nil
		}

		whole = whole && kept == 1
	}

	if whole {
		return nil, pieces
	}

	return r.move(b, pieces), nil
}

// move writes settled pieces one behind the other, those of one field together. It returns nil where that is more moving
// than the message is worth.
func (r *run) move(b []byte, pieces []piece) []byte {
	if !r.spend(len(b)) {
		return nil
	}

	memory := r.memory()
	start := len(memory.arena)

	for group := range groups(pieces) {
		memory.arena = appendSettled(memory.arena, b, pieces[group.from:group.to])
	}

	return memory.arena[start:len(memory.arena):len(memory.arena)]
}

// scattered appends the fields of a message from the pieces of its body.
func (r *run) scattered(dst, b []byte, pieces []piece, t *table, depth int) []byte {
	memory := r.memory()
	base := len(memory.pieces)
	memory.pieces = memory.pieces[:base+len(pieces)] // kept while the messages inside are settled

	last, required := int32(-1), int32(0)

	for k := range pieces {
		p := &pieces[k]
		if p.replaced {
			continue
		}

		dst = appendDefaults(dst, t, last+1, p.entry.index)
		last = p.entry.after
		required += int32(p.entry.required)

		var next int
		if dst, next = r.rare(dst, b[:p.end], int(p.value), p.entry, depth); next < 0 {
			return nil
		}

		if len(dst) > r.limit {
			return r.stop(tooLarge)
		}
	}

	if dst = append(dst, t.after(last)...); len(dst) > r.limit {
		return r.stop(tooLarge)
	}

	if required < t.required && r.anys == 0 {
		return r.stop(incomplete)
	}

	if s := r.memory(); len(s.pieces) >= base {
		s.pieces = s.pieces[:base]
	}

	return dst
}

// gather appends the pieces of a body to the scratch and reports whether they are in order.
func (r *run) gather(b []byte, t *table) (ordered, ok bool) {
	if uint64(len(b)) > math.MaxUint32 {
		r.stop(tooSplit)

		return false, false
	}

	memory := r.memory()
	last, ordered := int32(-1), true

	for i := 0; ; {
		e, value := r.next(b, i, t)
		if e == nil {
			return ordered, value >= 0
		}

		p := piece{entry: e, at: uint32(i), value: uint32(value)} //nolint:gosec // looked at above

		if i = r.valueEnd(b, value, e); i < 0 {
			return false, false
		}

		p.end = uint32(i) //nolint:gosec // looked at above

		if k := len(memory.pieces) - 1; k >= 0 && last == e.after && (e.plain == listForm || e.plain == mapForm) {
			if before := &memory.pieces[k]; before.entry == e && int(before.end) == value-len(e.tag) {
				before.end = p.end

				continue
			}
		}

		if len(memory.pieces) == maxPieces {
			r.stop(tooSplit)

			return false, false
		}

		ordered = ordered && e.index > last
		last = max(last, e.after)
		memory.pieces = append(memory.pieces, p)
	}
}

// valueEnd is the offset behind the value at b[i], or -1.
func (r *run) valueEnd(b []byte, i int, e *entry) int {
	n := -1

	switch e.wire {
	case protowire.VarintType:
		_, n = varint(b, i)
	case protowire.BytesType:
		_, n = chunk(b, i)
	case protowire.Fixed32Type:
		n = i + 4
	case protowire.Fixed64Type:
		n = i + 8
	default:
		size := protowire.ConsumeFieldValue(e.number, e.wire, b[i:])
		if size >= 0 && !r.spend(size) {
			return -1
		}

		if size >= 0 {
			n = i + size
		}
	}

	if n < 0 || n > len(b) {
		r.stop(malformed)

		return -1
	}

	return n
}

// span is a part of a list of pieces.
type span struct{ from, to int }

// groups goes through sorted pieces by what can be printed only once: a field, or a oneof.
func groups(pieces []piece) func(func(span) bool) {
	return func(yield func(span) bool) {
		for from := 0; from < len(pieces); {
			to := from + 1
			for to < len(pieces) && pieces[to].entry.after == pieces[from].entry.after {
				to++
			}

			if !yield(span{from, to}) {
				return
			}

			from = to
		}
	}
}

// leaveOut marks the pieces of a group that others replace, and checks them. It returns how many are left.
func (r *run) leaveOut(b []byte, group []piece, depth int) (left int, ok bool) {
	final := group[len(group)-1].entry
	kept := len(group) - 1

	// Another member of a oneof takes with it what came before; a scalar what it was itself.
	switch final.plain {
	case listForm, packedForm, mapForm, messageForm, groupForm:
		for kept > 0 && group[kept-1].entry.index == final.index {
			kept--
		}
	default:
	}

	for k := range group[:kept] {
		p := &group[k]
		if !r.checkValue(b[p.value:p.end], p.entry, depth) {
			return 0, false
		}

		p.replaced = true
	}

	left = len(group) - kept

	return left, left == 1 || r.joins(b, group[kept:])
}

// joins sees to it that each of the pieces that will be put together is whole: a cut one might go on in the next.
func (r *run) joins(b []byte, group []piece) bool {
	for _, p := range group {
		ok := true

		switch p.entry.plain {
		case packedForm:
			ok = r.checkPacked(b[p.value:p.end], p.entry)
		case messageForm:
			ok = r.isWhole(b[p.value:p.end], p.entry.sub)
		default:
		}

		if !ok {
			return false
		}
	}

	return true
}

// isWhole reports whether the body of a length-delimited message is one field after another.
func (r *run) isWhole(value []byte, t *table) bool {
	body, _ := chunk(value, 0)

	for i := 0; ; {
		e, at := r.next(body, i, t)
		if e == nil {
			return at >= 0
		}

		if i = r.valueEnd(body, at, e); i < 0 {
			return false
		}
	}
}

// appendSettled appends what is left of a group.
func appendSettled(dst, b []byte, group []piece) []byte {
	for group[0].replaced {
		group = group[1:]
	}

	e := group[0].entry

	switch {
	case len(group) == 1:
		return append(dst, b[group[0].at:group[0].end]...)
	case e.packable:
		return appendPacked(dst, b, group)
	case e.plain == messageForm:
		return appendMerged(dst, b, group)
	case e.plain == groupForm:
		return appendMergedGroups(dst, b, group)
	}

	// Their tags are written anew: one that is longer than it needs to be would end the list.
	for _, p := range group {
		dst = append(append(dst, p.entry.tag...), b[p.value:p.end]...)
	}

	return dst
}

// lengthSize is how many bytes a length takes that is written when it is known: a varint of 35 bits.
const lengthSize = 5

// putLength writes n to b[:lengthSize], as a varint that is longer than it needs to be.
func putLength(b []byte, n int) {
	for k := range lengthSize - 1 {
		b[k] = byte(n>>(7*k)&0x7f) | 0x80
	}

	b[lengthSize-1] = byte(n >> (7 * (lengthSize - 1)) & 0x7f)
}

// appendPacked appends the elements of all pieces of a list as one packed field.
func appendPacked(dst, b []byte, group []piece) []byte {
	e := group[0].entry
	dst = protowire.AppendTag(dst, e.number, protowire.BytesType)
	dst = extend(dst, lengthSize)
	start := len(dst)

	for _, p := range group {
		if p.entry.plain == packedForm {
			body, _ := chunk(b, int(p.value))
			dst = append(dst, body...)

			continue
		}

		for i := int(p.value); i < int(p.end); i += len(p.entry.tag) {
			n := protowire.ConsumeFieldValue(p.entry.number, p.entry.wire, b[i:])
			dst = append(dst, b[i:i+n]...)
			i += n
		}
	}

	putLength(dst[start-lengthSize:], len(dst)-start)

	return dst
}

// appendMerged appends the parts of a message as one: merging is defined by putting bodies one behind another.
func appendMerged(dst, b []byte, group []piece) []byte {
	dst = append(dst, group[0].entry.tag...)
	dst = extend(dst, lengthSize)
	start := len(dst)

	for _, p := range group {
		body, _ := chunk(b, int(p.value))
		dst = append(dst, body...)
	}

	putLength(dst[start-lengthSize:], len(dst)-start)

	return dst
}

func appendMergedGroups(dst, b []byte, group []piece) []byte {
	e := group[0].entry
	dst = append(dst, e.tag...)

	for _, p := range group {
		body, _ := protowire.ConsumeGroup(e.number, b[p.value:])
		dst = append(dst, body...)
	}

	return protowire.AppendTag(dst, e.number, protowire.EndGroupType)
}

// merge puts the value of a message of type t behind an earlier one.
func (r *run) merge(earlier, later []byte, t *table) []byte {
	if !r.spend(len(earlier)+len(later)) || !r.isWhole(earlier, t) || !r.isWhole(later, t) {
		return nil
	}

	memory := r.memory()
	start := len(memory.arena)
	memory.arena = extend(memory.arena, lengthSize)

	for _, value := range [][]byte{earlier, later} {
		body, _ := chunk(value, 0)
		memory.arena = append(memory.arena, body...)
	}

	merged := memory.arena[start:len(memory.arena):len(memory.arena)]
	putLength(merged, len(merged)-lengthSize)

	return merged
}
