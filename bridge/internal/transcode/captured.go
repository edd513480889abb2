package transcode

import (
	"encoding/base64"

	"google.golang.org/protobuf/encoding/protowire"
)

// readTaken turns what a pass took for the id and the name into text.
func (r *run) readTaken(out *Tapped) bool {
	if r.plan.id != nil {
		if !r.readID(out, &out.taken[idSlot]) {
			return false
		}

		out.ID = out.id
	}

	if r.plan.event != nil {
		r.plan.event.readTaken(out, &out.taken[nameSlot])
		out.Name = out.name
	}

	return true
}

// readID is idTap.append for a value that is still on the wire.
func (r *run) readID(out *Tapped, t *taken) bool {
	value := t.last()
	if value == nil {
		return true
	}

	switch t.entry.elem {
	case stringForm:
		text, _ := chunk(value, 0)
		out.id = append(out.id, text...)
	case bytesForm:
		body, _ := chunk(value, 0)
		out.id = base64.RawURLEncoding.AppendEncode(out.id, body)
	case messageForm, groupForm:
		seconds, nanos, ok := r.moment(bodyOf(value, t.entry), t.entry.sub)
		if ok && (seconds < minSeconds || seconds > maxSeconds || nanos < 0 || nanos > maxNanos) {
			r.cannotExpress(t.entry.sub)

			ok = false
		}

		if !ok {
			return false
		}

		out.id = appendTime(out.id, seconds, nanos)
	default:
		v := number(value, t.entry)
		if v == 0 && !t.entry.field.HasPresence() {
			return true
		}

		out.id = appendPlain(out.id, v, t.entry)
	}

	out.HasID = len(out.id) > 0

	return true
}

// readTaken is nameTap.append for a value that is still on the wire.
func (t *nameTap) readTaken(out *Tapped, found *taken) {
	value := found.last()

	switch {
	case !found.inside:
		return
	case t.field == nil && value == nil:
		return
	case t.field == nil:
		out.name = append(out.name, found.entry.field.Name()...)
	case value == nil && t.field.HasPresence():
		return
	case found.entry != nil && found.entry.elem == stringForm:
		text, _ := chunk(value, 0)
		out.name = append(out.name, text...)
	default:
		out.name = t.appendNumber(out.name, found, value)
	}

	out.HasName = len(out.name) > 0
}

// appendNumber appends the name that a number stands for; that of zero where the field is not on the wire.
func (t *nameTap) appendNumber(dst []byte, found *taken, value []byte) []byte {
	if value == nil {
		dst, _ = t.appendValue(dst, t.field.Default())

		return dst
	}

	v := number(value, found.entry)
	if t.field.Enum() == nil {
		return appendPlain(dst, v, found.entry)
	}

	n := t.field.Enum().Values().ByNumber(enumNumber(v))
	if n == nil {
		return appendInt(dst, int64(enumNumber(v)))
	}

	return append(dst, n.Name()...)
}

// last is the value that counts: the only one, or that of a list's last element. It is nil if the field is not set.
func (t *taken) last() []byte {
	if t.entry == nil {
		return nil
	}

	b := t.value

	switch t.entry.form {
	case packedForm:
		body, _ := chunk(b, 0)

		return lastElement(body, t.entry, 0)
	case listForm:
		return lastElement(b, t.entry, len(t.entry.tag))
	default:
		return b
	}
}

// lastElement is the last of several values, with gap bytes between two of them.
func lastElement(b []byte, e *entry, gap int) []byte {
	wire := kindOps[e.field.Kind()].wire

	for i := 0; i < len(b); {
		n := protowire.ConsumeFieldValue(e.number, wire, b[i:])
		if n < 0 {
			return nil
		}

		if i+n+gap >= len(b) {
			return b[i : i+n]
		}

		i += n + gap
	}

	return nil
}

// number decodes a number's bits that count.
func number(b []byte, e *entry) uint64 {
	var v uint64

	switch e.elem {
	case fixed32Form:
		v32, _ := protowire.ConsumeFixed32(b)
		v = uint64(v32)
	case fixed64Form:
		v, _ = protowire.ConsumeFixed64(b)
	default:
		v, _ = varint(b, 0)
	}

	return v & e.mask
}

// appendPlain appends a number without the quotes that 64 bits have in JSON.
func appendPlain(dst []byte, v uint64, e *entry) []byte {
	start := len(dst)

	dst = appendNumber(dst, v, e)
	if dst[start] != '"' {
		return dst
	}

	n := copy(dst[start:], dst[start+1:len(dst)-1])

	return dst[:start+n]
}

// project leaves only the tapped part of what was printed after start, or what stands for it if it is not set.
func (t *dataTap) project(dst []byte, start int, found *taken, defaults string) []byte {
	switch {
	case found.to > found.from:
		n := copy(dst[start:], dst[found.from:found.to])

		return dst[:start+n]
	case !found.inside || t.field == nil || t.field.HasPresence():
		return append(dst[:start], "null"...)
	default:
		return append(dst[:start], defaults...)
	}
}
