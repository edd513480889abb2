package topic

import (
	"slices"
	"sync/atomic"
	"time"
)

// The pump of a held log stops reading while the log is full of frames that one
// of its readers has not got. The other readers then wait for that one. The rule:
// a client delays no other client by more than a moment. So a reader that keeps
// another one waiting, at the head of a full log, is parted from it after waits:
// the log is not held for it any more, and it is placed anew by its own id, in a
// catch-up that is its own. The client notices nothing: there is no block on the
// wire, and what it has got by an ordinal it is still not sent.
//
// A client whose place has no cursor can go on in no other log. Where it is the
// one that is slow, the log is left to it, and the other readers are placed anew;
// a main log becomes a catch-up then, so that its family gets another main. Where
// the others have no cursor either, the log goes on without the slow one: it is as
// often the same client's dead connection, and else it lags.
//
// Samples find the slow readers while the pump waits: a reader at the lowest
// position whose socket does not take what is being written to it owes the others
// the time of the sample. A reader that the bridge has not visited yet owes
// nothing, however busy the machine is. A client that merely takes its part of a
// fast replay is forgiven a tenth of the time that passes.
const (
	// waits is for how long, in all, a reader may keep others waiting in a log.
	waits = 250 * time.Millisecond
	// sampleEvery is how often a stalled pump's readers are looked at.
	sampleEvery = 25 * time.Millisecond
	// calmSamples is the number of samples without a stall after which sampling ends.
	calmSamples = 3
)

// parting is what is known of a reader that may have to be parted from its log.
type parting struct {
	owes   time.Duration
	headAt uint64      // when it last was at the head, in Topic.samples
	parted atomic.Bool // it is to be placed anew
	// Where it then stands: as it was when it was parted, or behind what was being
	// written to it at that time.
	from, to position
	alone    bool // it is slow, and shares a log with no other client
}

// position is one of a log, and the place in the stream that it is.
type position struct {
	number uint64
	place  Place
}

// Parted reports whether the client is to be placed anew, by Move.
func (s *Subscription) Parted() bool { return s.parted.Load() }

// sample adds up for how long readers keep others waiting.
func (t *Topic) sample() {
	if t.lookAtReaders() {
		t.registry.part(t)
	}
}

func (t *Topic) lookAtReaders() (late bool) {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	t.watch = nil
	t.samples++
	if t.calm++; t.stalled {
		t.calm = 0
		late = t.charge()
	}
	if t.calm < calmSamples && len(t.readers) > 0 {
		t.watch = time.AfterFunc(sampleEvery, t.sample)
	}
	return late
}

// charge has the readers for which the log is full owe the others a sample, and
// reports whether one owes too much.
func (t *Topic) charge() (late bool) {
	others := t.othersWait()
	for _, s := range t.readers {
		s.owes = max(0, s.owes-sampleEvery/10)
		if others && s.writing && s.read == t.least {
			s.owes += sampleEvery + sampleEvery/10
		}
		late = late || s.owes >= waits
	}
	return late
}

// othersWait reports whether a client waits for the log to go on.
func (t *Topic) othersWait() bool {
	if t.role() == mainRole && t.shared {
		return true // a catch-up waits to meet it
	}
	return slices.ContainsFunc(t.readers, t.waitsAtHead)
}

func (t *Topic) waitsAtHead(s *Subscription) bool { return !s.writing && s.read >= t.log.Newest() }

// slow reports whether a reader keeps others waiting, or would as soon as the one
// that does is gone.
func (t *Topic) slow(s *Subscription) bool {
	const samples = uint64(waits / sampleEvery)
	return s.writing && s.read < t.log.Newest() && (s.owes >= waits || t.samples-s.headAt >= samples)
}

// part parts the slow readers of a log from the others.
func (r *Registry) part(t *Topic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || t.gone || t.isMerged() {
		return
	}
	apart, demoted := t.partReaders()
	if apart {
		t.home.hide(t)
	}
	if demoted != nil {
		r.demote(t, *demoted)
	}
	if apart {
		r.ensureMain(t)
	}
	t.log.Notify() // for readers that have nothing to be written
}

// ensureMain sees to it that a catch-up which is apart has a main log with an RPC,
// since it meets no other log.
func (r *Registry) ensureMain(t *Topic) {
	main := t.leansOn
	if main == nil || t.wish == nil {
		return
	}
	if main == t.home.main && !main.finished() {
		r.revive(main)
		r.run(main)
		return
	}
	t.leansOn = nil
	r.lean(t, *t.wish)
	r.release(main)
}

// mainStopped opens main again where catch-ups are apart, since no client need come
// back that would have it opened. Where its stream has ended, another one begins; the
// next one after that begins after a pause that doubles as long as they bring no
// message, since an RPC without a cursor may end at once, each time.
func (r *Registry) mainStopped(main *Topic) {
	f := main.home
	if r.closed || main.gone || main != f.main {
		return
	}
	pause := time.Duration(0)
	if main.finished() {
		now := time.Now()
		pause = f.again.next.Sub(now)
		f.again.backoff = main.params.Backoff
		f.again.ended(now.Add(max(pause, 0)), main.Status().Messages)
	}
	if pause <= 0 {
		r.keepMain(main)
		return
	}
	time.AfterFunc(pause, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.closed {
			r.keepMain(main)
		}
	})
}

// keepMain gives the catch-ups that are apart and keep a main log one with an RPC.
func (r *Registry) keepMain(main *Topic) {
	for _, t := range main.home.topics {
		if t.apart && t.leansOn == main && !t.isMerged() {
			r.ensureMain(t)
		}
	}
}

// partReaders parts the readers. The log is apart from then on if it is not main's,
// or is no longer to be: then its slow reader's wish is returned.
func (t *Topic) partReaders() (apart bool, demoted *Join) {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	if !t.stalled || !t.othersWait() {
		return false, nil
	}
	var slow, fast, stuck []*Subscription // stuck: slow, and at home in no other log
	// forsaken: a client waits that is at home in no other log, or that main is not held
	// for any more, since it keeps up; it cannot be placed anew.
	forsaken := t.role() == mainRole && int(t.listening.Load()) > len(t.readers)
	for _, s := range t.readers {
		movable := s.findPlaces()
		switch late := t.slow(s); {
		case late && movable:
			slow = append(slow, s)
		case late:
			stuck = append(stuck, s)
		case movable:
			fast = append(fast, s)
		default:
			forsaken = forsaken || t.waitsAtHead(s)
		}
	}
	for _, s := range slow {
		t.partReader(s, true)
	}
	switch {
	case len(stuck) == 0:
	case forsaken:
		for _, s := range stuck {
			t.drop(s)
		}
	default:
		for _, s := range fast {
			t.partReader(s, false)
		}
		t.wish = stuck[0].join
		if t.role() == mainRole {
			demoted = t.wish
		}
	}
	t.release()
	return t.role() != mainRole || demoted != nil, demoted
}

func (t *Topic) partReader(s *Subscription, alone bool) {
	t.drop(s)
	t.wish = s.join
	s.alone = alone
	s.parted.Store(true)
	t.registry.counts.Parted.Add(1)
}

// findPlaces finds the client's places by which it can go on in another log, and
// reports whether it can.
func (s *Subscription) findPlaces() bool {
	if s.join == nil {
		return false
	}
	s.from.number, s.to.number = s.read, max(s.read, s.target)
	for _, p := range []*position{&s.from, &s.to} {
		if p.place = s.join.Place; s.passes.Load() == 0 {
			p.place = s.join.Parse(s.Topic.log.ID(p.number))
		}
		// A client without an id begins anew, where each has an RPC of its own.
		begins := p.place.ID == "" && s.join.Own
		if resumes := s.join.Resumable && p.place.Cursor != nil; !begins && !resumes {
			return false
		}
	}
	return true
}

// placeAnew is where a client stands that has been parted. One that has only passed
// frames since stands where it came in.
func (s *Subscription) placeAnew() (place Place, alone bool) {
	t := s.Topic
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	switch s.read {
	case s.from.number:
		return s.from.place, s.alone
	case s.to.number:
		return s.to.place, s.alone
	}
	return s.join.Place, s.alone
}

// demote leaves a main log to a client that is slow in it and at home in no other:
// it goes on as that client's catch-up. The family gets another main, and the
// catch-ups that kept this one keep that.
func (r *Registry) demote(t *Topic, join Join) {
	f := t.home
	f.mu.Lock()
	t.readersMu.Lock()
	t.roleNow.Store(int32(catchUpRole))
	t.readersMu.Unlock()
	f.main = nil
	f.index.stand(t, t.newest)
	f.wakeAhead()
	f.mu.Unlock()
	for _, other := range f.topics {
		if other.leansOn == t {
			other.leansOn = nil
			t.clients--
			r.lean(other, join)
		}
	}
	r.lean(t, join)
}

// hide has a log found by no cursor any more, and no other merge into it: clients
// that come would only wait for its readers once more.
func (f *family) hide(t *Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.apart = true
	f.index.hide(t)
}
