package topic

import (
	"context"
	"sync"
	"time"
)

const (
	// largeMessage is the size from which a message needs room before it is read.
	largeMessage = 64 << 10
	// nextMessage is how long an RPC may send nothing until the room for its next message is given
	// back. A stream may be silent for hours; a message that is on its way comes sooner.
	nextMessage = 25 * time.Millisecond
	// rememberSize is how long, or up to twice as long, the size of a large message is expected
	// from other RPCs of its owner.
	rememberSize = time.Minute
	// patience is how long a pump waits for room until clients that take nothing are cut for it:
	// clients that have taken nothing for stuckAfter or, if their log retains more than its part
	// and the pump's would not, for stuckLarge.
	patience   = time.Second
	stuckAfter = 5 * time.Second
	stuckLarge = 2 * time.Second
	// relieveAgain is the least time between two looks at all topics.
	relieveAgain = 50 * time.Millisecond
)

// Retained messages are bounded in all. A pump does not know the size of a message before it has
// read it: a message that follows a large one, or is the first of an RPC where others had large
// ones lately, waits for room as if it were as large.

// message is the room for the next message of an RPC. It is given back once, when the message is in
// the log or has not come for a while.
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

// intake gets the room that a pump needs for messages. It belongs to the pump.
type intake struct {
	*pump

	last int64 // the size of the newest message, or of its frame
}

// makeRoom waits until there is room for the RPC's next message. A nil message needs none.
func (i *intake) makeRoom(ctx context.Context) (*message, error) {
	if !i.readers.retained() {
		return nil, nil //nolint:nilnil // see above
	}
	reserved, err := i.reserve(ctx, i.nextSize())
	if err != nil || reserved == 0 {
		return nil, err
	}
	m := &message{give: func() { i.registry.budget.Unreserve(reserved) }}
	m.quiet = time.AfterFunc(nextMessage, func() { m.once.Do(m.give) })
	return m, nil
}

// nextSize returns the expected size of the next frame, 0 unless it is large.
func (i *intake) nextSize() int64 {
	size := i.last
	if !i.received {
		size = max(size, i.home.owner.expects())
	}
	if size < largeMessage {
		return 0
	}
	return size
}

// reserve waits for room among the frames that are retained for readers, and returns how much it
// has reserved. For its first message an RPC waits no longer than patience, and then reads without
// a reservation, since that message may well be small: a new client must not wait for clients that
// have taken nothing for long.
func (i *intake) reserve(ctx context.Context, bytes int64) (reserved int64, err error) {
	if bytes == 0 {
		return 0, nil
	}
	budget := i.registry.budget
	ok, freed := budget.Reserve(i.log.Pinned(), bytes)
	if ok {
		return bytes, nil
	}
	done := budget.AddWaiter()
	defer done()
	again := time.NewTimer(patience)
	defer again.Stop()
	for {
		waited := false
		select {
		case <-freed:
		case <-again.C:
			waited = true
			i.slot.Load().giveBack() // the wait may be long
			i.registry.relief.relieveFor(i.log.Pinned(), bytes)
			again.Reset(patience)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if ok, freed = budget.Reserve(i.log.Pinned(), bytes); ok {
			return bytes, nil
		}
		if waited && !i.received {
			return 0, nil
		}
	}
}

// took notes the size of a message, as wire bytes or as a frame.
func (i *intake) took(size int) {
	i.last = max(i.last, int64(size))
	if i.last >= largeMessage {
		i.home.owner.sees(i.last)
	}
}

// sizes is how large the large messages of an owner's topics were lately.
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
