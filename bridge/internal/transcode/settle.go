package transcode

import (
	"cmp"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// piece is a field in wire format; consecutive fields of a list or a map form one piece. A hostile
// message has millions of pieces, so they are small: uint32 suffices because a gRPC message is smaller
// than 4 GiB.
type piece struct {
	entry          *entry
	at, value, end uint32 // offsets of the tag, of the (first) value, and behind the (last) value
	replaced       bool
}

// maxPieces is the largest number of pieces, and of map entries, that are sorted at once. They take
// some 20 and 70 MiB.
const maxPieces = 1 << 20

// settle puts the fields of a message into the order of printing, each complete and in one place: the
// last of a scalar and of a oneof, all parts of a message, all elements of a list. It checks the parts
// that it drops, since the library would have decoded them. It does not look inside the fields.
//
// It returns a body that is already in order unchanged. If each field is in one place, it returns the
// sorted pieces instead; the caller prints them from where they are, so nothing moves, however deep
// such messages nest. After a failure both results are nil.
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

	// Checking may use the arena, so it precedes writing.
	for group := range groups(pieces) {
		kept, ok := r.dropReplaced(b, pieces[group.from:group.to], depth)
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

// move writes settled pieces one after the other, those of one field together. It returns nil if the
// message has no effort left.
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

// appendPieces appends the fields of a message from the pieces of its body.
func (r *run) appendPieces(dst, b []byte, pieces []piece, t *table, depth int) []byte {
	memory := r.memory()
	base := len(memory.pieces)
	memory.pieces = memory.pieces[:base+len(pieces)] // keep them while inner messages are settled

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
		if dst, next = r.field(dst, b[:p.end], int(p.value), p.entry, depth); next < 0 {
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

		p := piece{entry: e, at: uint32(i), value: uint32(value)} //nolint:gosec // checked above

		if i = r.valueEnd(b, value, e); i < 0 {
			return false, false
		}

		p.end = uint32(i) //nolint:gosec // checked above

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

// valueEnd returns the offset after the value at b[i], or -1.
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

// span is a range of pieces.
type span struct{ from, to int }

// groups iterates over sorted pieces by the unit that is printed once: a field or a oneof.
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

// dropReplaced marks the pieces of a group that later ones replace, and checks them. It returns the
// number of remaining pieces.
func (r *run) dropReplaced(b []byte, group []piece, depth int) (left int, ok bool) {
	final := group[len(group)-1].entry
	kept := len(group) - 1

	// A member of a oneof replaces the other members before it; a scalar replaces its earlier values.
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
	return left, left == 1 || r.checkParts(b, group[kept:])
}

// checkParts checks that each piece to be joined is complete; a truncated one could otherwise continue
// in the next.
func (r *run) checkParts(b []byte, group []piece) bool {
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

// isWhole reports whether the body of a length-delimited message consists of complete fields.
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

// appendSettled appends the remaining pieces of a group.
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

	// Write canonical tags, since an overlong tag would end the list.
	for _, p := range group {
		dst = append(append(dst, p.entry.tag...), b[p.value:p.end]...)
	}
	return dst
}

// lengthSize is the size of a length that is filled in later: a varint of 35 bits.
const lengthSize = 5

// putLength writes n to b[:lengthSize], as an overlong varint if it is small.
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

// appendMerged appends the parts of a message as one. Concatenating bodies is how protobuf defines
// merging.
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

// merge appends the value of a message of type t to an earlier one.
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
