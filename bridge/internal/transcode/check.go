package transcode

import "unicode/utf8"

// check reports whether the library would decode a message. The orderly pass calls it for messages that
// it leaves out of the JSON, and tooHeavy to count messages.
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

	if r.countOnly && t.kind == anyKind && !r.countAny(b, t, depth) {
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

// checkValue is check for one value of a field in a message at the given depth. A list or a map is
// never left out as a whole, so value is at most one element or one entry of it.
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

// count counts a message or a map entry. When countOnly is set it stops at maxPieces.
func (r *run) count() bool {
	if r.counted++; r.countOnly && r.counted > maxPieces {
		r.stop(tooSplit)
		return false
	}
	return true
}

// countAny counts the messages inside an Any if the type is known.
func (r *run) countAny(b []byte, t *table, depth int) bool {
	url, body, ok := r.packedAny(b, t)
	if !ok {
		return false
	}

	content := r.plan.anyTable(url)
	return content == nil || r.check(body, content, depth+1)
}

// tooHeavy reports whether a message contains too many messages for the library, which needs some 400
// bytes for each, even for an empty one. Messages inside extensions and undecodable bytes are not
// counted.
func (p *Plan) tooHeavy(wire []byte) bool {
	if len(wire) <= libraryLimit {
		return false
	}

	r := run{plan: p, effort: effortFor(len(wire)), countOnly: true}
	r.check(wire, p.root, 1)
	r.release()
	return r.failure == tooSplit
}
