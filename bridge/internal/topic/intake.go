package topic

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// largeMessage is from where a message needs room before it is read.
	largeMessage = 64 << 10
	// nextMessage is how long an RPC may say nothing until the room for its next
	// message is given back. A stream may be silent for hours; a message that is
	// on its way already comes sooner.
	nextMessage = 25 * time.Millisecond
	// rememberSize is how long the size of a large message is expected again from
	// other RPCs of its owner; twice that at most.
	rememberSize = time.Minute
	// patience is how long a pump waits for room until clients that take nothing are
	// cut for it. Such a client has taken nothing for stuckAfter; one whose log keeps
	// more than its part, while that of the pump would not, for stuckLarge.
	patience   = time.Second
	stuckAfter = 5 * time.Second
	stuckLarge = 2 * time.Second
	// relieveAgain spaces the looks at all topics.
	relieveAgain = 50 * time.Millisecond
)

// Logs that keep messages for readers are bounded in all. A pump does not know a
// message's size before it has read it: one that follows a large one, or is the first of
// an RPC where others had large ones lately, waits for room as if it were as large.

// message is the room for the next message of an RPC. It is given back once, when
// the message is in the log or has not come for a while.
type message struct {
	once  sync.Once
	quiet *time.Timer
	give  func()
}

// done gives the room back. It may be called on nil, and again.
func (m *message) done() {
	if m != nil {
		m.quiet.Stop()
		m.once.Do(m.give)
	}
}

// makeRoom waits until there is room for the RPC's next message. The nil message
// needs none.
func (t *Topic) makeRoom(ctx context.Context) (*message, error) {
	if !t.held() {
		return nil, nil //nolint:nilnil // see above
	}
	reserved, err := t.reserve(ctx, t.nextSize())
	if err != nil || reserved == 0 {
		return nil, err
	}
	m := &message{give: func() { t.registry.budget.Unreserve(reserved) }}
	m.quiet = time.AfterFunc(nextMessage, func() { m.once.Do(m.give) })
	return m, nil
}

// nextSize returns how large the next frame is expected to be, 0 unless it is
// large.
func (t *Topic) nextSize() int64 {
	size := t.last
	if !t.received {
		size = max(size, t.home.owner.expects())
	}
	if size < largeMessage {
		return 0
	}
	return size
}

// reserve waits for room among the frames that are kept for readers, and returns
// what it has reserved. For its first message an RPC waits no longer than patience
// and then does without, since that message may well be small: a new client is not
// to wait for clients that have taken nothing for long.
func (t *Topic) reserve(ctx context.Context, bytes int64) (reserved int64, err error) {
	if bytes == 0 {
		return 0, nil
	}
	budget := t.registry.budget
	ok, freed := budget.Reserve(t.log.Kept(), bytes)
	if ok {
		return bytes, nil
	}
	done := budget.Wait()
	defer done()
	again := time.NewTimer(patience)
	defer again.Stop()
	for {
		waited := false
		select {
		case <-freed:
		case <-again.C:
			waited = true
			t.turn.Load().giveBack() // it may wait for long
			t.registry.relieveFor(t.log.Kept(), bytes)
			again.Reset(patience)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if ok, freed = budget.Reserve(t.log.Kept(), bytes); ok {
			return bytes, nil
		}
		if waited && !t.received {
			return 0, nil
		}
	}
}

// took notes the size of a message, as wire bytes or as a frame.
func (t *Topic) took(size int) {
	t.last = max(t.last, int64(size))
	if t.last >= largeMessage {
		t.home.owner.sees(t.last)
	}
}

// sizes is how large the large messages of an owner's topics have been lately.
type sizes struct {
	mu          sync.Mutex
	now, before int64
	since       time.Time
}

func (o *Owner) sees(size int64) {
	if o == nil {
		return
	}
	s := &o.sizes
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn()
	s.now = max(s.now, size)
}

func (o *Owner) expects() int64 {
	if o == nil {
		return 0
	}
	s := &o.sizes
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn()
	return max(s.now, s.before)
}

func (s *sizes) turn() {
	now := time.Now()
	switch past := now.Sub(s.since); {
	case past >= 2*rememberSize:
		s.now, s.before, s.since = 0, 0, now
	case past >= rememberSize:
		s.now, s.before, s.since = 0, s.now, now
	}
}

// keeper is a topic whose log keeps frames for readers that have not got them.
type keeper struct {
	topic  *Topic
	memory int64
	since  time.Duration // for how long its readers have taken nothing
}

// relieve gives back memory of frames that are kept for readers, where these have
// more than their share: first that of topics without clients, then that of clients
// that have taken nothing for a while, the largest first, and that of any client
// only where it is far above the share. Such a client is cut, since it would not
// read a last block either; it comes back by itself.
func (r *Registry) relieve() {
	if !r.budget.HeldOver() {
		return // as after most messages, and most writes to a client
	}
	now := r.now()
	if now < time.Duration(r.relieved.Load())+relieveAgain {
		return
	}
	r.relieved.Store(int64(now))
	r.relieveWhere(func(k keeper) bool {
		return r.budget.HeldFarOver() || r.budget.HeldOver() && (k.topic.clients == 0 || k.since >= patience)
	})
}

// relieveFor does so for a pump that has waited for room for so many bytes, besides
// those that its log keeps: clients that have been stuck for long are cut even where
// all is within the share. Where the log would keep no more than its equal part, those
// that keep more than theirs are cut sooner.
func (r *Registry) relieveFor(kept, wanted int64) {
	r.relieve()
	small := kept+wanted <= r.budget.Share()
	if now := r.now(); !small && now < time.Duration(r.vain.Load())+relieveAgain {
		return // another pump has just looked in vain, for clients of the same kind
	}
	found := r.relieveWhere(func(k keeper) bool {
		least := stuckAfter
		if small && k.memory > r.budget.Share() {
			least = stuckLarge
		}
		return !r.budget.HeldFits(kept, wanted) && (k.topic.clients == 0 || k.since >= least)
	})
	if !found && !small {
		r.vain.Store(int64(r.now()))
	}
}

// relieveWhere takes the memory of those that keep frames which pass, one after the
// other, and asks again for each. It reports whether one did.
func (r *Registry) relieveWhere(pass func(keeper) bool) (found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	for _, k := range r.keepers() {
		if pass(k) {
			r.relieveOf(k.topic)
			found = true
		}
	}
	return found
}

// keepers returns the topics that keep frames, in the order in which they are to
// give them up.
func (r *Registry) keepers() []keeper {
	var all []keeper
	for _, f := range r.families {
		for _, t := range f.topics {
			if memory, since := t.log.Pinned(); memory > 0 {
				all = append(all, keeper{t, memory, since})
			}
		}
	}
	rank := func(k keeper) int {
		switch {
		case k.topic.clients == 0:
			return 0
		case k.since >= patience:
			return 1
		}
		return 2
	}
	slices.SortFunc(all, func(a, b keeper) int {
		if by := rank(a) - rank(b); by != 0 {
			return by
		}
		return int(min(max(b.memory-a.memory, -1), 1))
	})
	return all
}

// relieveOf ends a private topic, or cuts those readers of another that keep its
// log from dropping what the others have got.
func (r *Registry) relieveOf(t *Topic) {
	if t.clients == 0 {
		r.evict(t, evictedBytes)
		return
	}
	t.readersMu.Lock()
	readers := slices.Clone(t.readers)
	t.readersMu.Unlock()
	if t.role() != privateRole {
		least := ^uint64(0)
		for _, s := range readers {
			least = min(least, s.progress())
		}
		readers = slices.DeleteFunc(readers, func(s *Subscription) bool { return s.progress() > least })
	}
	for _, s := range readers {
		if s.cut != nil {
			s.cut()
		}
	}
	if t.role() == privateRole {
		r.end(t)
		return
	}
	for _, s := range readers {
		t.unhold(s)
	}
}

// progress is how far the client has read.
func (s *Subscription) progress() uint64 {
	s.Topic.readersMu.Lock()
	defer s.Topic.readersMu.Unlock()
	return s.read
}
