package topic

import (
	"errors"
	"sync"
)

// errMerged ends the pump of a catch-up that another log goes on from.
var errMerged = errors.New("topic: merged")

// family is the topics of one key: requests that a backend cannot tell apart
// but for where they resume.
//
// The logs of a family meet: a catch-up has done its work when its newest id is
// held by another log that has a running RPC and holds it after its newest gap.
// This is looked at whenever a log of the family grows or gets an RPC, under
// the family's lock, so that two catch-ups that hold each other's newest id do
// not both stop. See docs/resuming.md.
type family struct {
	key string
	// meets is set where logs are found by cursor and may merge.
	meets bool

	// Guarded by the registry's lock; changed under both, so that either
	// suffices to read.
	main   *Topic   // whom new clients join; nil for private topics
	topics []*Topic // main, catch-ups, private ones, finished ones that linger

	mu sync.Mutex // below the registry's lock, above the logs'
}

// grow appends a frame to a log of the family and sees who meets. breaks says
// that the frame is a gap that breaks the order of cursors.
func (t *Topic) grow(frame []byte, id string, breaks bool) error {
	f := t.home
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.merged {
		return errMerged
	}
	t.log.Append(frame, id)
	if breaks {
		t.gapAt, _ = t.log.Head()
		t.newest = "" // no other log has a gap's id
		return nil
	}
	if t.newest = id; !f.meets {
		return nil
	}
	if f.meetOthers(t); t.merged {
		return errMerged
	}
	for _, other := range f.topics {
		if other != t && other.role == catchUpRole && other.newest == id && t.reaches(id) {
			other.mergeInto(t)
		}
	}
	if t == f.main {
		f.wakeAhead()
	}
	return nil
}

// conclude appends the last frame and closes the log, unless another one goes on
// from here. None does after it.
func (t *Topic) conclude(frame []byte, id string) bool {
	f := t.home
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.merged {
		return false
	}
	t.newest = ""
	t.log.Append(frame, id)
	t.log.Close()
	return true
}

// setAccepted notes whether the topic has a running RPC. One that has got it
// anew may hold what catch-ups are waiting for.
func (t *Topic) setAccepted(accepted bool) {
	f := t.home
	if !f.meets {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t.accepted = accepted
	if accepted {
		for _, other := range f.topics {
			f.meetOthers(other)
		}
	}
	f.wakeAhead()
}

// meetOthers merges a catch-up into a log that holds its newest id, main first.
func (f *family) meetOthers(t *Topic) {
	if t.role != catchUpRole || t.merged || t.newest == "" {
		return
	}
	if f.main != nil && f.main != t && f.main.reaches(t.newest) {
		t.mergeInto(f.main)
		return
	}
	for _, other := range f.topics {
		if other != t && other.role == catchUpRole && other.reaches(t.newest) {
			t.mergeInto(other)
			return
		}
	}
}

// reaches reports whether a log that stands at the id can go on in this one.
func (t *Topic) reaches(id string) bool {
	if !t.accepted || t.merged {
		return false
	}
	position, ok := t.log.Find(id)
	return ok && position >= t.gapAt
}

// mergeInto ends a catch-up. Its clients read what it holds and are then
// placed anew, each by its own id; which log that is, is seen then.
func (t *Topic) mergeInto(*Topic) {
	t.merged, t.accepted = true, false
	t.log.Close()
	t.haltLocked()
}

// ahead reports whether a catch-up has passed main's newest frame: it waits for
// main then, or the two could stay one message apart for ever.
func (t *Topic) ahead() bool {
	f := t.home
	if t.role != catchUpRole || !f.meets {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	main := f.main
	return main != nil && main != t && main.accepted && !main.finished() &&
		main.newest != "" && t.newest != main.newest && t.reaches(main.newest)
}

// wakeAhead lets the catch-ups that wait for main look again.
func (f *family) wakeAhead() {
	for _, t := range f.topics {
		if t.role == catchUpRole {
			t.wakePump()
		}
	}
}

// byEpoch returns the topic whose log has the name, or nil.
func (f *family) byEpoch(epoch string) *Topic {
	if epoch == "" {
		return nil
	}
	for _, t := range f.topics {
		if t.epoch == epoch {
			return t
		}
	}
	return nil
}

// byCursor returns the topic whose log goes on from a place, or nil: main,
// unless its stream has ended and another is to follow, then catch-ups, and
// private topics that nobody listens to.
func (f *family) byCursor(place Place) *Topic {
	if f.main != nil && f.main.holds(place) {
		return f.main
	}
	if !f.meets {
		return nil
	}
	for _, t := range f.topics {
		switch {
		case t.role == catchUpRole && t.usable() && t.holds(place),
			t.role == privateRole && t.clients == 0 && t.holds(place):
			return t
		}
	}
	return nil
}

// sharing returns a catch-up that was opened at the place's cursor and still
// holds all that came, or nil.
func (f *family) sharing(place Place) *Topic {
	for _, t := range f.topics {
		if t.role != catchUpRole || !t.usable() || place.Base == "" || t.start != place.Base {
			continue
		}
		if floor, _ := t.log.Bounds(); floor == 0 {
			return t
		}
	}
	return nil
}

// usable reports whether a client may be placed in a catch-up's log.
func (t *Topic) usable() bool {
	t.home.mu.Lock()
	defer t.home.mu.Unlock()
	return !t.merged && t.Status().Phase < Broken
}

// holds reports whether the log has the place, or the cursor that it counts
// from.
func (t *Topic) holds(place Place) bool {
	if place.ID == "" || place.Epoch != "" {
		return false
	}
	_, _, ok := t.locate(place)
	return ok
}

// locate returns where a place is in the log, and how many of the frames
// that count from its cursor the client has got and is not to be sent.
func (t *Topic) locate(place Place) (position, passed uint64, ok bool) {
	if position, ok = t.log.Find(place.ID); ok {
		return position, 0, true
	}
	if place.Ordinal > 0 {
		if position, ok = t.log.Find(place.Base); ok {
			return position, place.Ordinal, true
		}
	}
	return 0, 0, false
}
