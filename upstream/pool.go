package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

const (
	// maxConnections bounds the connections to one backend, which else
	// chooses their number by the limit it announces.
	maxConnections = 256
	// extraIdle is how long a connection that was opened because the others
	// were full is kept without RPCs.
	extraIdle = 2 * time.Minute
)

// pool is the connections to one target. RPCs are placed on them by count:
// `active` against the limit that the backend announced for the connection.
type pool struct {
	params  Params
	address *address // nil: grpc-go dials
	// reconnected is called when the first connection is up, and each time it
	// is up again.
	reconnected func()

	wg sync.WaitGroup // closings of idle connections

	mu          sync.Mutex
	changed     chan struct{} // closed and replaced when an RPC that waits should look again
	connections []*connection
	idle        *time.Timer // nil unless an extra connection is idle
	closed      bool
}

// newPool makes the pool with its first connections, which are being
// established when it returns.
func newPool(params Params, reconnected func()) (*pool, error) {
	address, err := parseTarget(params.Target)
	if err != nil {
		return nil, &ParamError{"target", err}
	}
	p := &pool{params: params, address: address, reconnected: reconnected, changed: make(chan struct{})}
	for range max(params.Connections, 1) {
		p.mu.Lock()
		err := p.addLocked()
		p.mu.Unlock()
		if err != nil {
			return nil, errors.Join(&ParamError{"target", err}, p.close())
		}
	}
	return p, nil
}

// addLocked opens a further connection.
func (p *pool) addLocked() error {
	c := &connection{watched: make(chan struct{}), limit: unlimitedStreams, idleSince: time.Now()}
	cc, err := grpc.NewClient(p.target(), p.dialOptions(c)...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cc, c.cancel = cc, cancel
	p.connections = append(p.connections, c)
	p.armLocked(extraIdle)
	go p.watch(ctx, c)
	return nil
}

// slot is a placed RPC's share of a connection.
type slot struct {
	cc         grpc.ClientConnInterface
	generation uint64 // of the first connection, when the RPC was placed
	release    func() // to be called once
}

// place waits for a connection with room and takes a share of it.
func (p *pool) place(ctx context.Context) (slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return slot{}, errClosed
		}
		if c := p.pickLocked(); c != nil {
			c.active++
			return slot{cc: c.cc, generation: p.connections[0].generation, release: func() { p.release(c) }}, nil
		}
		if err := p.growLocked(); err != nil {
			return slot{}, err
		}
		if err := p.waitLocked(ctx); err != nil {
			return slot{}, p.reasonLocked()
		}
	}
}

// pickLocked returns a connection with room, or nil. A number of connections
// that was asked for is used evenly. Else the first with room is taken, so that
// those opened for a peak become idle after it.
func (p *pool) pickLocked() *connection {
	var best *connection
	for _, c := range p.connections {
		if !c.room() {
			continue
		}
		if p.params.Connections == 0 {
			return c
		}
		if best == nil || c.active < best.active {
			best = c
		}
	}
	return best
}

// growLocked opens one more connection if those there are all up and full. One
// that is not up yet is waited for, so at most one is being established.
func (p *pool) growLocked() error {
	if p.params.Connections > 0 || len(p.connections) >= maxConnections {
		return nil
	}
	for _, c := range p.connections {
		if !c.ready || c.limit == 0 {
			return nil
		}
	}
	p.params.Logger.Info("the backend's concurrent streams are used up: opening a further connection", "connections", len(p.connections))
	if err := p.addLocked(); err != nil {
		return &waitError{what: "no further connection", cause: err}
	}
	return nil
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
	var lastErr error
	for _, c := range p.connections {
		if c.ready {
			ready++
			active += c.active
		} else if c.lastErr != nil {
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

// unreachable says why no connection is up; nil if one is.
func (p *pool) unreachable() *waitError {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(p.connections, func(c *connection) bool { return c.ready }) {
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
		if slices.ContainsFunc(p.connections, func(c *connection) bool { return c.ready }) {
			return true
		}
		if p.waitLocked(ctx) != nil {
			return false
		}
	}
}

// generation counts how often the first connection was established.
func (p *pool) generation() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0
	}
	return p.connections[0].generation
}

// release gives a share back.
func (p *pool) release(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.active--
	if c.active == 0 {
		c.idleSince = time.Now()
		p.armLocked(extraIdle)
	}
	p.signalLocked()
}

// armLocked sees to it that closeIdle is called after d, if there is a
// connection that it could close.
func (p *pool) armLocked(d time.Duration) {
	if p.params.Connections == 0 && len(p.connections) > 1 && p.idle == nil && !p.closed {
		p.idle = time.AfterFunc(d, p.closeIdle)
	}
}

// limited notes how many RPCs the backend allows on a connection.
func (p *pool) limited(c *connection, streams uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
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
	told := c.toldFailing
	c.toldFailing = true
	p.mu.Unlock()
	if !told {
		p.params.Logger.Warn("cannot connect, trying on", "target", p.params.Target, "error", clip(err))
	}
}

// changedState notes that a connection's state has changed. The log does not
// hear of connections that come and go while the connection flaps.
func (p *pool) changedState(c *connection, state connectivity.State) {
	p.mu.Lock()
	c.ready = state == connectivity.Ready
	if c.ready {
		c.lastErr = nil
		c.generation++
	}
	tellUp, tellLost := c.ready && !c.flapping(), !c.ready && c.toldUp && !p.closed
	c.toldUp = tellUp || (c.toldUp && !tellLost)
	c.toldFailing = c.toldFailing && !tellUp
	reconnected := c.ready && len(p.connections) > 0 && p.connections[0] == c
	p.signalLocked()
	p.mu.Unlock()

	switch {
	case tellUp:
		p.params.Logger.Info("connected", "target", p.params.Target)
	case tellLost:
		p.params.Logger.Warn("the connection is lost, connecting again", "target", p.params.Target)
	}
	if reconnected {
		p.reconnected()
	}
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
		p.params.Logger.Info("connected", "target", p.params.Target)
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
	kept := p.connections[:1:1]
	for _, c := range p.connections[1:] {
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
	p.connections = kept
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
	connections := p.connections
	if p.idle != nil {
		p.idle.Stop()
	}
	p.signalLocked()
	p.mu.Unlock()
	err := p.closeAll(connections)
	p.wg.Wait()
	return err
}

// closeAll closes connections and joins those who watch them. The lock must not
// be held, since a watch may be about to take it.
func (p *pool) closeAll(connections []*connection) error {
	errs := make([]error, 0, len(connections))
	for _, c := range connections {
		c.cancel()
		errs = append(errs, c.cc.Close())
		<-c.watched
	}
	return errors.Join(errs...)
}
