package topic

import (
	"context"
	"slices"
	"sync"
	"time"
)

// settled is how long an own RPC may say nothing until it is taken to have
// nothing to catch up with. It goes on, but others may have their turn: on a
// silent stream there is nothing at which it could meet main.
const settled = 3 * time.Second

// Turns bounds the catch-up RPCs that are under way at once, over all topics of
// a backend. A family always gets one: its stream may be silent for hours, in
// which its newest cursor, where its clients stand, is nowhere to meet main.
type Turns struct {
	mu      sync.Mutex
	limit   int
	free    int // below 0 where the limit was lowered under those who have one
	taken   map[*family]int
	waiting []*waiter
}

type waiter struct {
	family *family
	turn   chan *turn // holds one; closed never
}

// NewTurns returns a bound of so many RPCs.
func NewTurns(atOnce int) *Turns {
	return &Turns{limit: atOnce, free: atOnce, taken: map[*family]int{}}
}

// SetLimit changes the bound. Who has a turn keeps it; who waits for one may get
// it now.
func (s *Turns) SetLimit(atOnce int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += atOnce - s.limit
	s.limit = atOnce
	s.serveLocked()
}

// turn is one RPC's. Its methods may be called on nil.
type turn struct {
	turns   *Turns
	family  *family
	counted bool // else it is the one that a family always gets
	once    sync.Once
	quiet   *time.Timer // gives it back; nil until the RPC has been accepted
}

// take waits for a turn.
func (s *Turns) take(ctx context.Context, f *family) (*turn, error) {
	s.mu.Lock()
	if t := s.tryLocked(f); t != nil {
		s.mu.Unlock()
		return t, nil
	}
	w := &waiter{f, make(chan *turn, 1)}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case t := <-w.turn:
		return t, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *waiter) bool { return other == w })
	s.mu.Unlock()
	select {
	case t := <-w.turn: // it was given in between
		t.giveBack()
	default:
	}
	return nil, ctx.Err()
}

// tryLocked returns a turn if there is one for a family.
func (s *Turns) tryLocked(f *family) *turn {
	counted := s.free > 0
	if !counted && s.taken[f] > 0 {
		return nil
	}
	if counted {
		s.free--
	}
	s.taken[f]++
	return &turn{turns: s, family: f, counted: counted}
}

// accepted says that the backend serves a topic's RPC. The turn is given back
// at once where the RPC never ends by meeting another; for an own RPC when
// nothing has come for a while.
func (t *turn) accepted(topic *Topic) {
	switch {
	case t == nil:
	case !topic.home.meets:
		t.giveBack()
	case topic.start == "":
		t.quiet = time.AfterFunc(settled, t.giveBack)
	}
}

// moved says that the RPC has sent a message.
func (t *turn) moved() {
	if t != nil && t.quiet != nil && t.quiet.Stop() {
		t.quiet.Reset(settled)
	}
}

// end is that of the RPC.
func (t *turn) end() {
	if t != nil && t.quiet != nil {
		t.quiet.Stop()
	}
	t.giveBack()
}

// giveBack lets somebody else have the turn. All but the first call do nothing.
func (t *turn) giveBack() {
	if t != nil {
		t.once.Do(t.giveBackOnce)
	}
}

func (t *turn) giveBackOnce() {
	s := t.turns
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.counted {
		s.free++
	}
	if s.taken[t.family]--; s.taken[t.family] == 0 {
		delete(s.taken, t.family)
	}
	s.serveLocked()
}

// serveLocked gives turns to those who wait, as they came.
func (s *Turns) serveLocked() {
	s.waiting = slices.DeleteFunc(s.waiting, func(w *waiter) bool {
		next := s.tryLocked(w.family)
		if next != nil {
			w.turn <- next
		}
		return next != nil
	})
}
