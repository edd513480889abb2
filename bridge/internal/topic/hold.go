package topic

import (
	"slices"
	"time"
)

// A log is held where its pump waits for its readers: that of a private topic
// and of a catch-up for good, and main's where a client opened it as an RPC of
// its own, which may begin with more than the log has room for. Main's is held
// until other clients need main to go on and its readers keep up.
//
// A pump waits only while all of its readers are behind. A reader that keeps
// another one waiting is parted from the log: see part.go.

// reader is a client's part of a held log, guarded by the log's readersMu.
type reader struct {
	holds bool // the log is held for it
	// counts is set where the log waits for it: not for an old connection, of a private
	// topic, whose client may have come back.
	counts bool
	at     int // in Topic.readers
	// read is how far it has got, began where it began, and stood where it said that
	// it stood, which may be gone.
	read, began, stood uint64
	// writing is set while the client is being written to, up to target: then it is
	// the client that takes its time, and not the bridge.
	writing bool
	target  uint64
	visited bool // the bridge has come round to it, since it came to the log
	skips   bool // it skips what it has got, and is in Topic.skippers
	parting
}

// holdMain holds a main log for the client that is to open it.
func (t *Topic) holdMain() {
	t.log.SetHold(true)
	t.holding.Store(true)
}

// held reports whether the log keeps what its readers have not got.
func (t *Topic) held() bool { return t.role() != mainRole || t.holding.Load() }

// place finds the position at which a client starts, and holds a held log for
// it from there: it may stand further back than what was written to it before
// it was cut.
func (t *Topic) place(s *Subscription) {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	s.reader = reader{}
	if !t.held() {
		s.place()
		return
	}
	t.log.Release(0) // nothing goes while it is placed
	s.place()
	s.read, s.began, s.stood = s.Position, s.Position, s.Position
	if passes := s.passes.Load(); passes > 0 {
		s.skips = true
		t.skippers++
		t.skips.Store(max(t.skips.Load(), s.Position+passes))
	}
	if place := s.join.Place; place.Epoch == t.epoch && place.Seq < s.stood {
		s.stood = place.Seq
	}
	// Until its first block has been written nothing is known of the client.
	s.holds, s.writing, s.target = true, true, s.Position
	s.headAt = t.samples
	s.at = len(t.readers)
	t.readers = append(t.readers, s)
	t.shared = t.shared || len(t.readers) > 1
	t.release()
	t.watchStall()
}

// arrives says that nothing is being written to a client that has moved.
func (s *Subscription) arrives() {
	t := s.Topic
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	s.writing = false
}

// share says that others than its client need a main log to go on.
func (t *Topic) share() {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	t.shared = true
	t.release()
	t.watchStall()
}

// Held reports whether the pump may wait for the client, which then has to tell its
// Progress. Until the client moves it may become false, but not true.
func (s *Subscription) Held() bool { return s.Topic.held() }

// Sending says that the client is being written to, up to a position. Progress
// follows when it has been.
func (s *Subscription) Sending(position uint64) {
	t := s.Topic
	if !t.held() {
		return
	}
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	s.writing, s.visited, s.target = true, true, position
}

// Taking says that the client's socket has taken a part of what is being written: the
// client may be slow, but is not stuck.
func (s *Subscription) Taking() {
	t := s.Topic
	if !t.held() {
		return
	}
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	if s.counts && s.read == t.least {
		t.log.Moves()
	}
}

// Progress says how far the client has read. The pump of a topic that holds its
// log waits for it.
func (s *Subscription) Progress(position uint64) {
	s.registry.reclaim() // what is compressed is compressed for a reader
	t := s.Topic
	if !t.held() && !s.Parted() {
		return
	}
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	before := s.read
	s.read, s.writing = position, false
	if position >= t.log.Newest() {
		s.headAt = t.samples
	}
	if !s.holds {
		return
	}
	if t.role() == mainRole && t.shared && t.keepsUp(s) {
		t.drop(s)
	}
	switch {
	case len(t.readers) == 0:
		t.release()
	case !s.counts, before > t.least, position == before: // the log waits for another one
	default:
		// There may be thousands, which are looked through once the last has moved.
		if t.atLeast--; t.atLeast == 0 {
			t.release()
		}
	}
}

// waitsForClient reports whether the log is full because of a client that is being
// written to, and takes its time.
func (t *Topic) waitsForClient() bool {
	if !t.log.Full() {
		return false
	}
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	return slices.ContainsFunc(t.readers, func(s *Subscription) bool { return s.writing && s.visited && s.read == t.least })
}

// unhold holds the log for the other readers.
func (t *Topic) unhold(s *Subscription) {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	t.drop(s)
	t.release()
}

// drop takes a reader out. The readers of a private log stay in the order of their
// coming, and they are few; those of another have no order.
func (t *Topic) drop(s *Subscription) {
	if !s.holds {
		return
	}
	s.holds = false
	t.endSkip(s)
	last := len(t.readers) - 1
	if t.role() == privateRole {
		copy(t.readers[s.at:], t.readers[s.at+1:])
		for i, later := range t.readers[s.at:last] {
			later.at = s.at + i
		}
	} else {
		t.readers[s.at] = t.readers[last]
		t.readers[s.at].at = s.at
	}
	t.readers[last] = nil
	t.readers = t.readers[:last]
}

// endSkip notes that a reader skips nothing any more. An ordinal says how many frames
// the client has got, and there may be fewer of them, or none: the client may have made
// it up. So a log waits for what its clients skip only while one does.
func (t *Topic) endSkip(s *Subscription) {
	if !s.skips {
		return
	}
	s.skips = false
	if t.skippers--; t.skippers == 0 {
		t.skips.Store(0)
	}
}

// hasPassed notes that the client has come past all that it skips, so that its log may
// merge.
func (t *Topic) hasPassed(s *Subscription) {
	t.readersMu.Lock()
	t.endSkip(s)
	t.readersMu.Unlock()
	if t.skips.Load() > 0 || t.role() != catchUpRole || !t.home.meets {
		return
	}
	t.home.mu.Lock()
	defer t.home.mu.Unlock()
	if t.accepted && !t.removed {
		t.home.meetOthers(t)
	}
}

// release gives up what the readers have got: all of them. A private topic may
// have several because the connection before is not known to be dead: it does not
// wait for those that the newest may have come back from.
func (t *Topic) release() {
	if !t.held() {
		return
	}
	defer t.wakePump()
	if t.role() == mainRole && t.shared {
		for _, s := range slices.Backward(t.readers) {
			if t.keepsUp(s) {
				t.drop(s)
			}
		}
		if len(t.readers) == 0 {
			t.holding.Store(false)
			t.log.SetHold(false)
			return
		}
	}
	if len(t.readers) == 0 {
		return // a client that comes back may stand where the log was held
	}
	newest := t.readers[len(t.readers)-1]
	t.least = newest.read
	for _, s := range t.readers {
		if s.counts = s == newest || t.role() != privateRole || !newest.mayFollow(s); s.counts {
			t.least = min(t.least, s.read)
		}
	}
	t.atLeast = 0
	for _, s := range t.readers {
		if s.counts && s.read == t.least {
			t.atLeast++
		}
	}
	t.log.Release(t.least)
}

// mayFollow reports whether the client may be the other one, come back. A client whose
// requested position precedes the other's start cannot be its reconnect: the other found
// the log by a cursor, as good as its own, while the client that opened it was away.
func (s *Subscription) mayFollow(other *Subscription) bool { return s.stood >= other.began }

// keepsUp reports whether a reader has come to the head, and has not let the log
// fill for as long as it takes to fill it.
func (t *Topic) keepsUp(s *Subscription) bool {
	since := max(t.fullAt.Load(), s.Position) + uint64(t.params.Log.Events) //nolint:gosec // at least 1
	return s.read >= t.log.Newest() && s.read >= since
}

// full reports whether the pump is to wait for the log's readers.
func (t *Topic) full() bool {
	if !t.log.Full() {
		return false
	}
	t.fullAt.Store(t.log.Newest())
	if t.role() == mainRole {
		t.home.mu.Lock()
		defer t.home.mu.Unlock()
		t.home.wakeAhead() // catch-ups that wait for main need not
	}
	return true
}

// stalls notes whether the pump waits because the log is full.
func (t *Topic) stalls(stalled bool) {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	t.stalled = stalled
	t.watchStall()
}

// watchStall begins to sample a pump that waits, where a reader may be waiting for
// another one.
func (t *Topic) watchStall() {
	contested := len(t.readers) > 1 || len(t.readers) > 0 && t.role() == mainRole && t.shared
	if t.stalled && contested && t.watch == nil {
		t.calm = 0
		t.watch = time.AfterFunc(sampleEvery, t.sample)
	}
}
