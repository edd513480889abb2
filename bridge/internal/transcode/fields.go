package transcode

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// message appends the JSON of the message with body b at the given depth; the outermost message is at
// depth 1.
func (r *run) message(dst, b []byte, t *table, depth int) []byte {
	if depth > r.plan.maxDepth {
		return r.stop(tooDeep)
	}

	if t.kind != objectKind {
		return r.special(dst, b, t, depth)
	}

	start := len(dst)
	if dst = r.fields(dst, b, t, depth); dst == nil {
		return nil
	}
	return closeObject(dst, start)
}

// closeObject turns the fields after start, each with a comma before it, into an object.
func closeObject(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, "{}"...)
	}

	dst[start] = '{'
	return append(dst, '}')
}

// fields appends the fields of a message, each with a comma before it. It is the hot loop: a field
// costs a table lookup, one comparison that detects disorder, and its printing.
func (r *run) fields(dst, b []byte, t *table, depth int) []byte { //nolint:gocognit // one loop, kept flat for its speed
	if t.foreign {
		return r.stop(foreignType)
	}

	if t.enter != nil {
		r.tapped.enter(t.enter)
	}

	if r.orderly {
		settled, pieces := r.settle(b, t, depth)
		if settled == nil && pieces == nil {
			return nil
		}

		if pieces != nil {
			return r.appendPieces(dst, b, pieces, t, depth)
		}

		b = settled
	} else if t.loose {
		return r.looseFields(dst, b, t, depth)
	}

	last, required := int32(-1), int32(0)

	for i := 0; i < len(b); {
		start := i

		var e *entry
		if c := b[i]; c < 0x80 {
			e = &t.entries[t.short[c]]
			i++
		} else if e, i = t.lookup(b, i); i < 0 {
			return r.stop(malformed)
		}

		if e.index <= last {
			if e.form != unknownForm {
				return r.stop(disorder)
			}

			if i = r.skip(b, start, t); i < 0 {
				return nil
			}
			continue
		}

		if e.index > last+1 && t.defaults != "" {
			dst = append(dst, t.defaults[t.defaultAt[last+1]:t.defaultAt[e.index]]...)
		}

		last = e.after
		required += int32(e.required)

		switch e.form {
		case varintForm:
			var v uint64
			if i < len(b) && b[i] < 0x80 {
				v = uint64(b[i])
				i++
			} else if v, i = longVarint(b, i); i < 0 {
				return r.stop(malformed)
			}

			if v &= e.mask; v != 0 || e.always {
				dst = appendNumber(append(dst, e.name...), v, e)
			}
		case stringForm:
			var n uint64
			if i < len(b) && b[i] < 0x80 {
				n = uint64(b[i])
				i++
			} else if n, i = longVarint(b, i); i < 0 {
				return r.stop(malformed)
			}

			if n > uint64(len(b)-i) { //nolint:gosec // i is within b
				return r.stop(malformed)
			}

			if n > 0 || e.always {
				var ok bool
				if dst, ok = appendText(append(dst, e.name...), b[i:i+int(n)]); !ok { //nolint:gosec // at most len(b)
					return r.stop(badText)
				}

				i += int(n) //nolint:gosec // at most len(b)
			}
		case messageForm:
			var body []byte
			if body, i = chunk(b, i); i < 0 {
				return r.stop(malformed)
			}

			if dst = r.message(append(dst, e.name...), body, e.sub, depth+1); dst == nil {
				return nil
			}
		default:
			if dst, i = r.field(dst, b, i, e, depth); i < 0 {
				return nil
			}
		}

		if len(dst) > r.limit {
			return r.stop(tooLarge)
		}
	}

	if rest := t.after(last); rest != "" {
		if dst = append(dst, rest...); len(dst) > r.limit {
			return r.stop(tooLarge)
		}
	}

	if required < t.required && r.anys == 0 {
		return r.stop(incomplete)
	}
	return dst
}

// field appends a field of any form. The loop in fields inlines the most frequent forms. The value
// begins at b[i]; field returns the offset after it, or -1.
func (r *run) field(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	switch e.form {
	case listForm:
		return r.list(append(dst, e.name...), b, i, e, depth)
	case packedForm:
		return r.packed(dst, b, i, e)
	case mapForm:
		return r.pairs(append(dst, e.name...), b, i, e, depth)
	case tappedForm:
		return r.tap(dst, b, i, e, depth)
	case varintForm:
		if v, next := varint(b, i); next > 0 && v&e.mask == 0 && !e.always {
			return dst, next
		}
	case stringForm, bytesForm:
		if body, next := chunk(b, i); next > 0 && len(body) == 0 && !e.always {
			return dst, next
		}
	case fixed32Form:
		if len(b)-i >= 4 && binary.LittleEndian.Uint32(b[i:]) == 0 && !e.always {
			return dst, i + 4
		}
	case fixed64Form:
		if len(b)-i >= 8 && binary.LittleEndian.Uint64(b[i:]) == 0 && !e.always {
			return dst, i + 8
		}
	default:
	}
	return r.value(append(dst, e.name...), b, i, e, depth)
}

// value appends one value, zero or not.
func (r *run) value(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	switch e.elem {
	case varintForm:
		v, i := varint(b, i)
		if i < 0 {
			return r.stopAt(malformed)
		}
		return appendNumber(dst, v&e.mask, e), i
	case fixed32Form:
		if len(b)-i < 4 {
			return r.stopAt(malformed)
		}
		return appendNumber(dst, uint64(binary.LittleEndian.Uint32(b[i:])), e), i + 4
	case fixed64Form:
		if len(b)-i < 8 {
			return r.stopAt(malformed)
		}
		return appendNumber(dst, binary.LittleEndian.Uint64(b[i:]), e), i + 8
	case groupForm:
		return r.group(dst, b, i, e, depth)
	default:
		return r.delimited(dst, b, i, e, depth)
	}
}

// delimited appends a string, bytes or a message.
func (r *run) delimited(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	body, i := chunk(b, i)
	if i < 0 {
		return r.stopAt(malformed)
	}

	switch e.elem {
	case stringForm:
		dst, ok := appendText(dst, body)
		if !ok {
			return r.stopAt(badText)
		}
		return dst, i
	case bytesForm:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), body), '"'), i
	default:
		if dst = r.message(dst, body, e.sub, depth+1); dst == nil {
			return nil, -1
		}
		return dst, i
	}
}

// group appends a group. Finding its end tag scans all of it, once for each level of nested groups.
func (r *run) group(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	body, n := protowire.ConsumeGroup(e.number, b[i:])
	if n < 0 {
		return r.stopAt(malformed)
	}

	if !r.spend(n) {
		return nil, -1
	}

	if dst = r.message(dst, body, e.sub, depth+1); dst == nil {
		return nil, -1
	}
	return dst, i + n
}

// list appends consecutive elements of a list that has one field per element.
func (r *run) list(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	start := len(dst)
	tag := e.tag[0]
	single := len(e.tag) == 1

	for {
		dst, i = r.value(append(dst, ','), b, i, e, depth)
		if i < 0 {
			return nil, -1
		}

		if len(dst) > r.limit {
			return r.stopAt(tooLarge)
		}

		if i == len(b) || b[i] != tag {
			break
		}

		if !single && !bytes.HasPrefix(b[i:], e.tag) {
			break
		}

		i += len(e.tag)
	}

	dst[start] = '['
	return append(dst, ']'), i
}

// packed appends a packed list.
func (r *run) packed(dst, b []byte, i int, e *entry) ([]byte, int) {
	body, next := chunk(b, i)
	if next < 0 {
		return r.stopAt(malformed)
	}

	if len(body) == 0 {
		if e.always {
			dst = append(append(dst, e.name...), "[]"...)
		}
		return dst, next
	}

	dst = append(dst, e.name...)
	start := len(dst)

	for i = 0; i < len(body); {
		if dst, i = r.value(append(dst, ','), body, i, e, 0); i < 0 {
			return nil, -1
		}

		if len(dst) > r.limit {
			return r.stopAt(tooLarge)
		}
	}

	dst[start] = '['
	return append(dst, ']'), next
}
