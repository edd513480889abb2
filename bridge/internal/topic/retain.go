package topic

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A log is retained where it keeps frames until its readers have them, and its pump waits for
// that: the log of a private topic and of a catch-up always is, and main's is where a client
// opened it with an RPC of its own, which may begin with more than the log has room for. Main's is
// retained until other clients need main to continue and its readers keep up.
//
// A pump waits only while all of its readers are behind. A reader that keeps another one waiting
// is parted from the log: see part.go.

// reader is a client's part of a retained log. The lock of readers guards it.
type reader struct {
	holds bool // the log keeps frames for it
	// counts: the log waits for it. It does not wait for an old connection, of a private topic,
	// whose client may have reconnected.
	counts bool
	// writing: the client is being written to, up to target, so it is the client and not the bridge
	// that takes its time.
	writing bool
	visited bool // the bridge has written to it since it came to the log
	skips   bool // it skips frames that it has, and counts in readers.skippers
	at      int  // its index in readers.all
	// read is how far it has read, began where it began, and stood the position that it requested,
	// whose frame may be gone.
	read, began, stood uint64
	target             uint64
	parting
}

// readers are the clients of a retained log.
type readers struct {
	*Topic

	retaining atomic.Bool   // main's log is retained; changed under mu
	fullAt    atomic.Uint64 // the head of a retained log when it was last full
	skips     atomic.Uint64 // the position up to which clients of a catch-up skip frames, 0: none does; changed under mu

	mu       sync.Mutex      // taken before the log's
	all      []*Subscription // of a private log in the order in which they came
	skippers int             // how many of them skip frames
	shared   bool            // others than the client that opened main need it to continue
	least    uint64          // how far the slowest reader has read
	atLeast  int             // how many readers have read no further

	stall stall
}

// retainMain retains a main log for the client that is about to open it.
func (r *readers) retainMain() {
	r.log.SetRetain(true)
	r.retaining.Store(true)
}

// retained reports whether the log keeps frames until its readers have them.
func (r *readers) retained() bool { return r.role() != mainRole || r.retaining.Load() }

// arrives notes that nothing is being written to a client that has moved.
func (s *Subscription) arrives() {
	t := s.Topic
	t.readers.mu.Lock()
	defer t.readers.mu.Unlock()
	s.writing = false
}

// share notes that others than its client need a main log to continue.
func (r *readers) share() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shared = true
	r.release()
	r.stall.watchStall()
}

// Retained reports whether the pump may wait for the client, which has to report its Progress then.
// Until the client moves it may become false, but not true.
func (s *Subscription) Retained() bool { return s.Topic.readers.retained() }

// Sending notes that the client is being written to, up to a position. Progress follows when that
// is done.
func (s *Subscription) Sending(position uint64) {
	t := s.Topic
	if !t.readers.retained() {
		return
	}
	t.readers.mu.Lock()
	defer t.readers.mu.Unlock()
	s.writing, s.visited, s.target = true, true, position
}

// Taking notes that the client's socket has taken a part of what is being written: the client may
// be slow, but is not stuck.
func (s *Subscription) Taking() {
	t := s.Topic
	if !t.readers.retained() {
		return
	}
	t.readers.mu.Lock()
	defer t.readers.mu.Unlock()
	if s.counts && s.read == t.readers.least {
		t.log.NoteProgress()
	}
}

// Progress notes how far the client has read. The pump of a retained log waits for it.
func (s *Subscription) Progress(position uint64) {
	s.registry.reclaim() // frames are compressed when a reader asks, which takes memory
	t := s.Topic
	if !t.readers.retained() && !s.Parted() {
		return
	}
	t.readers.mu.Lock()
	defer t.readers.mu.Unlock()
	before := s.read
	s.read, s.writing = position, false
	if position >= t.log.Newest() {
		s.headAt = t.readers.stall.samples
	}
	if !s.holds {
		return
	}
	if t.role() == mainRole && t.readers.shared && t.readers.keepsUp(s) {
		t.readers.drop(s)
	}
	switch {
	case len(t.readers.all) == 0:
		t.readers.release()
	case !s.counts, before > t.readers.least, position == before: // the log waits for another one
	default:
		// There may be thousands of readers: they are examined only when the last one at that
		// position has moved.
		if t.readers.atLeast--; t.readers.atLeast == 0 {
			t.readers.release()
		}
	}
}

// waitsForClient reports whether the log is full because of a client that is being written to and
// takes its time.
func (r *readers) waitsForClient() bool {
	if !r.log.Full() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.all, func(s *Subscription) bool { return s.writing && s.visited && s.read == r.least })
}

// remove removes a reader; the log keeps its frames for the others.
func (r *readers) remove(s *Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(s)
	r.release()
}

// drop removes a reader. The readers of a private log stay in the order in which they came, and are
// few; those of another log have no order.
func (r *readers) drop(s *Subscription) {
	if !s.holds {
		return
	}
	s.holds = false
	r.endSkip(s)
	last := len(r.all) - 1
	if r.role() == privateRole {
		copy(r.all[s.at:], r.all[s.at+1:])
		for i, later := range r.all[s.at:last] {
			later.at = s.at + i
		}
	} else {
		r.all[s.at] = r.all[last]
		r.all[s.at].at = s.at
	}
	r.all[last] = nil
	r.all = r.all[:last]
}

// endSkip notes that a reader skips nothing any more. An ordinal says how many frames the client
// has got, and the log may hold fewer of them, or none, since a client may make an ordinal up. So a
// log waits for what its clients skip only while one of them does.
func (r *readers) endSkip(s *Subscription) {
	if !s.skips {
		return
	}
	s.skips = false
	if r.skippers--; r.skippers == 0 {
		r.skips.Store(0)
	}
}

// hasPassed notes that the client has passed everything that it skips, so that its log may merge.
func (r *readers) hasPassed(s *Subscription) {
	r.mu.Lock()
	r.endSkip(s)
	r.mu.Unlock()
	if r.skips.Load() > 0 || r.role() != catchUpRole || !r.home.meets {
		return
	}
	r.home.mu.Lock()
	defer r.home.mu.Unlock()
	if r.member.accepted && !r.member.removed {
		r.home.meetOthers(r.Topic)
	}
}

// release lets the log drop the frames that all readers have. A private topic may have several
// readers, since the connection before is not known to be dead: it does not wait for those as whose
// reconnect the newest one may have come.
func (r *readers) release() {
	if !r.retained() {
		return
	}
	defer r.wakePump()
	if r.role() == mainRole && r.shared {
		for _, s := range slices.Backward(r.all) {
			if r.keepsUp(s) {
				r.drop(s)
			}
		}
		if len(r.all) == 0 {
			r.retaining.Store(false)
			r.log.SetRetain(false)
			return
		}
	}
	if len(r.all) == 0 {
		return // a client that comes back may request the position at which the log stopped
	}
	newest := r.all[len(r.all)-1]
	r.least = newest.read
	for _, s := range r.all {
		if s.counts = s == newest || r.role() != privateRole || !newest.mayFollow(s); s.counts {
			r.least = min(r.least, s.read)
		}
	}
	r.atLeast = 0
	for _, s := range r.all {
		if s.counts && s.read == r.least {
			r.atLeast++
		}
	}
	r.log.Release(r.least)
}

// mayFollow reports whether the client may be the other one, reconnected. A client whose requested
// position precedes the other's start cannot be its reconnect: the other found the log by a cursor,
// which is as good as its own, while the client that opened the log was away.
func (s *reader) mayFollow(other *Subscription) bool { return s.stood >= other.began }

// keepsUp reports whether a reader has come to the head, and has not let the log fill up for as
// many frames as the log has room for.
func (r *readers) keepsUp(s *Subscription) bool {
	since := max(r.fullAt.Load(), s.Position) + uint64(r.params.Log.Events) //nolint:gosec // at least 1
	return s.read >= r.log.Newest() && s.read >= since
}

// full reports whether the pump has to wait for the log's readers.
func (r *readers) full() bool {
	if !r.log.Full() {
		return false
	}
	r.fullAt.Store(r.log.Newest())
	if r.role() == mainRole {
		r.home.mu.Lock()
		defer r.home.mu.Unlock()
		r.home.wakeAhead() // catch-ups that wait for main need not
	}
	return true
}

// stalls notes whether the pump waits because the log is full.
func (w *stall) stalls(stalled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalled = stalled
	w.watchStall()
}

// watchStall begins to sample a pump that waits, if one reader may be waiting for another.
func (w *stall) watchStall() {
	contested := len(w.all) > 1 || len(w.all) > 0 && w.role() == mainRole && w.shared
	if w.stalled && contested && w.watch == nil {
		w.calm = 0
		w.watch = time.AfterFunc(sampleEvery, w.sample)
	}
}
