package transcode

import (
	"bytes"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// tapSet is a set of taps.
type tapSet uint8

// The taps, as positions in a tapSet and in Tapped.taken.
const (
	idSlot = iota
	nameSlot
	dataSlot
	tapSlots
)

// hook marks a field that taps end at.
type hook struct {
	taps  tapSet
	entry *entry // the field as it is without taps
}

// entrance stands at a message type that a tap's path leads to, or through.
type entrance struct {
	begin tapSet // taps that look for their value in here: a new message means a new value
	ends  tapSet // those that end at one of its fields
	ways  []way
}

// way is a field that a tap goes through or ends at.
type way struct {
	index, after int32
	through      tapSet
	ending       tapSet
}

// taken is what a pass has found for a tap.
type taken struct {
	inside bool   // the message that has the field, or the oneof, was there
	entry  *entry // the field; nil: not set
	value  []byte // on the wire, from its (first) value
	from   int    // what it printed as, in dst
	to     int
}

// enter begins a message that taps look for their values in. In a list the last element counts.
func (t *Tapped) enter(at *entrance) {
	for k := range t.taken {
		bit := tapSet(1) << k
		if at.begin&bit != 0 {
			t.taken[k] = taken{inside: at.ends&bit != 0}
		}
	}
}

// tap appends a tapped field and takes its value.
func (r *run) tap(dst, b []byte, i int, e *entry, depth int) ([]byte, int) {
	start := len(dst)
	plain := e.hook.entry

	dst, next := r.rare(dst, b, i, plain, depth)
	if next < 0 {
		return nil, -1
	}

	for k := range r.tapped.taken {
		if e.hook.taps&(1<<k) == 0 {
			continue
		}

		t := &r.tapped.taken[k]
		t.entry, t.value = plain, b[i:next]

		if len(dst) > start {
			t.from, t.to = start+len(plain.name), len(dst)
		}
	}

	return dst, next
}

// walk finds the taps' values in a message without printing it: where it prints as something else than its fields, and
// where it will not be printed at all. It takes the fields as they come, in any order, as decoding does.
func (t *Tapped) walk(r *run, b []byte, in *table) bool {
	for i := 0; ; {
		e, value := r.next(b, i, in)
		if e == nil {
			return value >= 0
		}

		if i = r.valueEnd(b, value, e); i < 0 {
			return false
		}

		t.pass(e, in.enter)

		if e.hook != nil && !t.take(r, e, b[value:i]) {
			return false
		}

		if e.sub != nil && e.sub.enter != nil && !t.step(r, e, b[value:i]) {
			return false
		}
	}
}

// pass forgets what a oneof had when another member of it comes by.
func (t *Tapped) pass(e *entry, at *entrance) {
	for _, w := range at.ways {
		if w.after != e.after || w.index == e.index {
			continue
		}

		for k := range t.taken {
			switch bit := tapSet(1) << k; {
			case w.through&bit != 0:
				t.taken[k] = taken{}
			case w.ending&bit != 0:
				t.taken[k] = taken{inside: true}
			}
		}
	}
}

// take notes the value of a tapped field.
func (t *Tapped) take(r *run, e *entry, value []byte) bool {
	plain := e.hook.entry

	switch plain.elem {
	case stringForm:
		if text, _ := chunk(value, 0); plain.utf8 && !utf8.Valid(text) {
			r.stop(badText)

			return false
		}
	case messageForm, groupForm:
		if before := t.taken[idSlot]; e.hook.taps&(1<<idSlot) != 0 && plain.form != listForm && before.entry == plain {
			if value = r.mergeTaken(before.value, value, plain); value == nil {
				return false
			}
		}
	default:
		// A list without elements leaves the one before as it is. Its length may be written in more bytes than it needs.
		if body, _ := chunk(value, 0); plain.form == packedForm && len(body) == 0 {
			return true
		}
	}

	for k := range t.taken {
		if e.hook.taps&(1<<k) != 0 {
			t.taken[k].entry, t.taken[k].value = plain, value
		}
	}

	return true
}

// step goes into a message on a tap's path. The parts of a split message are one; an element of a list is a new one.
func (t *Tapped) step(r *run, e *entry, value []byte) bool {
	if e.plain == listForm {
		t.enter(e.sub.enter)
	}

	for k := range t.taken {
		if e.sub.enter.ends&(1<<k) != 0 {
			t.taken[k].inside = true
		}
	}

	return t.walk(r, bodyOf(value, e), e.sub)
}

// mergeTaken puts the parts of an id's Timestamp together.
func (r *run) mergeTaken(earlier, later []byte, e *entry) []byte {
	if e.elem == messageForm {
		return r.merge(earlier, later, e.sub)
	}

	if !r.spend(len(earlier) + len(later)) {
		return nil
	}

	return append(bytes.Clone(bodyOf(earlier, e)), later...)
}

// bodyOf is what is inside the value of a message field that is known to be whole.
func bodyOf(value []byte, e *entry) []byte {
	if e.elem == groupForm {
		body, _ := protowire.ConsumeGroup(e.number, value)

		return body
	}

	body, _ := chunk(value, 0)

	return body
}

// tapTree is the paths of all taps below a message type.
type tapTree struct {
	steps map[protoreflect.FieldNumber]*tapTree
	ends  map[protoreflect.FieldNumber]tapSet
}

func newTapTree() *tapTree {
	return &tapTree{steps: map[protoreflect.FieldNumber]*tapTree{}, ends: map[protoreflect.FieldNumber]tapSet{}}
}

// add notes a tap that ends at a field, or at each member of a oneof.
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

// all are the taps at and below n, and here those that end at a field of it.
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

// tapped copies a table, and those that the paths lead through, with hooks where the taps end.
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
