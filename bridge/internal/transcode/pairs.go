package transcode

import (
	"bytes"
	"cmp"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// pair is an entry of a map in wire format.
type pair struct {
	text   []byte // a string key
	number uint64 // any other key, in the keys' order
	value  []byte // starts with the value
	valued bool   // false if the value is absent
	at     int    // wire order: the last of equal keys wins
}

// signBit maps signed numbers to unsigned ones in the same order.
const signBit = 1 << 63

// pairs appends consecutive entries of a map, sorted by key.
func (r *run) pairs(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	if depth >= r.plan.maxDepth { // an entry counts as a message
		return r.stopAt(tooDeep)
	}

	// A failed attempt at scalars is cheap, so they may be printed twice. With messages, nested maps
	// would double the work at each level.
	if e.pair.value.sub == nil {
		if out, next := r.risingPairs(dst, b, i, e, depth); next >= 0 {
			return out, next
		}

		r.failure = noFailure // a later entry may replace the failed one
	}
	return r.sortedPairs(dst, b, i, e, depth)
}

// risingPairs appends entries in wire order while their keys rise and each has a serializer's usual
// form. Otherwise it returns a negative offset.
func (r *run) risingPairs(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	var (
		both  [2]pair
		start = len(dst)
	)

	for count := 0; ; count++ {
		p, before := &both[count&1], &both[count&1^1]

		body, next := chunk(b, i)
		if next < 0 || !p.read(body, e.pair) || count > 0 && !rises(before, p, e.pair.keys) {
			return nil, -1
		}

		if dst = r.appendPair(append(dst, ','), p, e.pair, depth); dst == nil {
			return nil, -1
		}

		if len(dst) > r.limit {
			return r.stopAt(tooLarge)
		}

		if i = next; !bytes.HasPrefix(b[i:], e.tag) {
			dst[start] = '{'
			return append(dst, '}'), i
		}

		i += len(e.tag)
	}
}

// rises reports whether p's key is greater than before's.
func rises(before, p *pair, keys keyOrder) bool {
	if keys == textKeys {
		return bytes.Compare(before.text, p.text) < 0
	}
	return before.number < p.number
}

// sortedPairs appends entries in any order and form.
func (r *run) sortedPairs(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	memory := r.memory()
	base := len(memory.pairs)

	i, sorted := r.collect(b, i, e)
	if i < 0 {
		return nil, -1
	}

	found := memory.pairs[base:]
	memory.high = max(memory.high, len(memory.pairs))

	if !sorted {
		slices.SortFunc(found, comparePairs)
	}

	start := len(dst)

	// An inner map may reallocate memory.pairs; found stays valid.
	for k := range found {
		if k+1 < len(found) && !sorted && sameKey(&found[k], &found[k+1]) {
			if !r.drop(&found[k], e.pair, depth) {
				return nil, -1
			}
			continue
		}

		if dst = r.appendPair(append(dst, ','), &found[k], e.pair, depth); dst == nil {
			return nil, -1
		}

		if len(dst) > r.limit {
			return r.stopAt(tooLarge)
		}
	}

	memory.pairs = memory.pairs[:base]
	dst[start] = '{'
	return append(dst, '}'), i
}

// collect reads consecutive entries of a map and reports whether their keys rise.
func (r *run) collect(b []byte, i int, e *entry) (next int, sorted bool) {
	memory := r.memory()
	sorted = true

	for count := 0; ; count++ {
		var (
			body []byte
			p    = pair{at: count}
		)

		if body, i = chunk(b, i); i < 0 {
			r.stop(malformed)
			return -1, false
		}

		if !p.read(body, e.pair) && !r.readAny(&p, body, e.pair) {
			return -1, false
		}

		if count > 0 && sorted {
			sorted = rises(&memory.pairs[len(memory.pairs)-1], &p, e.pair.keys)
		}

		if len(memory.pairs) == maxPieces {
			r.stop(tooSplit)
			return -1, false
		}

		memory.pairs = append(memory.pairs, p)

		if !bytes.HasPrefix(b[i:], e.tag) {
			return i, sorted
		}

		i += len(e.tag)
	}
}

// read reads an entry in a serializer's usual form: exactly one key and one value, in this order.
func (p *pair) read(b []byte, t *pairTable) bool {
	if len(b) == 0 || b[0] != t.key.tag[0] {
		return false
	}

	i := p.readKey(b, 1, t)
	if i < 0 || i >= len(b) || b[i] != t.value.tag[0] {
		return false
	}

	p.value, p.valued = b[i+1:], true
	return valueLen(p.value, t.value.wire) == len(p.value)
}

// valueLen returns the length of the value at the start of b, or -1. It does not handle groups.
func valueLen(b []byte, wire protowire.Type) int {
	switch wire {
	case protowire.VarintType:
		_, n := varint(b, 0)
		return n
	case protowire.BytesType:
		_, n := chunk(b, 0)
		return n
	case protowire.Fixed32Type:
		return 4
	case protowire.Fixed64Type:
		return 8
	default:
		return -1
	}
}

// readKey reads the key at b[i] and returns the offset after it, or -1.
func (p *pair) readKey(b []byte, i int, t *pairTable) int {
	var raw uint64

	switch t.key.form {
	case stringForm:
		p.text, i = chunk(b, i)
		return i
	case varintForm:
		raw, i = varint(b, i)
	case fixed32Form:
		v, n := protowire.ConsumeFixed32(b[i:])
		if n < 0 {
			return -1
		}

		raw, i = uint64(v), i+n
	default:
		v, n := protowire.ConsumeFixed64(b[i:])
		if n < 0 {
			return -1
		}

		raw, i = v, i+n
	}

	p.number = keyNumber(raw&t.key.mask, t.key.op)
	return i
}

// keyNumber maps a key to a number with the same order.
func keyNumber(raw uint64, op op) uint64 {
	switch op {
	case boolOp:
		return min(raw, 1)
	case int32Op:
		return uint64(int64(int32(raw))) ^ signBit //nolint:gosec // the type's own truncation
	case sint32Op, sint64Op:
		return uint64(protowire.DecodeZigZag(raw)) ^ signBit //nolint:gosec // only the bits matter
	case int64Op:
		return raw ^ signBit
	default:
		return raw
	}
}

// readAny reads an entry in any other form: without key or value, with repeated ones, or with unknown
// fields. The last key and the last value count, and messages are merged.
func (r *run) readAny(p *pair, b []byte, t *pairTable) bool {
	*p = pair{at: p.at, number: keyNumber(0, t.key.op)}
	keyed := false

	for i := 0; i < len(b); {
		number, wire, n := protowire.ConsumeTag(b[i:])
		if n < 0 || number > protowire.MaxValidNumber {
			r.stop(malformed)
			return false
		}

		i += n

		size := protowire.ConsumeFieldValue(number, wire, b[i:])
		if size < 0 {
			r.stop(malformed)
			return false
		}

		switch {
		case number == t.key.number && wire == t.key.wire:
			keyed = true

			if p.readKey(b, i, t); t.key.utf8 && !utf8.Valid(p.text) {
				r.stop(badText)
				return false
			}
		case number == t.key.number && keyed && !r.countOnly:
			r.stop(oddEntry) // dynamicpb forgets its key and panics
			return false
		case number == t.value.number && wire == t.value.wire:
			if !r.readValue(p, b[i:i+size], t) {
				return false
			}
		}

		i += size
	}
	return true
}

// readValue reads one of the values of an entry.
func (r *run) readValue(p *pair, value []byte, t *pairTable) bool {
	e := t.value

	switch {
	case e.form == stringForm:
		if text, _ := chunk(value, 0); e.utf8 && !utf8.Valid(text) {
			r.stop(badText)
			return false
		}
	case p.valued && (e.form == messageForm || e.form == groupForm):
		if value = r.merge(p.value, value, e.sub); value == nil {
			return false
		}
	}

	p.value, p.valued = value, true
	return true
}

// comparePairs orders by key, and equal keys by wire order.
func comparePairs(a, b pair) int {
	return cmp.Or(bytes.Compare(a.text, b.text), cmp.Compare(a.number, b.number), cmp.Compare(a.at, b.at))
}

func sameKey(a, b *pair) bool { return a.number == b.number && bytes.Equal(a.text, b.text) }

// drop checks that a value replaced by a later entry with the same key is decodable.
func (r *run) drop(p *pair, t *pairTable, depth int) bool {
	if !p.valued {
		return true
	}
	return r.checkValue(p.value, t.value, depth+1)
}

// appendPair appends an entry of a map.
func (r *run) appendPair(dst []byte, p *pair, t *pairTable, depth int) []byte {
	if t.keys == textKeys {
		var ok bool
		if dst, ok = appendText(dst, p.text); !ok {
			return r.stop(badText)
		}
	} else {
		dst = append(appendKey(append(dst, '"'), p.number, t.keys), '"')
	}

	dst = append(dst, ':')

	if !p.valued {
		if t.value.sub != nil {
			return r.message(dst, nil, t.value.sub, depth+2)
		}
		return append(dst, t.value.zero...)
	}

	dst, _ = r.value(dst, p.value, 0, t.value, depth+1)
	return dst
}

// appendKey appends a key that is not a string.
func appendKey(dst []byte, number uint64, keys keyOrder) []byte {
	switch {
	case keys == signedKeys:
		return appendInt(dst, int64(number^signBit)) //nolint:gosec // undoes keyNumber
	case keys == unsignedKeys:
		return appendUint(dst, number)
	case number != 0:
		return append(dst, "true"...)
	default:
		return append(dst, "false"...)
	}
}
