package transcode

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// scratchKept is the largest scratch, in bytes, that a Tapped keeps between messages.
const scratchKept = 64 << 10

// Tapped has the values that [Plan.AppendTapped] reads in addition to the JSON. The zero value is ready
// to use. One goroutine at a time may use it. Its slices are valid until the next call with it, and the
// caller must not write to them.
type Tapped struct {
	// ID is the id as text: strings unchanged, bytes in unpadded base64url, integers in decimal, a
	// Timestamp in RFC 3339 as in its JSON. Strings are valid UTF-8 if the schema requires it; ID
	// promises nothing else.
	ID []byte
	// HasID is false without an id tap, and if the message has no id: an unset message or field on the
	// path, an empty string, empty bytes, or an integer 0 in a field without presence.
	HasID bool

	// Name is the event's name as the message has it. It may be any text; the next stage makes it fit
	// for a frame.
	Name []byte
	// HasName is false without a name tap, if no member of the oneof is set, if the field or a message
	// on its path is unset, and for the empty string. A zero enum, bool or integer without presence has
	// a name.
	HasName bool

	// Data is the JSON that was appended to dst, and aliases it.
	Data []byte

	// Path is the way in which the message became JSON.
	Path Path

	id, name []byte             // scratch under ID and Name
	captured [tapSlots]captured // the values found by a pass
}

func (t *Tapped) reset() {
	if cap(t.id) > scratchKept {
		t.id = nil
	}

	if cap(t.name) > scratchKept {
		t.name = nil
	}

	*t = Tapped{id: t.id[:0], name: t.name[:0]} // clears captured too
}

// forget drops the references to the message, whose bytes are only borrowed.
func (t *Tapped) forget() { t.captured = [tapSlots]captured{} }

// compileTaps checks the taps against the message type.
func (p *Plan) compileTaps(md protoreflect.MessageDescriptor, taps *Taps) error {
	var err error

	if taps.ID != "" {
		if p.id, err = compileID(md, taps.ID); err != nil {
			return &TapError{Tap: "id", Message: err.Error()}
		}
	}

	if taps.Name != (NameTap{}) {
		if p.event, err = compileName(md, taps.Name); err != nil {
			return &TapError{Tap: "name", Message: err.Error()}
		}
	}

	if taps.Data != (DataTap{}) {
		if p.data, err = compileData(md, taps.Data); err != nil {
			return &TapError{Tap: "data", Message: err.Error()}
		}
	}
	return nil
}

// hookTaps adds hooks for the taps to the plan's table.
func (p *Plan) hookTaps() {
	p.hooked = p.root
	tree := newTapTree()

	if p.id != nil {
		tree.add(idSlot, p.id.path, p.id.field, nil)
	}

	if p.event != nil {
		tree.add(nameSlot, p.event.path, p.event.field, p.event.oneof)
	}

	if p.data != nil {
		tree.add(dataSlot, p.data.path, p.data.field, p.data.oneof)
	}

	if all, _ := tree.all(); all == 0 {
		return
	}

	p.hooked = p.root.tapped(tree)

	if p.data != nil && p.data.field != nil {
		fd := p.data.field
		p.unsetData = p.anys.compiler.message(fd.ContainingMessage()).byNumber(fd.Number()).zero
	}
}

// readTaps reads the id and the name of a decoded message.
func (p *Plan) readTaps(msg protoreflect.Message, out *Tapped) (err error) {
	defer p.guard(&err)

	if p.id != nil {
		out.id, out.HasID, err = p.id.append(out.id, msg)
		out.ID = out.id
	}

	if p.event != nil {
		out.name, out.HasName = p.event.append(out.name, msg)
		out.Name = out.name
	}

	if err != nil {
		return p.unrepresentable(err)
	}
	return nil
}
