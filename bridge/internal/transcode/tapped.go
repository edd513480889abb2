package transcode

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// scratchKept is the largest scratch, in bytes, that a Tapped keeps from one message to the next.
const scratchKept = 64 << 10

// Tapped holds what [Plan.AppendTapped] read beside the JSON. The zero value is ready. It belongs to one goroutine at a
// time; its slices are valid until the next call with it, and the caller does not write to them.
type Tapped struct {
	// ID is the id as text: strings as they are, bytes as base64url without padding, integers in decimal, a Timestamp
	// in RFC 3339 as its JSON has it. Strings are valid UTF-8 where the schema says so, and nothing else is promised.
	ID []byte
	// HasID is false without an id tap, and where the message carries none: an unset message or field on the way, an
	// empty string, empty bytes, an integer 0 in a field without presence.
	HasID bool

	// Name is the event's name as the message has it. It may be any text; the next stage makes it fit for a frame.
	Name []byte
	// HasName is false without a name tap, where no member of the oneof is set, where the field or a message on the way
	// is unset, and for the empty string. A zero enum, bool or integer without presence has a name.
	HasName bool

	// Data is the JSON that was appended to dst, and aliases it.
	Data []byte

	// Path is how the message went through, where it did.
	Path Path

	id, name []byte          // scratch under ID and Name
	taken    [tapSlots]taken // what a pass has found, during the call
}

func (t *Tapped) reset() {
	if cap(t.id) > scratchKept {
		t.id = nil
	}

	if cap(t.name) > scratchKept {
		t.name = nil
	}

	*t = Tapped{id: t.id[:0], name: t.name[:0]} // and nothing taken
}

// forget drops what refers to the message: its bytes are only lent.
func (t *Tapped) forget() { t.taken = [tapSlots]taken{} }

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

// hookTaps puts hooks for the taps into the plan's table.
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
		p.nothing = p.anys.compiler.message(fd.ContainingMessage()).byNumber(fd.Number()).zero
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
