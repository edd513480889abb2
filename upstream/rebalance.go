package upstream

import (
	"context"
	"time"

	"github.com/ssebridge/ssebridge/internal/pause"
)

// opened records that an RPC has begun.
func (s *slot) opened(stream *Stream) {
	if s.pool == nil {
		return
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.stream = stream
	now := time.Now()
	s.connection.opening[stream] = now
	if s.connection.ready {
		s.connection.checkBy(now.Add(s.pool.params.OpenTimeout / 2))
	} else {
		s.pool.lostOpeningLocked(s.connection) // it was lost after the RPC got its stream
	}
	if s.pool.params.Balance.Rebalance > 0 && stream.movable != nil {
		s.connection.movable[stream] = struct{}{}
	}
}

// accepted records that the backend has accepted the RPC.
func (s *slot) accepted() {
	if s.pool == nil {
		return
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	delete(s.connection.opening, s.stream)
}

// move ends the RPC with ErrMoved, if it may be moved now.
func (s *Stream) move() bool {
	if !s.movable() || !s.moved.CompareAndSwap(false, true) {
		return false
	}
	s.cancel()
	return true
}

// rebalance moves RPCs until ctx ends, whenever the set of addresses with connections has changed.
func (p *pool) rebalance(ctx context.Context) {
	var until time.Time // when the RPCs must be even; zero while they are
	for {
		p.mu.Lock()
		excess, changed := p.excessLocked(!until.IsZero()), p.changed
		p.mu.Unlock()
		if excess == 0 {
			until = time.Time{}
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return
			}
		}
		if until.IsZero() {
			// A tenth of the time remains for the last RPCs to be opened again.
			until = time.Now().Add(p.params.Balance.Rebalance * 9 / 10)
		}
		between := max(time.Until(until)/time.Duration(excess), minMovePause)
		if pause.For(ctx, between) != nil {
			return
		}
		if !p.moveOne() && pause.For(ctx, unmovedPause) != nil {
			return
		}
	}
}

const (
	// minMovePause is the shortest time between two moves, even if Balance.Rebalance has passed.
	minMovePause = 10 * time.Millisecond
	// unmovedPause is the pause after no RPC could be moved.
	unmovedPause = time.Second
)

// shareLocked returns the even share of an address, rounded up. It is 0 if no address can take
// RPCs.
func (p *pool) shareLocked() int {
	rpcs, addresses := 0, 0
	for _, e := range p.endpoints {
		rpcs += e.active
		if e.shares() {
			addresses++
		}
	}
	if addresses == 0 {
		return 0
	}
	return (rpcs + addresses - 1) / addresses
}

// shares reports whether the address should have its share of the RPCs.
func (e *endpoint) shares() bool { return !e.gone && !e.faults.failing() && e.ready() }

// excessLocked returns how many RPCs would have to be moved. Before the first move, an address with
// up to a tenth more than its share counts as even: clients come and go, and each moved RPC is
// opened again at the backend.
func (p *pool) excessLocked(moving bool) int {
	share := p.shareLocked()
	if share == 0 {
		return 0
	}
	excess, uneven, least := 0, moving, share
	for _, e := range p.endpoints {
		if e.shares() {
			least = min(least, e.active)
		}
	}
	for _, e := range p.endpoints {
		n := e.above(share)
		excess += n
		uneven = uneven || n > 0 && (e.gone || n*10 > share && e.active-least > 1)
	}
	if !uneven {
		return 0
	}
	return excess
}

// above returns how many RPCs the address has beyond its share. The share of a gone address is 0.
func (e *endpoint) above(share int) int {
	if e.gone {
		share = 0
	}
	return max(e.active-share, 0)
}

// moveOne moves one RPC of the address that is farthest above its share, or of the next one if none
// of its RPCs can be moved. It reports whether it moved one.
func (p *pool) moveOne() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	share := p.shareLocked()
	if share == 0 {
		return false
	}
	tried := map[*endpoint]bool{}
	for {
		var most *endpoint
		for _, e := range p.endpoints {
			if !tried[e] && e.above(share) > 0 && (most == nil || e.above(share) > most.above(share)) {
				most = e
			}
		}
		if most == nil {
			return false
		}
		if p.roomElsewhereLocked(most) && most.moveOne() {
			p.moves.Add(1)
			return true
		}
		tried[most] = true
	}
}

// roomElsewhereLocked reports whether another address can take an RPC from the one that has too
// many. If those with fewer are full, it opens a further connection if it may: an RPC that was
// moved before would return to the same address.
func (p *pool) roomElsewhereLocked(most *endpoint) bool {
	for _, e := range p.endpoints {
		fewer := most.gone || e.active+1 < most.active
		if e != most && !e.gone && fewer && e.pick(p.params.Connections > 0) != nil {
			return true
		}
	}
	_ = p.growEvenLocked(most) // a failure is retried with the next move
	return false
}

// moveOne moves any movable RPC of the address.
func (e *endpoint) moveOne() bool {
	for c := range e.all() {
		for stream := range c.movable {
			if stream.move() {
				delete(c.movable, stream)
				return true
			}
		}
	}
	return false
}
