package upstream

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
)

// maxConnections bounds the connections to one address. Without it, the backend's announced stream
// limit would determine their number.
const maxConnections = 256

// slot is one RPC's right to run on a connection.
type slot struct {
	pool       *pool // nil for an embedder's own connection
	connection *connection
	cc         grpc.ClientConnInterface
	generation uint64 // the pool's, when the RPC was placed
	counts     bool   // it counts in endpoint.active; false for an RPC that reads the schema
	method     string
	keys       keys
	began      time.Time   // when the RPC began
	gotMessage bool        // a message has arrived
	probeTimer *time.Timer // set for an RPC that probes an address
	// cancel is called if the connection is lost before the RPC has its stream.
	cancel context.CancelFunc
	stream *Stream // set once the RPC has begun
}

// place waits for a connection with room and takes a slot on it. If call.Impatient is set, it gives
// up as soon as no connection is up and an attempt to connect to each address has failed since the
// call.
func (p *pool) place(ctx context.Context, call Call) (*slot, error) {
	k := p.keys(call)
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.placeLocked(ctx, k, call)
	if err != nil {
		return nil, err
	}
	s.counts, s.method, s.keys = true, call.Method, k
	s.connection.endpoint.active++
	p.probeLocked(s)
	return s, nil
}

func (p *pool) placeLocked(ctx context.Context, k keys, call Call) (*slot, error) {
	var failures failures
	if call.Impatient {
		failures = p.failuresLocked()
	}
	for {
		if p.closed {
			return nil, errClosed
		}
		if p.settling == nil {
			if c := p.pickLocked(k.rpc); c != nil {
				s, err := p.takeForLocked(ctx, c, k, call.Replay)
				if s != nil || err != nil {
					return s, err
				}
				continue // the connection was lost meanwhile
			}
			if err := p.growLocked(); err != nil {
				return nil, err
			}
		}
		if call.Impatient && p.failedSinceLocked(failures) {
			return nil, p.reasonLocked()
		}
		if err := p.waitLocked(ctx); err != nil {
			return nil, p.reasonLocked()
		}
	}
}

// placeNewest places an RPC that reads the schema. It prefers the connection that came up last,
// since a new process of the backend may have a new schema.
func (p *pool) placeNewest(ctx context.Context) (*slot, error) {
	const method = "reflection"
	k := p.keys(Call{Method: method})
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.placeNewestLocked(ctx, k)
	if err != nil {
		return nil, err
	}
	s.method, s.keys = method, k
	p.probeLocked(s)
	return s, nil
}

func (p *pool) placeNewestLocked(ctx context.Context, k keys) (*slot, error) {
	for {
		if p.closed {
			return nil, errClosed
		}
		var newest *connection
		avoid, _ := p.avoid.Peek(k.rpc)
		for c := range p.connectionsLocked() {
			e := c.endpoint
			if c.room() && !e.gone && !e.faults.failing() && e.name != avoid && (newest == nil || c.generation > newest.generation) {
				newest = c
			}
		}
		if newest == nil {
			newest = p.pickLocked(k.rpc)
		}
		if newest != nil {
			s, err := p.takeForLocked(ctx, newest, k, false)
			if s != nil || err != nil {
				return s, err
			}
			continue // the connection was lost meanwhile
		}
		if err := p.growLocked(); err != nil {
			return nil, err
		}
		if err := p.waitLocked(ctx); err != nil {
			return nil, p.reasonLocked()
		}
	}
}

// takeForLocked takes a slot on c; on an isolated connection if the RPCs with these keys have
// strikes; or, for a replaying RPC, on a replay connection to the same address. It returns nil if c
// is lost meanwhile.
func (p *pool) takeForLocked(ctx context.Context, c *connection, k keys, replay bool) (*slot, error) {
	if err := p.growEvenLocked(c.endpoint); err != nil {
		return nil, err
	}
	if strikes := p.strikesLocked(k); strikes > 0 {
		s, err := p.placeApartLocked(ctx, c.endpoint, strikes)
		if s != nil || err != nil {
			return s, err
		}
		if !c.room() {
			return nil, nil //nolint:nilnil // see above
		}
	}
	if replay {
		if own := p.replayConnectionLocked(ctx, c.endpoint); own != nil {
			return p.takeLocked(own), nil
		}
		if !c.room() {
			return nil, nil //nolint:nilnil // see above
		}
	}
	return p.takeLocked(c), nil
}

// takeLocked takes a slot on c.
func (p *pool) takeLocked(c *connection) *slot {
	c.active++
	s := &slot{pool: p, connection: c, cc: c.cc, generation: p.generation}
	c.begunLocked(s)
	return s
}

// pickLocked returns a connection with room to the address with the fewest RPCs, or nil. It breaks
// ties at random, so that many bridges with few RPCs each do not all choose the same address. It
// prefers an address that did not fail the last RPC with this key.
func (p *pool) pickLocked(key uint64) *connection {
	var best *connection
	ties, now := 0, time.Now()
	avoid, _ := p.avoid.Peek(key)
	for _, e := range p.endpoints {
		c := e.pick(p.params.Connections > 0)
		if c == nil || e.faults.aside(now) && p.othersLocked(e) {
			continue
		}
		order := -1
		if best != nil {
			order = e.compare(best.endpoint, avoid)
		}
		if order > 0 {
			continue
		}
		if order < 0 {
			ties = 0
		}
		ties++
		if rand.N(ties) == 0 {
			best = c
		}
	}
	return best
}

// compare returns a negative number if e should get an RPC before other.
func (e *endpoint) compare(other *endpoint, avoid string) int {
	return cmp.Or(
		falseFirst(e.gone, other.gone),
		falseFirst(e.name == avoid, other.name == avoid),
		cmp.Compare(e.active, other.active))
}

// falseFirst orders true after false.
func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// growLocked opens one more connection if no address has room. It chooses the address with the
// fewest RPCs among those whose connections are all up. At most one such connection is being
// established at a time.
func (p *pool) growLocked() error { return p.growBelowLocked(math.MaxInt) }

// growEvenLocked opens one more connection to an address that is full and has fewer RPCs than one
// that has room. Without it, the full address would never get its share.
func (p *pool) growEvenLocked(room *endpoint) error {
	if room.gone {
		return p.growLocked()
	}
	return p.growBelowLocked(room.active)
}

// growBelowLocked opens one more connection to a full address that has fewer RPCs than most.
func (p *pool) growBelowLocked(most int) error {
	if p.closed || p.params.Connections > 0 {
		return nil
	}
	var least *endpoint
	for _, e := range p.endpoints {
		if e.growing() {
			return nil
		}
		if e.gone || !e.full() || len(e.connections) >= maxConnections || e.active >= most {
			continue
		}
		if least == nil || e.active < least.active {
			least = e
		}
	}
	if least == nil {
		return nil
	}
	p.log(least).Info("the backend's concurrent streams are used up: opening a further connection", "connections", len(least.connections))
	if err := p.addLocked(least); err != nil {
		return &waitError{what: "no further connection", cause: err}
	}
	return nil
}

// start registers cancel, to be called if the connection is lost before the RPC has its stream.
// Without it, grpc-go would wait for the same address to come back.
func (s *slot) start(cancel context.CancelFunc) {
	if s.pool == nil {
		return
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.cancel = cancel
	if !s.connection.ready {
		cancel()
		return
	}
	s.connection.starting[s] = struct{}{}
	s.connection.begunLocked(s)
}

// started records that an RPC has its stream. It returns false if the connection was lost before,
// and the RPC must be placed again.
func (s *slot) started() bool {
	if s.pool == nil {
		return true
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	_, waits := s.connection.starting[s]
	delete(s.connection.starting, s)
	return waits
}

// release frees the slot. It must be called once.
func (s *slot) release() {
	if s.pool != nil {
		s.pool.release(s)
	}
}

func (p *pool) release(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := s.connection
	delete(c.starting, s)
	delete(c.movable, s.stream)
	delete(c.opening, s.stream)
	c.forgetSlotLocked(s)
	if f := &c.endpoint.faults; f.probe == s {
		f.probe = nil
	}
	if s.probeTimer != nil {
		s.probeTimer.Stop()
	}
	c.active--
	if s.counts {
		c.endpoint.active--
	}
	switch {
	case c.active > 0:
	case c.apart:
		p.retireApartLocked(c)
	case c.replays && c.draining:
		p.retireReplaysLocked(c)
	}
	if c.active == 0 {
		c.idleSince = time.Now()
		p.armLocked(extraIdle)
	}
	if c.endpoint.gone {
		p.sweepLocked()
	}
	p.signalLocked()
}
