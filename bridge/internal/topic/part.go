package topic

import (
	"slices"
	"sync/atomic"
	"time"
)

// The pump of a retained log stops reading while the log is full of frames that one of its readers
// does not have. The other readers then wait for that one. The rule: a client delays no other client
// by more than a moment. So a reader that keeps another one, which has read everything, waiting at
// a full log is parted from it after waits: the log keeps nothing for it any more, and the client
// is placed by its own id in a catch-up of its own. The client does not notice: there is no block
// on the wire, and frames that it has by an ordinal are still not sent to it.
//
// A client whose place has no cursor cannot continue in another log. If it is the slow one, the log
// is left to it and the other readers are placed again; a main log becomes a catch-up then, and its
// family gets another main. If the others have no cursor either, the log continues without the slow
// one: often that is the same client's dead connection, and otherwise it lags.
//
// Samples find the slow readers while the pump waits. A reader at the lowest position whose socket
// does not take what is being written to it owes the others the time of the sample. A reader that
// the bridge has not written to yet owes nothing, however busy the machine is. A client that merely
// takes its part of a fast replay is forgiven a tenth of the time that passes.
const (
	// waits is how long, in all, a reader may keep others waiting.
	waits = 250 * time.Millisecond
	// sampleEvery is how often a stalled pump's readers are looked at.
	sampleEvery = 25 * time.Millisecond
	// calmSamples is the number of samples without a stall after which sampling ends.
	calmSamples = 3
)

// stall finds the readers for which a pump waits. The lock of readers guards it.
type stall struct {
	*readers

	stalled bool        // the pump waits, since the log is full
	watch   *time.Timer // samples a pump that waits; nil: it need not be
	samples uint64      // how many have been taken
	calm    int         // how many in a row have found the pump reading
}

// parting is what is known of a reader that may have to be parted from its log.
type parting struct {
	owes   time.Duration
	headAt uint64      // when it was last at the head, in stall.samples
	parted atomic.Bool // it has to be placed again
	alone  bool        // it is slow, and shares a log with no other client
	places *places     // where it may stand then; nil until a reader of its log is parted
}

// places are the positions at which a parted reader may stand: as it was when it was parted, or
// behind what was being written to it at that time.
type places struct{ from, to position }

// position is a position in a log, and the place in the stream that it is.
type position struct {
	number uint64
	place  Place
}

// Parted reports whether the client has to be placed again, by Move.
func (s *Subscription) Parted() bool { return s.parted.Load() }

// sample adds up how long readers keep others waiting.
func (w *stall) sample() {
	if w.lookAtReaders() {
		w.registry.part(w.Topic)
	}
}

// lookAtReaders takes a sample, and reports whether a reader keeps others waiting for too long.
func (w *stall) lookAtReaders() (late bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch = nil
	w.samples++
	if w.calm++; w.stalled {
		w.calm = 0
		late = w.charge()
	}
	if w.calm < calmSamples && len(w.all) > 0 {
		w.watch = time.AfterFunc(sampleEvery, w.sample)
	}
	return late
}

// charge adds a sample to the debt of the readers for which the log is full, and reports whether
// one owes too much.
func (w *stall) charge() (late bool) {
	others := w.othersWait()
	for _, s := range w.all {
		s.owes = max(0, s.owes-sampleEvery/10)
		if others && s.writing && s.read == w.least {
			s.owes += sampleEvery + sampleEvery/10
		}
		late = late || s.owes >= waits
	}
	return late
}

// othersWait reports whether a client waits for the log to continue.
func (w *stall) othersWait() bool {
	if w.role() == mainRole && w.shared {
		return true // a catch-up waits to meet main
	}
	return slices.ContainsFunc(w.all, w.waitsAtHead)
}

// waitsAtHead reports whether a reader has read everything.
func (w *stall) waitsAtHead(s *Subscription) bool { return !s.writing && s.read >= w.log.Newest() }

// slow reports whether a reader keeps others waiting, or would as soon as the one that does is
// gone.
func (w *stall) slow(s *Subscription) bool {
	const samples = uint64(waits / sampleEvery)
	return s.writing && s.read < w.log.Newest() && (s.owes >= waits || w.samples-s.headAt >= samples)
}

// part parts the slow readers of a log from the others.
func (r *Registry) part(t *Topic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || t.reg.gone || t.member.isMerged() {
		return
	}
	apart, demoted := t.readers.stall.partReaders()
	if apart {
		t.home.hide(t)
	}
	if demoted != nil {
		r.mains.demote(t, *demoted)
	}
	if apart {
		r.mains.ensureAgain(t)
	}
	t.log.Notify() // for readers to which nothing has to be written
}

// partReaders parts the readers. apart is set if the log must be hidden from other clients and
// logs, because it is not main's, or from now on is not. If it was main's until now, demoted is the
// join of the slow reader that keeps it; otherwise demoted is nil.
func (w *stall) partReaders() (apart bool, demoted *Join) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stalled || !w.othersWait() {
		return false, nil
	}
	var slow, fast, stuck []*Subscription // stuck: slow, and without a place in another log
	// forsaken: a client waits that cannot be placed in another log, because it has no place there
	// or because main keeps nothing for it any more, since it keeps up.
	forsaken := w.role() == mainRole && int(w.listening.Load()) > len(w.all)
	for _, s := range w.all {
		movable := s.findPlaces()
		switch late := w.slow(s); {
		case late && movable:
			slow = append(slow, s)
		case late:
			stuck = append(stuck, s)
		case movable:
			fast = append(fast, s)
		default:
			forsaken = forsaken || w.waitsAtHead(s)
		}
	}
	for _, s := range slow {
		w.partReader(s, true)
	}
	switch {
	case len(stuck) == 0:
	case forsaken:
		for _, s := range stuck {
			w.drop(s)
		}
	default:
		for _, s := range fast {
			w.partReader(s, false)
		}
		w.reg.mainJoin = stuck[0].join
		if w.role() == mainRole {
			demoted = w.reg.mainJoin
		}
	}
	w.release()
	return w.role() != mainRole || demoted != nil, demoted
}

// partReader parts one reader; alone says that it shares no log with other clients.
func (w *stall) partReader(s *Subscription, alone bool) {
	w.drop(s)
	w.reg.mainJoin = s.join
	s.alone = alone
	s.parted.Store(true)
	w.registry.counts.Parted.Add(1)
}

// findPlaces finds the places by which the client can continue in another log, and reports whether
// it can.
func (s *Subscription) findPlaces() bool {
	if s.join == nil {
		return false
	}
	s.places = &places{from: position{number: s.read}, to: position{number: max(s.read, s.target)}}
	for _, p := range []*position{&s.places.from, &s.places.to} {
		if p.place = s.join.Place; s.passes.Load() == 0 {
			p.place = s.join.Parse(s.Topic.log.ID(p.number))
		}
		// A client without an id begins again, where each client has an RPC of its own.
		begins := p.place.ID == "" && s.join.Own
		if resumes := s.join.Resumable && p.place.Cursor != nil; !begins && !resumes {
			return false
		}
	}
	return true
}

// placeAgain returns where a parted client stands. A client that has only skipped frames since then
// stands where it came in.
func (s *Subscription) placeAgain() (place Place, alone bool) {
	t := s.Topic
	t.readers.mu.Lock()
	defer t.readers.mu.Unlock()
	switch s.read {
	case s.places.from.number:
		return s.places.from.place, s.alone
	case s.places.to.number:
		return s.places.to.place, s.alone
	}
	return s.join.Place, s.alone
}
