package transcode

import (
	"bytes"
	"math"
)

// special appends a message of a well-known type whose JSON is not an object of its fields.
func (r *run) special(dst, b []byte, t *table, depth int) []byte {
	if t.foreign {
		return r.stop(foreignType)
	}

	if t.enter != nil {
		r.tapped.enter(t.enter)

		if !r.tapped.walk(r, b, t) {
			return nil
		}
	}

	switch t.kind {
	case timestampKind:
		return r.timestamp(dst, b, t)
	case durationKind:
		return r.duration(dst, b, t)
	default:
	}

	// The types above have scalar fields, whose last value wins anyway. The others may be in disorder.
	if r.orderly {
		settled, pieces := r.settle(b, t, depth)
		if settled == nil && pieces == nil {
			return nil
		}

		if pieces != nil {
			settled = r.move(b, pieces)
			if settled == nil {
				return nil
			}
		}

		b = settled
	}

	switch t.kind {
	case wrapperKind:
		return r.wrapper(dst, b, t, depth)
	case valueKind:
		return r.dynamic(dst, b, t, depth)
	case structKind:
		return r.only(dst, b, t, depth)
	case listValueKind:
		return r.only(dst, b, t, depth)
	case fieldMaskKind:
		return r.fieldMask(dst, b, t)
	default:
		return r.any(dst, b, t, depth)
	}
}

// last checks that no known field follows at b[i].
func (r *run) last(b []byte, i int, t *table) bool {
	e, i := r.next(b, i, t)
	if e != nil {
		r.stop(disorder)
	}
	return e == nil && i >= 0
}

// wrapper appends the value of a wrapper type.
func (r *run) wrapper(dst, b []byte, t *table, depth int) []byte {
	e, i := r.next(b, 0, t)

	switch {
	case i < 0:
		return nil
	case e == nil:
		return append(dst, t.entries[1].zero...)
	}

	if dst, i = r.value(dst, b, i, e, depth); i < 0 || !r.last(b, i, t) {
		return nil
	}
	return dst
}

// only appends the list or map that is the only field of a ListValue or a Struct.
func (r *run) only(dst, b []byte, t *table, depth int) []byte {
	e, i := r.next(b, 0, t)

	switch {
	case i < 0:
		return nil
	case e == nil:
		return append(dst, t.entries[1].zero...)
	case e.form == mapForm:
		dst, i = r.pairs(dst, b, i, e, depth)
	default:
		dst, i = r.list(dst, b, i, e, depth)
	}

	if i < 0 || !r.last(b, i, t) {
		return nil
	}
	return dst
}

// The field number of google.protobuf.Value.number_value.
const numberValueNumber = 2

// dynamic appends a google.protobuf.Value: the set member of its oneof.
func (r *run) dynamic(dst, b []byte, t *table, depth int) []byte {
	e, i := r.next(b, 0, t)

	switch {
	case i < 0:
		return nil
	case e == nil:
		return r.cannotExpress(t)
	}

	start := len(dst)
	if dst, i = r.value(dst, b, i, e, depth); i < 0 || !r.last(b, i, t) {
		return nil
	}

	// Only NaN and the infinities print as strings.
	if e.number == numberValueNumber && dst[start] == '"' {
		return r.cannotExpress(t)
	}
	return dst
}

// fieldMask appends the paths of a google.protobuf.FieldMask in lowerCamelCase, joined by commas.
func (r *run) fieldMask(dst, b []byte, t *table) []byte {
	dst = append(dst, '"')
	start := len(dst)

	for i := 0; ; {
		e, next := r.next(b, i, t)
		if next < 0 {
			return nil
		}

		if e == nil {
			return append(dst, '"')
		}

		var path []byte
		if path, i = chunk(b, next); i < 0 {
			return r.stop(malformed)
		}

		if len(dst) > start {
			dst = append(dst, ',')
		}

		var ok bool
		if dst, ok = appendPath(dst, path); !ok {
			return r.cannotExpress(t)
		}

		if len(dst) > r.limit {
			return r.stop(tooLarge)
		}
	}
}

// appendPath appends a path of a field mask in lowerCamelCase. It returns false if the conversion is
// not reversible (capitals, an underscore without a small letter after it) or the path is not a name.
func appendPath(dst, path []byte) ([]byte, bool) {
	begins := true // at the start of a segment
	upper := false

	for _, c := range path {
		switch {
		case c == '.' && !begins && !upper:
			begins = true
			dst = append(dst, c)
			continue
		case c == '_' && !upper:
			upper = true
		case 'a' <= c && c <= 'z':
			if upper {
				c -= 'a' - 'A'
			}

			dst = append(dst, c)
			upper = false
		case '0' <= c && c <= '9' && !begins && !upper:
			dst = append(dst, c)
		default:
			return dst, false
		}

		begins = false
	}
	return dst, !begins && !upper
}

// any appends a google.protobuf.Any: its type's URL and the fields of its content, or the content's
// value if its JSON is not an object of its fields.
func (r *run) any(dst, b []byte, t *table, depth int) []byte {
	url, body, ok := r.packedAny(b, t)

	switch {
	case !ok:
		return nil
	case len(url) == 0 && len(body) == 0:
		return append(dst, "{}"...)
	case len(url) == 0:
		return r.cannotExpress(t)
	case r.anys == maxAnyNesting:
		return r.stop(anyTooDeep)
	}

	content := r.plan.anyTable(url)
	if content == nil {
		r.badURL = bytes.Clone(url)
		return r.stop(unresolved)
	}

	if depth >= r.plan.maxDepth {
		return r.stop(tooDeep)
	}

	start := len(dst)
	dst = append(dst, `,"@type":`...)

	if dst, ok = appendText(dst, url); !ok {
		return r.stop(badText)
	}

	r.anys++

	if content.kind == objectKind {
		dst = r.fields(dst, body, content, depth+1)
	} else {
		dst = r.message(append(dst, `,"value":`...), body, content, depth+1)
	}

	r.anys--

	if dst == nil {
		return nil
	}
	return closeObject(dst, start)
}

// packedAny reads the two fields of an Any.
func (r *run) packedAny(b []byte, t *table) (url, body []byte, ok bool) {
	previous := int32(math.MinInt32)

	for i := 0; ; {
		e, next := r.next(b, i, t)
		if e == nil {
			return url, body, next >= 0
		}

		if e.index <= previous {
			r.stop(disorder)
			return nil, nil, false
		}

		previous = e.index

		var value []byte
		if value, i = chunk(b, next); i < 0 {
			r.stop(malformed)
			return nil, nil, false
		}

		if e.number == 1 {
			url = value
		} else {
			body = value
		}
	}
}
