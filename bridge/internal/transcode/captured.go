package transcode

import (
	"encoding/base64"

	"google.golang.org/protobuf/encoding/protowire"
)

// readCaptured converts the captured values of the id and the name to text.
func (r *run) readCaptured(out *Tapped) bool {
	if r.plan.id != nil {
		if !r.readID(out, &out.captured[idSlot]) {
			return false
		}

		out.ID = out.id
	}

	if r.plan.event != nil {
		r.plan.event.readCaptured(out, &out.captured[nameSlot])
		out.Name = out.name
	}
	return true
}

// readID is idTap.append for a value in wire format.
func (r *run) readID(out *Tapped, t *captured) bool {
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

// readCaptured is nameTap.append for a value in wire format.
func (t *nameTap) readCaptured(out *Tapped, found *captured) {
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

// appendNumber appends the name for a number. A field that is not on the wire has the default's name.
func (t *nameTap) appendNumber(dst []byte, found *captured, value []byte) []byte {
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

// last returns the effective value: the only one, or a list's last element. It is nil if the field is
// not set.
func (t *captured) last() []byte {
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

// lastElement returns the last of several values that have gap bytes between them.
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

// number decodes the significant bits of a number.
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

// appendPlain appends a number without the quotes of 64-bit integers in JSON.
func appendPlain(dst []byte, v uint64, e *entry) []byte {
	start := len(dst)

	dst = appendNumber(dst, v, e)
	if dst[start] != '"' {
		return dst
	}

	n := copy(dst[start:], dst[start+1:len(dst)-1])
	return dst[:start+n]
}

// project reduces the JSON after start to the tapped part, or to the JSON of the unset part.
func (t *dataTap) project(dst []byte, start int, found *captured, defaults string) []byte {
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
