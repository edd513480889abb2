package topic

import (
	"context"
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

// intake is the room that a pump needs for messages. It is the pump's own.
type intake struct {
	*pump

	last int64 // the size of the newest message, or of its frame
}

// makeRoom waits until there is room for the RPC's next message. The nil message
// needs none.
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

// nextSize returns how large the next frame is expected to be, 0 unless it is
// large.
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

// reserve waits for room among the frames that are kept for readers, and returns
// what it has reserved. For its first message an RPC waits no longer than patience
// and then does without, since that message may well be small: a new client is not
// to wait for clients that have taken nothing for long.
func (i *intake) reserve(ctx context.Context, bytes int64) (reserved int64, err error) {
	if bytes == 0 {
		return 0, nil
	}
	budget := i.registry.budget
	ok, freed := budget.Reserve(i.log.Kept(), bytes)
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
			i.slot.Load().giveBack() // it may wait for long
			i.registry.relief.relieveFor(i.log.Kept(), bytes)
			again.Reset(patience)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if ok, freed = budget.Reserve(i.log.Kept(), bytes); ok {
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
