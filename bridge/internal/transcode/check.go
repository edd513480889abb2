package transcode

import "unicode/utf8"

// check reports whether the library would decode a message. It prints nothing: what it looks at will be left out.
func (r *run) check(b []byte, t *table, depth int) bool {
	switch {
	case depth > r.plan.maxDepth:
		r.stop(tooDeep)

		return false
	case t.foreign:
		r.stop(foreignType)

		return false
	case !r.count():
		return false
	}

	if r.weighing && t.kind == anyKind && !r.weighAny(b, t, depth) {
		return false
	}

	for i := 0; ; {
		e, value := r.next(b, i, t)
		if e == nil {
			return value >= 0
		}

		if i = r.valueEnd(b, value, e); i < 0 || !r.checkValue(b[value:i], e, depth) {
			return false
		}
	}
}

// checkValue does the same for a field of a message at the given depth. The value may be that of several fields of a
// list or a map, with their tags between.
func (r *run) checkValue(b []byte, e *entry, depth int) bool {
	switch e.plain {
	case mapForm:
		return r.checkPair(b, e, depth)
	case packedForm:
		return r.checkPacked(b, e)
	case stringForm, messageForm, groupForm:
		return r.checkOne(b, e, depth)
	case listForm:
		return r.checkOne(b, e, depth)
	default:
		return true
	}
}

func (r *run) checkOne(b []byte, e *entry, depth int) bool {
	switch e.elem {
	case stringForm:
		if text, _ := chunk(b, 0); e.utf8 && !utf8.Valid(text) {
			r.stop(badText)

			return false
		}
	case messageForm, groupForm:
		return r.check(bodyOf(b, e), e.sub, depth+1)
	default:
	}

	return true
}

func (r *run) checkPacked(b []byte, e *entry) bool {
	body, _ := chunk(b, 0)

	for i := 0; i < len(body); {
		switch e.elem {
		case varintForm:
			_, i = varint(body, i)
		case fixed32Form:
			i += 4
		default:
			i += 8
		}

		if i < 0 || i > len(body) {
			r.stop(malformed)

			return false
		}
	}

	return true
}

func (r *run) checkPair(b []byte, e *entry, depth int) bool {
	if depth >= r.plan.maxDepth {
		r.stop(tooDeep)

		return false
	}

	var p pair

	body, _ := chunk(b, 0)
	if !r.count() {
		return false
	}

	if !p.read(body, e.pair) && !r.readAny(&p, body, e.pair) {
		return false
	}

	if e.pair.key.utf8 && !utf8.Valid(p.text) {
		r.stop(badText)

		return false
	}

	return !p.valued || r.checkValue(p.value, e.pair.value, depth+1)
}

// count counts a message or an entry of a map, as far as there may be more of them.
func (r *run) count() bool {
	if r.counted++; r.weighing && r.counted > maxPieces {
		r.stop(tooSplit)

		return false
	}

	return true
}

// weighAny counts what an Any holds, if that can be found out.
func (r *run) weighAny(b []byte, t *table, depth int) bool {
	url, body, ok := r.packedAny(b, t)
	if !ok {
		return false
	}

	content := r.plan.anyTable(url)

	return content == nil || r.check(body, content, depth+1)
}

// tooHeavy reports whether a message is made of more messages than the library should be given: each takes it some 400
// bytes, even an empty one. Messages inside extensions, and bytes that cannot be decoded anyway, are not counted.
func (p *Plan) tooHeavy(wire []byte) bool {
	if len(wire) <= askLimit {
		return false
	}

	r := run{plan: p, effort: effortFor(len(wire)), weighing: true}
	r.check(wire, p.root, 1)
	r.release()

	return r.failure == tooSplit
}
