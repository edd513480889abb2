package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

const (
	// maxConnections bounds the connections to one address, whose backend else
	// chooses their number by the limit it announces.
	maxConnections = 256
	// extraIdle is how long a connection that was opened because the others
	// were full is kept without RPCs.
	extraIdle = 2 * time.Minute
)

// pool is the connections to one target. RPCs are placed on them by count:
// `active` against the limit that the backend announced for the connection.
//
// Each connection is a grpc.ClientConn of one address, and the addresses come
// from grpc-go's resolvers (endpoint.go). The balancers of grpc-go would be the
// other way. They pick by what a SubConn says of itself, and a SubConn tells
// neither how many streams its server allows nor why it cannot connect; that is
// read from the connection's bytes here (settingsConn), and more than one
// connection to an address, which a stream limit asks for, has no place in them.
type pool struct {
	params Params
	target target
	// reconnected is called when the first connection to an address is up, and
	// each time it is up again.
	reconnected func()
	seed        maphash.Seed // of choose

	resolveEvery time.Duration // how often addresses are looked up
	// again holds one wake-up: the addresses should be looked up now.
	again chan struct{}
	stop  context.CancelFunc // ends the goroutines that follow addresses
	moves atomic.Uint64      // RPCs that were moved

	wg sync.WaitGroup // those, and closings of connections

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when an RPC that waits should look again
	endpoints []*endpoint
	// generation counts how often a first connection was established.
	generation uint64
	// allDown is set while no connection is up, after one was.
	allDown bool
	// pingEvery is Params.Ping's, doubled each time that a server refuses it.
	pingEvery time.Duration
	// settling is set while RPCs wait for the addresses to be tried.
	settling *time.Timer
	// lookupErr is why the addresses could not be found last, nil if they were.
	lookupErr      error
	lookupFailures uint64
	// toldUnresolved and toldMany say what the log has of it.
	toldUnresolved, toldMany bool
	idle                     *time.Timer // nil unless an extra connection is idle
	closed                   bool
}

// newPool makes the pool, whose connections are being established when it
// returns.
func newPool(params Params, reconnected func()) (*pool, error) {
	target, err := parseTarget(params.Target)
	if err != nil {
		return nil, &ParamError{"target", err}
	}
	p := &pool{
		params: params, target: target, reconnected: reconnected, seed: maphash.MakeSeed(),
		resolveEvery: cmp.Or(params.resolveEvery, resolveEvery), again: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if params.Ping != nil {
		p.pingEvery = params.Ping.Every
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	if target.builder != nil && !params.Balance.First {
		p.wg.Go(func() { p.resolve(ctx) })
		if params.Balance.Rebalance > 0 {
			p.wg.Go(func() { p.rebalance(ctx) })
		}
		return p, nil
	}
	p.mu.Lock()
	err = p.addEndpointLocked(&endpoint{name: params.Target})
	p.mu.Unlock()
	if err != nil {
		return nil, errors.Join(&ParamError{"target", err}, p.close())
	}
	return p, nil
}

// addLocked opens a further connection to an address.
func (p *pool) addLocked(e *endpoint) error {
	c := &connection{
		endpoint: e, watched: make(chan struct{}), limit: unlimitedStreams, idleSince: time.Now(),
		starting: map[*slot]struct{}{}, movable: map[*Stream]struct{}{}, opening: map[*Stream]time.Time{},
	}
	cc, err := grpc.NewClient(p.dialTarget(e), p.dialOptions(c)...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cc, c.cancel = cc, cancel
	e.connections = append(e.connections, c)
	p.armLocked(extraIdle)
	go p.watch(ctx, c)
	return nil
}

// slot is a placed RPC's share of a connection.
type slot struct {
	pool       *pool // nil for a connection of the embedder's
	connection *connection
	cc         grpc.ClientConnInterface
	generation uint64 // of the pool, when the RPC was placed
	counts     bool   // in endpoint.active: not an RPC that reads the schema
	// cancel is called if the connection is lost before the RPC has its stream.
	cancel context.CancelFunc
	stream *Stream // once it has begun
}

// place waits for a connection with room and takes a share of it. With
// impatient it gives up as soon as no connection is up and an attempt to connect
// to each address has failed since the call.
func (p *pool) place(ctx context.Context, impatient bool) (*slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var failures failures
	if impatient {
		failures = p.failuresLocked()
	}
	for {
		if p.closed {
			return nil, errClosed
		}
		if p.settling == nil {
			if c := p.pickLocked(); c != nil {
				s := p.takeLocked(c)
				s.counts = true
				c.endpoint.active++
				return s, nil
			}
			if err := p.growLocked(); err != nil {
				return nil, err
			}
		}
		if impatient && p.failedSinceLocked(failures) {
			return nil, p.reasonLocked()
		}
		if err := p.waitLocked(ctx); err != nil {
			return nil, p.reasonLocked()
		}
	}
}

// placeNewest places an RPC that reads the schema: on the connection that came
// up last, since a new process of the backend may have a new schema.
func (p *pool) placeNewest(ctx context.Context) (*slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return nil, errClosed
		}
		var newest *connection
		for c := range p.connectionsLocked() {
			if c.room() && !c.endpoint.gone && (newest == nil || c.generation > newest.generation) {
				newest = c
			}
		}
		if newest == nil {
			newest = p.pickLocked()
		}
		if newest != nil {
			return p.takeLocked(newest), nil
		}
		if err := p.growLocked(); err != nil {
			return nil, err
		}
		if err := p.waitLocked(ctx); err != nil {
			return nil, p.reasonLocked()
		}
	}
}

func (p *pool) takeLocked(c *connection) *slot {
	c.active++
	return &slot{pool: p, connection: c, cc: c.cc, generation: p.generation}
}

// connectionsLocked are the connections to all addresses.
func (p *pool) connectionsLocked() iter.Seq[*connection] {
	return func(yield func(*connection) bool) {
		for _, e := range p.endpoints {
			for _, c := range e.connections {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// pickLocked returns a connection with room to the address with the fewest RPCs,
// or nil. Of several such addresses it takes any: many bridges with few RPCs
// each would else all choose the first.
func (p *pool) pickLocked() *connection {
	var best *connection
	ties := 0
	for _, e := range p.endpoints {
		c := e.pick(p.params.Connections > 0)
		if c == nil {
			continue
		}
		order := -1
		if best != nil {
			order = e.compare(best.endpoint)
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

// compare is negative if e should get an RPC before other.
func (e *endpoint) compare(other *endpoint) int {
	if e.gone != other.gone {
		if e.gone {
			return 1
		}
		return -1
	}
	return cmp.Compare(e.active, other.active)
}

// growLocked opens one more connection if no address has room: to the address
// with the fewest RPCs of those whose connections are all up. At most one further
// connection is being established.
func (p *pool) growLocked() error {
	if p.params.Connections > 0 {
		return nil
	}
	var least *endpoint
	for _, e := range p.endpoints {
		if e.growing() {
			return nil
		}
		if e.gone || !e.full() || len(e.connections) >= maxConnections {
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

// start has cancel called if the connection is lost before the RPC has its stream.
// grpc-go would wait for the same address to come back.
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
}

// started notes that an RPC has its stream. It is false if the connection was
// lost before: the RPC is to be placed anew.
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

// release gives the share back. It is called once.
func (s *slot) release() {
	if s.pool != nil {
		s.pool.release(s)
	}
}

// waitLocked waits for a change, without the lock.
func (p *pool) waitLocked(ctx context.Context) error {
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reasonLocked says why no RPC can be placed now.
func (p *pool) reasonLocked() *waitError {
	ready, active := 0, 0
	lastErr := p.lookupErr
	for c := range p.connectionsLocked() {
		switch {
		case c.usable():
			ready++
			active += c.active
		case c.mute:
			lastErr = ErrSilent
		case c.lastErr != nil:
			lastErr = c.lastErr
		}
	}
	switch {
	case ready > 0:
		return &waitError{
			what:  fmt.Sprintf("all %d streams that the backend allows are in use", active),
			cause: lastErr,
		}
	case lastErr != nil:
		return &waitError{what: "no connection", cause: fmt.Errorf("%s: %w", p.params.Target, lastErr)}
	default:
		return &waitError{what: "no connection", cause: fmt.Errorf("%s does not answer", p.params.Target)}
	}
}

// failures are the failed attempts to find and to connect to each address.
type failures struct {
	lookups uint64
	each    map[*endpoint]uint64
}

func (p *pool) failuresLocked() failures {
	f := failures{p.lookupFailures, make(map[*endpoint]uint64, len(p.endpoints))}
	for _, e := range p.endpoints {
		f.each[e] = e.failures
	}
	return f
}

// failedSinceLocked reports whether no connection is up and an attempt has failed
// for each address since f.
func (p *pool) failedSinceLocked(f failures) bool {
	if len(p.endpoints) == 0 {
		return p.lookupFailures > f.lookups
	}
	for _, e := range p.endpoints {
		if e.ready() || e.failures <= f.each[e] {
			return false
		}
	}
	return true
}

// unreachable says why no connection is up; nil if one is.
func (p *pool) unreachable() *waitError {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readyLocked() {
		return nil
	}
	return p.reasonLocked()
}

// awaitReady waits until a connection is up.
func (p *pool) awaitReady(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return false
		}
		if p.readyLocked() {
			return true
		}
		if p.waitLocked(ctx) != nil {
			return false
		}
	}
}

func (p *pool) readyLocked() bool {
	return slices.ContainsFunc(p.endpoints, (*endpoint).ready)
}

// newestGeneration counts how often a first connection to an address was
// established.
func (p *pool) newestGeneration() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

// release gives a share back.
func (p *pool) release(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := s.connection
	delete(c.starting, s)
	delete(c.movable, s.stream)
	delete(c.opening, s.stream)
	c.active--
	if s.counts {
		c.endpoint.active--
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

// armLocked sees to it that closeIdle is called after d, if there is a
// connection that it could close.
func (p *pool) armLocked(d time.Duration) {
	extra := slices.ContainsFunc(p.endpoints, func(e *endpoint) bool { return len(e.connections) > 1 })
	if p.params.Connections == 0 && extra && p.idle == nil && !p.closed {
		p.idle = time.AfterFunc(d, p.closeIdle)
	}
}

// limited notes how many RPCs the backend allows on a connection.
func (p *pool) limited(c *connection, streams uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.params.Health != nil && streams > 1 && streams < unlimitedStreams {
		streams-- // the one that watches health
	}
	c.limit = streams
	if c.upSince.IsZero() {
		c.upSince = time.Now()
	}
	p.signalLocked()
}

// failed notes why a connection could not be established.
func (p *pool) failed(c *connection, err error) {
	p.mu.Lock()
	if c.lastErr == nil || !errors.Is(err, net.ErrClosed) { // closed by this side: what follows from another error
		c.lastErr = clip(err)
	}
	c.endpoint.failures++
	p.triedLocked(c.endpoint, false)
	// An attempt that this side has cancelled, since the bridge ends, says nothing of the backend.
	told := c.toldFailing || p.closed || errors.Is(err, context.Canceled)
	c.toldFailing = c.toldFailing || !told
	p.signalLocked()
	p.mu.Unlock()
	p.resolveSoon()
	if !told {
		p.log(c.endpoint).Warn("cannot connect, retrying", "error", clip(err))
	}
}

// changedState notes that a connection's state has changed. Connections that
// come and go while the address flaps are not logged.
func (p *pool) changedState(c *connection, state connectivity.State) {
	p.mu.Lock()
	was := c.ready
	// With Params.Health, a connection that is up may be said to fail.
	serves := state != connectivity.TransientFailure || c.upSince.IsZero()
	c.ready = state == connectivity.Ready
	first := slices.Index(c.endpoint.connections, c) == 0
	switch {
	case c.ready:
		c.lastErr = nil
		if first {
			p.generation++
		}
		c.generation = p.generation
		p.triedLocked(c.endpoint, true)
		p.allDown = false
	case was && serves:
		p.lostLocked(c)
	case was:
		p.startElsewhereLocked(c)
	}
	if !serves {
		c.lastErr = errNotServing
		p.triedLocked(c.endpoint, false)
	}
	tellUp, tellLost := c.ready && !p.flapping(c), !c.ready && c.toldUp && !p.closed
	c.toldUp = tellUp || (c.toldUp && !tellLost)
	c.toldFailing = c.toldFailing && !tellUp
	gone := c.endpoint.gone
	p.signalLocked()
	p.mu.Unlock()

	switch {
	case tellUp:
		p.log(c.endpoint).Info("connected")
	case tellLost && !serves:
		p.log(c.endpoint).Warn("the backend does not serve, by grpc.health.v1: no new RPCs go there")
	case tellLost && gone:
		p.log(c.endpoint).Info("the connection to an address that is gone has ended")
	case tellLost:
		p.log(c.endpoint).Warn("the connection is lost, connecting again")
	}
	if c.ready && first {
		p.reconnected()
	}
}

// errNotServing is why a connection that is up takes no RPCs.
var errNotServing = errors.New("the backend does not serve, by grpc.health.v1")

// startElsewhereLocked has the RPCs that do not have their streams yet placed anew.
func (p *pool) startElsewhereLocked(c *connection) {
	for s := range c.starting {
		s.cancel()
	}
	clear(c.starting)
}

// lostLocked has the RPCs that do not have their streams yet placed anew, and
// the addresses looked up: the backend may have moved.
func (p *pool) lostLocked(c *connection) {
	p.startElsewhereLocked(c)
	c.forgetLocked()
	p.lostOpeningLocked(c)
	p.allDown = !p.readyLocked()
	p.resolveSoon()
}

// steady notes that a connection has lived, unless it was ctx that ended.
func (p *pool) steady(ctx context.Context, c *connection) {
	p.mu.Lock()
	tell := !c.toldUp && ctx.Err() == nil
	if tell {
		c.toldUp, c.toldFailing = true, false
	}
	p.mu.Unlock()
	if tell {
		p.log(c.endpoint).Info("connected")
	}
}

func (p *pool) signalLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// closeIdle closes the extra connections that have been idle for long enough,
// and comes back for those that have not.
func (p *pool) closeIdle() {
	p.mu.Lock()
	p.idle = nil
	if p.closed {
		p.mu.Unlock()
		return
	}
	var idle []*connection
	next := extraIdle
	for _, e := range p.endpoints {
		if len(e.connections) < 2 {
			continue
		}
		kept := e.connections[:1:1]
		for _, c := range e.connections[1:] {
			left := extraIdle - time.Since(c.idleSince)
			if c.active == 0 && left <= 0 {
				idle = append(idle, c)
				continue
			}
			kept = append(kept, c)
			if c.active == 0 {
				next = min(next, left)
			}
		}
		e.connections = kept
	}
	p.armLocked(next)
	p.wg.Add(1)
	p.mu.Unlock()
	defer p.wg.Done()
	if err := p.closeAll(idle); err != nil {
		p.params.Logger.Warn("closing idle connections", "error", err)
	}
}

// close ends everything and waits for it.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	connections := slices.Collect(p.connectionsLocked())
	timers := []*time.Timer{p.idle, p.settling}
	for _, c := range connections {
		if c.live != nil {
			timers = append(timers, c.live.timer)
		}
	}
	for _, timer := range timers {
		if timer != nil {
			timer.Stop()
		}
	}
	p.signalLocked()
	p.mu.Unlock()
	p.stop()
	err := p.closeAll(connections)
	p.wg.Wait()
	return err
}

// closeAll closes connections and joins those who watch them. The lock must not
// be held, since a watch may be about to take it.
func (p *pool) closeAll(connections []*connection) error {
	errs := make([]error, 0, len(connections))
	for _, c := range connections {
		p.forget(c)
		c.cancel()
		errs = append(errs, c.cc.Close())
		<-c.watched
	}
	return errors.Join(errs...)
}
