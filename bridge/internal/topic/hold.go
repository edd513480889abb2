package topic

import "slices"

// A log is held where it waits for those who read it: that of a private topic
// and of a catch-up for good; and main's where a client opened it as an RPC of
// its own, which may begin with more than the log has room for. That one is held
// until others are there who need main to go on, and its readers keep up.

// holdMain holds a main log for the client that is to open it.
func (t *Topic) holdMain() {
	t.log.SetHold(true)
	t.holding.Store(true)
}

// held reports whether the log keeps what its readers have not got.
func (t *Topic) held() bool { return t.role != mainRole || t.holding.Load() }

// place finds the position at which a client starts, and holds a held log for
// it from there: it may stand further back than what was written to it before
// it was cut.
func (t *Topic) place(s *Subscription) {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	if !t.held() {
		s.place()
		return
	}
	t.log.Release(0) // nothing goes while it is placed
	s.place()
	s.read, s.began, s.stood = s.Position, s.Position, s.Position
	if place := s.join.Place; place.Epoch == t.epoch && place.Seq < s.stood {
		s.stood = place.Seq
	}
	t.readers = append(t.readers, s)
	t.shared = t.shared || len(t.readers) > 1
	t.release()
}

// share says that others than its client need a main log to go on.
func (t *Topic) share() {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	t.shared = true
	t.release()
}

// Held reports whether the pump may wait for the client, which then has to tell its
// Progress. Until the client moves it may become false, but not true.
func (s *Subscription) Held() bool { return s.Topic.held() }

// Progress says how far the client has read. The pump of a topic that holds its
// log waits for it.
func (s *Subscription) Progress(position uint64) {
	s.registry.reclaim() // what is compressed is compressed for a reader
	t := s.Topic
	if !t.held() {
		return
	}
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	s.read = position
	t.release()
}

// unhold holds the log for who is left.
func (t *Topic) unhold(s *Subscription) {
	t.readersMu.Lock()
	defer t.readersMu.Unlock()
	t.readers = slices.DeleteFunc(t.readers, func(other *Subscription) bool { return other == s })
	t.release()
}

// release gives up what the readers have got: all of them. A private topic may
// have several because the connection before is not known to be dead: it does not
// wait for those that the newest may have come back from.
func (t *Topic) release() {
	if !t.held() {
		return
	}
	defer t.wakePump()
	if t.role == mainRole && t.shared {
		t.readers = slices.DeleteFunc(t.readers, t.keepsUp)
		if len(t.readers) == 0 {
			t.holding.Store(false)
			t.log.SetHold(false)
			return
		}
	}
	if len(t.readers) == 0 {
		return // who comes back may stand where the log was held
	}
	newest := t.readers[len(t.readers)-1]
	read := newest.read
	for _, s := range t.readers {
		if t.role != privateRole || !newest.mayFollow(s) {
			read = min(read, s.read)
		}
	}
	t.log.Release(read)
}

// mayFollow reports whether the client may be the other one, come back. Who stands
// before where the other began is not: that one found the log by a cursor, as
// good as its own, while the client that opened it was away.
func (s *Subscription) mayFollow(other *Subscription) bool { return s.stood >= other.began }

// keepsUp reports whether a reader has come to the head, and has not let the log
// fill for as long as it takes to fill it.
func (t *Topic) keepsUp(s *Subscription) bool {
	_, head := t.log.Bounds()
	since := max(t.fullAt.Load(), s.Position) + uint64(t.params.Log.Events) //nolint:gosec // at least 1
	return s.read >= head && s.read >= since
}

// full reports whether the pump is to wait for the log's readers.
func (t *Topic) full() bool {
	if !t.log.Full() {
		return false
	}
	_, head := t.log.Bounds()
	t.fullAt.Store(head)
	if t.role == mainRole {
		t.home.mu.Lock()
		defer t.home.mu.Unlock()
		t.home.wakeAhead() // who waits for main need not
	}
	return true
}
