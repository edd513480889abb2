package topic

import (
	"errors"
	"slices"
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
	key   string
	owner *Owner // may be nil
	// meets is set where logs are found by cursor and may merge.
	meets bool

	// Guarded by the registry's lock; changed under both, so that either
	// suffices to read.
	main   *Topic   // whom new clients join; nil for private topics
	topics []*Topic // main, catch-ups, private ones, finished ones that linger

	mu sync.Mutex // below the registry's lock, above the logs'

	// The catch-ups that others may meet. After a restart there are as many as
	// clients, of which few at a time have an RPC, so that those which only wait
	// for one are looked up and not walked over.
	begun   []*Topic          // have, or had, an RPC
	waiting map[string]*Topic // have never had one, by the id after which their logs begin
}

// add takes in a topic.
func (f *family) add(t *Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.topics = append(f.topics, t)
	switch {
	case t.role == mainRole:
		f.main = t
	case t.role == catchUpRole && t.start != "":
		f.waiting[t.start] = t
	}
}

// remove takes out a topic that has ended, and ends its RPC.
func (f *family) remove(t *Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.haltLocked()
	t.accepted, t.removed = false, true
	if f.main == t {
		f.main = nil
	}
	f.topics = slices.DeleteFunc(f.topics, func(other *Topic) bool { return other == t })
	f.forget(t)
	f.wakeAhead()
}

// forget lets nobody meet a catch-up any more.
func (f *family) forget(t *Topic) {
	if f.waiting[t.start] == t {
		delete(f.waiting, t.start)
	}
	f.begun = slices.DeleteFunc(f.begun, func(other *Topic) bool { return other == t })
}

// grow appends a frame to a log of the family and sees who meets. breaks says
// that the frame is a gap that breaks the order of cursors.
func (t *Topic) grow(frame []byte, id string, breaks bool) error {
	f := t.home
	if !f.meets && !breaks { // nobody else's business
		t.log.Append(frame, id)
		return nil
	}
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
	t.newest = id
	if f.meetOthers(t); t.merged {
		return errMerged
	}
	f.mergeAt(id, t)
	if t == f.main {
		f.wakeAhead()
	}
	return nil
}

// mergeAt merges the catch-ups that stand at an id into a log that holds it.
func (f *family) mergeAt(id string, t *Topic) {
	if other := f.waiting[id]; other != nil {
		f.mergeIf(other, t, id)
	}
	for _, other := range slices.Backward(f.begun) { // for who merges is taken out
		f.mergeIf(other, t, id)
	}
}

// mergeIf merges a catch-up into a log if that holds the id at which it stands.
func (f *family) mergeIf(other, t *Topic, id string) {
	if other != t && id != "" && other.newest == id && t.reaches(id) {
		f.merge(other)
	}
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
	if t.removed {
		return
	}
	t.accepted = accepted
	if accepted {
		f.welcome(t)
	}
	f.wakeAhead()
}

// welcome sees whom a topic meets that has got an RPC.
func (f *family) welcome(t *Topic) {
	if t.role == catchUpRole && !t.merged && !slices.Contains(f.begun, t) {
		f.forget(t)
		f.begun = append(f.begun, t)
	}
	f.meetOthers(t)
	for _, other := range slices.Backward(f.begun) {
		f.mergeIf(other, t, other.newest)
	}
	if _, head := t.log.Bounds(); head == 0 {
		return // what it holds is where it began, and nobody waits there
	}
	for id, other := range f.waiting {
		f.mergeIf(other, t, id)
	}
}

// meetOthers merges a catch-up into a log that holds its newest id, main first.
func (f *family) meetOthers(t *Topic) {
	if t.role != catchUpRole || t.merged || t.newest == "" {
		return
	}
	met := f.main != nil && f.main.reaches(t.newest) || slices.ContainsFunc(f.begun, func(other *Topic) bool {
		return other != t && other.reaches(t.newest)
	})
	if met {
		f.merge(t)
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

// merge ends a catch-up. Its clients read what it holds and are then placed
// anew, each by its own id; in which log, is seen then.
func (f *family) merge(t *Topic) {
	t.merged, t.accepted = true, false
	t.log.Close()
	t.haltLocked()
	f.forget(t)
}

// ahead reports whether a catch-up has passed main's newest frame: it waits for
// main then, or the two could stay one message apart for ever; unless main
// itself waits for a client.
func (t *Topic) ahead() bool {
	f := t.home
	if t.role != catchUpRole || !f.meets {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	main := f.main
	return main != nil && main != t && main.accepted && !main.finished() && !main.log.Full() &&
		main.newest != "" && t.newest != main.newest && t.reaches(main.newest)
}

// wakeAhead lets the catch-ups that wait for main look again.
func (f *family) wakeAhead() {
	for _, t := range f.begun {
		t.wakePump()
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
	if t := f.catchUp(func(t *Topic) bool { return t.holds(place) }, place.Base); t != nil {
		return t
	}
	for _, t := range f.topics {
		if t.role == privateRole && t.clients == 0 && t.holds(place) {
			return t
		}
	}
	return nil
}

// sharing returns a catch-up that was opened at the place's cursor and still
// holds all that came, or nil.
func (f *family) sharing(place Place) *Topic {
	return f.catchUp(func(t *Topic) bool {
		floor, _ := t.log.Bounds()
		return t.start == place.Base && floor == 0
	}, place.Base)
}

// catchUp returns a catch-up that fits and in whose log a client may be placed: one
// that has begun, or the one that waits to begin after an id.
func (f *family) catchUp(fits func(*Topic) bool, after string) *Topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	usable := func(t *Topic) bool { return t != nil && t.Status().Phase < Broken && fits(t) }
	if i := slices.IndexFunc(f.begun, usable); i >= 0 {
		return f.begun[i]
	}
	if t := f.waiting[after]; usable(t) {
		return t
	}
	return nil
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
