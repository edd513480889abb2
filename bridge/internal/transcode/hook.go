package transcode

import (
	"bytes"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// tapSet is a set of taps.
type tapSet uint8

// The taps, as bits of a tapSet and indexes of Tapped.captured.
const (
	idSlot = iota
	nameSlot
	dataSlot
	tapSlots
)

// hook marks a field at which taps end.
type hook struct {
	taps  tapSet
	entry *entry // the field without taps
}

// entrance marks a message type on a tap's path.
type entrance struct {
	begin tapSet // taps with a value in this message or beneath; a new message resets it
	ends  tapSet // taps that end at one of its fields
	ways  []way
}

// way is a field that a tap's path passes through or ends at.
type way struct {
	index, after int32
	through      tapSet
	ending       tapSet
}

// captured is the value that a pass has found for a tap.
type captured struct {
	inside bool   // the message with the tap's field or oneof is set
	entry  *entry // the field; nil if it is unset
	value  []byte // wire bytes from the (first) value on
	from   int    // its JSON is dst[from:to]
	to     int
}

// enter starts a message that taps read. A later element of a list replaces an earlier one.
func (t *Tapped) enter(at *entrance) {
	for k := range t.captured {
		bit := tapSet(1) << k
		if at.begin&bit != 0 {
			t.captured[k] = captured{inside: at.ends&bit != 0}
		}
	}
}

// tap appends a tapped field and captures its value.
func (r *run) tap(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	start := len(dst)
	plain := e.hook.entry

	dst, next := r.field(dst, b, i, plain, depth)
	if next < 0 {
		return nil, -1
	}

	for k := range r.tapped.captured {
		if e.hook.taps&(1<<k) == 0 {
			continue
		}

		t := &r.tapped.captured[k]
		t.entry, t.value = plain, b[i:next]

		if len(dst) > start {
			t.from, t.to = start+len(plain.name), len(dst)
		}
	}
	return dst, next
}

// walk captures the taps' values in a message without printing it: if its JSON is not an object of its
// fields, or if it will not be printed at all. It accepts fields in any order, as decoding does.
func (t *Tapped) walk(r *run, b []byte, in *table) bool {
	for i := 0; ; {
		e, value := r.next(b, i, in)
		if e == nil {
			return value >= 0
		}

		if i = r.valueEnd(b, value, e); i < 0 {
			return false
		}

		t.leaveOneof(e, in.enter)

		if e.hook != nil && !t.capture(r, e, b[value:i]) {
			return false
		}

		if e.sub != nil && e.sub.enter != nil && !t.step(r, e, b[value:i]) {
			return false
		}
	}
}

// leaveOneof discards the captured value of a oneof when another member follows.
func (t *Tapped) leaveOneof(e *entry, at *entrance) {
	for _, w := range at.ways {
		if w.after != e.after || w.index == e.index {
			continue
		}

		for k := range t.captured {
			switch bit := tapSet(1) << k; {
			case w.through&bit != 0:
				t.captured[k] = captured{}
			case w.ending&bit != 0:
				t.captured[k] = captured{inside: true}
			}
		}
	}
}

// capture stores the value of a tapped field.
func (t *Tapped) capture(r *run, e *entry, value []byte) bool {
	plain := e.hook.entry

	switch plain.elem {
	case stringForm:
		if text, _ := chunk(value, 0); plain.utf8 && !utf8.Valid(text) {
			r.stop(badText)
			return false
		}
	case messageForm, groupForm:
		if before := t.captured[idSlot]; e.hook.taps&(1<<idSlot) != 0 && plain.form != listForm && before.entry == plain {
			if value = r.mergeCaptured(before.value, value, plain); value == nil {
				return false
			}
		}
	default:
		// An empty packed list adds no elements, so the earlier value remains. Its length may be an
		// overlong varint.
		if body, _ := chunk(value, 0); plain.form == packedForm && len(body) == 0 {
			return true
		}
	}

	for k := range t.captured {
		if e.hook.taps&(1<<k) != 0 {
			t.captured[k].entry, t.captured[k].value = plain, value
		}
	}
	return true
}

// step walks a message on a tap's path. The parts of a split message are one message; each element of a
// list is a new one.
func (t *Tapped) step(r *run, e *entry, value []byte) bool {
	if e.plain == listForm {
		t.enter(e.sub.enter)
	}

	for k := range t.captured {
		if e.sub.enter.ends&(1<<k) != 0 {
			t.captured[k].inside = true
		}
	}
	return t.walk(r, bodyOf(value, e), e.sub)
}

// mergeCaptured joins the parts of an id's Timestamp.
func (r *run) mergeCaptured(earlier, later []byte, e *entry) []byte {
	if e.elem == messageForm {
		return r.merge(earlier, later, e.sub)
	}

	if !r.spend(len(earlier) + len(later)) {
		return nil
	}
	return append(bytes.Clone(bodyOf(earlier, e)), later...)
}

// bodyOf returns the body of a message field's complete value.
func bodyOf(value []byte, e *entry) []byte {
	if e.elem == groupForm {
		body, _ := protowire.ConsumeGroup(e.number, value)
		return body
	}

	body, _ := chunk(value, 0)
	return body
}

// tapTree has the paths of all taps beneath a message type.
type tapTree struct {
	steps map[protoreflect.FieldNumber]*tapTree
	ends  map[protoreflect.FieldNumber]tapSet
}

func newTapTree() *tapTree {
	return &tapTree{steps: map[protoreflect.FieldNumber]*tapTree{}, ends: map[protoreflect.FieldNumber]tapSet{}}
}

// add adds a tap that ends at a field, or at each member of a oneof.
func (n *tapTree) add(slot int, path fieldPath, field protoreflect.FieldDescriptor, oneof protoreflect.OneofDescriptor) {
	for _, fd := range path.steps {
		next := n.steps[fd.Number()]
		if next == nil {
			next = newTapTree()
			n.steps[fd.Number()] = next
		}

		n = next
	}

	if field != nil {
		n.ends[field.Number()] |= 1 << slot
		return
	}

	for i := range oneof.Fields().Len() {
		n.ends[oneof.Fields().Get(i).Number()] |= 1 << slot
	}
}

// all returns the taps at and beneath n, and those that end at a field of n itself.
func (n *tapTree) all() (all, here tapSet) {
	for _, taps := range n.ends {
		here |= taps
	}

	all = here

	for _, next := range n.steps {
		below, _ := next.all()
		all |= below
	}
	return all, here
}

// tapped copies a table, and the tables on the taps' paths, and adds hooks at the taps' ends.
func (t *table) tapped(n *tapTree) *table {
	hooked := *t
	hooked.entries = append([]entry(nil), t.entries...)
	hooked.enter = &entrance{}
	hooked.enter.begin, hooked.enter.ends = n.all()

	for k := range hooked.entries {
		e := &hooked.entries[k]
		w := way{index: e.index, after: e.after}

		if next := n.steps[e.number]; next != nil {
			e.sub = e.sub.tapped(next)
			w.through, _ = next.all()
		}

		if taps := n.ends[e.number]; taps != 0 {
			plain := *e
			e.hook = &hook{taps: taps, entry: &plain}
			e.form = tappedForm
			w.ending = taps
		}

		if w.through|w.ending != 0 && k > 0 {
			hooked.enter.ways = append(hooked.enter.ways, w)
		}
	}
	return &hooked
}
