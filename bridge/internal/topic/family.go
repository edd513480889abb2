package topic

import (
	"errors"
	"sync"
	"time"
)

// errOver ends the pump of a log that another one goes on from, or that its family has
// given up.
var errOver = errors.New("topic: another log goes on, or none")

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
	main    *Topic              // the topic that new clients join; nil for private topics
	topics  map[string]*Topic   // by epoch: main, catch-ups, private ones, finished ones that linger
	resting map[*Topic]struct{} // private ones without a client; under the registry's lock alone
	again   pace                // of main logs one after another; under the registry's lock alone

	mu       sync.Mutex          // below the registry's lock, above the logs'
	index    index               // of catch-ups
	privates index               // of private topics whose ids have an age, by the newest id alone
	ahead    map[*Topic]struct{} // catch-ups whose pumps wait for main
}

func newFamily(join Join) *family {
	return &family{
		key: join.Key, owner: join.Owner, meets: join.Resumable && join.Ordered,
		topics: map[string]*Topic{}, resting: map[*Topic]struct{}{}, ahead: map[*Topic]struct{}{},
	}
}

// add takes in a topic.
func (f *family) add(t *Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.topics[t.epoch] = t
	switch t.role() {
	case mainRole:
		f.main = t
	case catchUpRole:
		f.index.stand(t, t.start)
		if !t.apart {
			f.index.hold(t, t.start)
		}
	case privateRole:
		if t.params.Dated {
			f.privates.stand(t, t.start)
		}
	}
}

// remove takes out a topic that has ended, and ends its RPC.
func (f *family) remove(t *Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.haltLocked()
	t.accepted, t.removed = false, true
	delete(f.topics, t.epoch)
	delete(f.resting, t)
	delete(f.ahead, t)
	if t.role() == privateRole {
		f.privates.drop(t)
	} else {
		f.index.drop(t)
	}
	if f.main == t {
		f.main = nil
		f.wakeAhead()
	}
}

// grow appends a frame to a log of the family and sees which logs meet. breaks
// says that the frame is a gap that breaks the order of cursors.
func (t *Topic) grow(frame []byte, id string, breaks bool) error {
	f := t.home
	private := t.role() == privateRole
	if private && !t.params.Dated || !private && !f.meets && !breaks { // no other log's business
		t.log.Append(frame, id)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.merged || t.removed {
		return errOver // a message was being rendered meanwhile
	}
	t.log.Append(frame, id)
	if private {
		f.privates.stand(t, id)
		return nil
	}
	if breaks {
		t.gapAt, _ = t.log.Head()
		f.index.stand(t, "") // no other log has a gap's id
		return nil
	}
	f.index.stand(t, id)
	if f.meetOthers(t); t.merged {
		return errOver
	}
	f.mergeAt(id, t)
	if t.role() == catchUpRole && !t.apart {
		f.index.hold(t, id)
	}
	return nil
}

// mergeAt merges the catch-ups that stand at an id into a log that holds it.
func (f *family) mergeAt(id string, t *Topic) {
	if id == "" || t.apart || f.index.standing[id] == nil || !t.takesIn(id) {
		return
	}
	for other := f.index.standing[id]; other != nil; {
		next := other.entry.next // it is taken out of the list when it merges
		if other != t && (!other.apart || t.takesSlow()) && other.goesOnIn(t) {
			f.merge(other)
		}
		other = next
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
	if t.role() != privateRole {
		f.index.stand(t, "")
	}
	t.log.Append(frame, id)
	t.log.Close()
	return true
}

// setAccepted notes whether the topic has a running RPC. One that has got it
// anew may hold what catch-ups are waiting for.
func (t *Topic) setAccepted(accepted bool) {
	f := t.home
	if !f.meets || t.role() == privateRole {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.removed {
		return
	}
	if t.accepted = accepted; accepted {
		f.welcome(t)
	}
	if t == f.main {
		f.wakeAhead()
	}
}

// welcome sees which logs a topic meets that has got an RPC. A new one holds no id
// but that at which it began; one that got its RPC back may have a whole log.
func (f *family) welcome(t *Topic) {
	f.meetOthers(t)
	if t.merged {
		return
	}
	for _, id := range t.log.IDs() {
		f.mergeAt(id, t)
		if other := f.index.holders[id]; t.role() == catchUpRole && !t.apart && other != t && (other == nil || !other.reaches(id)) {
			f.index.hold(t, id)
		}
	}
}

// meetOthers merges a catch-up into a log that holds its newest id, main first.
func (f *family) meetOthers(t *Topic) {
	if t.role() != catchUpRole || t.merged || t.newest == "" {
		return
	}
	if f.main != nil && f.main.reaches(t.newest) && (!t.apart || f.main.takesSlow()) && t.goesOnIn(f.main) {
		f.merge(t)
		return
	}
	if other := f.index.holders[t.newest]; !t.apart && other != nil && other != t && other.takesIn(t.newest) && t.goesOnIn(other) {
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

// goesOnIn reports whether the clients of a catch-up can be placed in a log that
// holds its newest id. A client that still skips what it has got, by an ordinal of its
// id, has its own place ahead of the catch-up: it needs that place, or the cursor that
// the ordinal counts from. Else it would open the next catch-up at the same cursor,
// over and over.
func (t *Topic) goesOnIn(other *Topic) bool {
	return t.log.Newest() >= t.skips.Load() || other.reaches(t.start)
}

// takesIn reports whether a catch-up that stands at the id may merge into this log.
// Where catch-ups are bounded, each has a bound of its own, and none takes in another
// one while it replays: a chain of catch-ups would have no bound.
func (t *Topic) takesIn(id string) bool {
	return (t.role() == mainRole || t.params.CatchUp == 0 || t.replayed.Load()) && t.reaches(id)
}

// takesSlow reports whether a catch-up that is apart, since its client is slow, may merge
// into this log: into main alone, and not while main waits for its readers, or the
// client would hold these up once more, and again each time it is parted.
func (t *Topic) takesSlow() bool { return t == t.home.main && !t.held() }

// merge ends a catch-up. Its clients read what it holds and are then placed
// anew, each by its own id; in which log, is seen then.
func (f *family) merge(t *Topic) {
	t.merged, t.accepted = true, false
	t.log.Close()
	t.haltLocked()
	f.index.drop(t)
}

// mainPatience is how long a catch-up waits for a main log that does not move.
const mainPatience = time.Second

// ahead reports whether a catch-up has passed main's newest frame: it waits for
// main then, or the two could stay one message apart for ever; unless main
// itself waits for a client, or its RPC brings nothing. When main comes to the
// catch-up's newest id, the two merge; whether it passes by is looked at now and
// then, and not at each frame of main's, for which many may wait.
func (t *Topic) ahead() bool {
	f := t.home
	if t.role() != catchUpRole || !f.meets {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	main := f.main
	ahead := main != nil && main != t && main.accepted && !main.finished() && !main.log.Full() &&
		main.newest != "" && t.newest != main.newest && t.reaches(main.newest) &&
		main.log.Time(time.Now())-main.log.NewestAt() < mainPatience
	if ahead {
		f.ahead[t] = struct{}{}
	} else {
		delete(f.ahead, t)
	}
	return ahead
}

// wakeAhead lets the catch-ups that wait for main look again.
func (f *family) wakeAhead() {
	for t := range f.ahead {
		t.wakePump()
	}
}

// byEpoch returns the topic whose log has the name, or nil.
func (f *family) byEpoch(epoch string) *Topic { return f.topics[epoch] }

// byCursor returns the topic whose log goes on from a place, or nil: main, unless
// its stream has ended and another is to follow, then catch-ups, and private topics
// without a client. A client that is alone shares no log that waits for its
// readers.
func (f *family) byCursor(place Place, alone bool) *Topic {
	if main := f.main; main != nil && (!alone || main.takesSlow()) && main.holds(place) {
		return main
	}
	if !f.meets {
		return nil
	}
	if t := f.catchUp(place); t != nil && !alone && t.holds(place) {
		return t
	}
	for t := range f.resting {
		if t.holds(place) {
			return t
		}
	}
	return nil
}

// privateAt reports whether a private topic with a running RPC has an id as its newest.
func (f *family) privateAt(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t := f.privates.standing[id]; t != nil; t = t.entry.next {
		if t.Status().Phase == Live {
			return true
		}
	}
	return false
}

// sharing returns a catch-up that was opened at the place's cursor and still
// holds all that came, or nil.
func (f *family) sharing(place Place) *Topic {
	t := f.catchUp(Place{ID: place.Base})
	if t == nil || t.start != place.Base {
		return nil
	}
	if floor, _ := t.log.Bounds(); floor > 0 {
		return nil
	}
	return t
}

// catchUp returns a catch-up that clients may be placed in and that may hold the
// place, or nil.
func (f *family) catchUp(place Place) *Topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range []string{place.ID, place.Base} {
		if t := f.index.holders[id]; t != nil && t.Status().Phase < Broken {
			return t
		}
	}
	return nil
}

// holds reports whether the log has the place, or the cursor that it counts
// from.
func (t *Topic) holds(place Place) bool {
	if place.ID == "" || place.Epoch != "" || place.TooOld {
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
