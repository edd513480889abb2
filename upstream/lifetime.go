package upstream

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// extraIdle is how long the pool keeps an idle connection that it opened because the others were
// full.
const extraIdle = 2 * time.Minute

// addLocked opens a further shared connection to an address.
func (p *pool) addLocked(e *endpoint) error {
	c, err := p.connectLocked(e)
	if err != nil {
		return err
	}
	e.connections = append(e.connections, c)
	p.armLocked(extraIdle)
	return nil
}

// connectLocked opens a connection to an address.
func (p *pool) connectLocked(e *endpoint) (*connection, error) {
	c := &connection{
		endpoint: e, watched: make(chan struct{}), limit: unlimitedStreams, idleSince: time.Now(),
		starting: map[*slot]struct{}{}, movable: map[*Stream]struct{}{}, opening: map[*Stream]time.Time{},
	}
	cc, err := grpc.NewClient(p.dialTarget(e), p.dialOptions(c)...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cc, c.cancel = cc, cancel
	go p.watch(ctx, c)
	return c, nil
}

// armLocked schedules closeIdle after d, if there is a connection that it could close.
func (p *pool) armLocked(d time.Duration) {
	extra := slices.ContainsFunc(p.endpoints, func(e *endpoint) bool { return len(e.connections) > 1 || len(e.replays) > 0 })
	if p.params.Connections == 0 && extra && p.idle == nil && !p.closed {
		p.idle = time.AfterFunc(d, p.closeIdle)
	}
}

// setLimit records how many RPCs the backend allows on a connection.
func (p *pool) setLimit(c *connection, streams uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.params.Health != nil && streams > 1 && streams < unlimitedStreams {
		streams-- // the RPC that watches health
	}
	c.limit = streams
	if c.upSince.IsZero() {
		c.upSince = time.Now()
	}
	p.signalLocked()
}

// failed records why a connection could not be established.
func (p *pool) failed(c *connection, err error) {
	p.mu.Lock()
	if c.lastErr == nil || !errors.Is(err, net.ErrClosed) { // ErrClosed: this side closed it after another error
		c.lastErr = clip(err)
	}
	if c.apart || c.replays { // the RPC that waits for it gets the error
		if c.replays {
			p.failedReplaysLocked(c)
		}
		p.signalLocked()
		p.mu.Unlock()
		return
	}
	c.endpoint.failures++
	p.triedLocked(c.endpoint, false)
	// If this side ended the attempt, because the upstream closes or the address is gone, the
	// failure is not the backend's.
	logged := c.loggedFailing || p.closed || c.closing
	c.loggedFailing = c.loggedFailing || !logged
	foreign := p.foreignLocked(c.endpoint)
	p.signalLocked()
	p.mu.Unlock()
	if !foreign {
		p.resolveSoon()
	}
	if !logged {
		p.log(c.endpoint).Warn("cannot connect, retrying", "error", clip(err))
	}
}

// stateChanged records a connection's new state. It does not log connections that come and go while
// the address flaps.
func (p *pool) stateChanged(c *connection, state connectivity.State) {
	p.mu.Lock()
	was := c.ready
	// With Params.Health, a connection that is up may report a failure.
	serves := state != connectivity.TransientFailure || c.upSince.IsZero()
	c.ready = state == connectivity.Ready
	if c.apart || c.replays {
		p.sideStateChangedLocked(c, was)
		p.mu.Unlock()
		return
	}
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
	logUp, logLost := c.ready && !p.flapping(c), !c.ready && c.loggedUp && !p.closed
	c.loggedUp = logUp || (c.loggedUp && !logLost)
	c.loggedFailing = c.loggedFailing && !logUp
	gone := c.endpoint.gone
	p.signalLocked()
	p.mu.Unlock()

	switch {
	case logUp:
		p.log(c.endpoint).Info("connected")
	case logLost && !serves:
		p.log(c.endpoint).Warn("the backend does not serve, by grpc.health.v1: no new RPCs go there")
	case logLost && gone:
		p.log(c.endpoint).Info("the connection to an address that is gone has ended")
	case logLost:
		p.log(c.endpoint).Warn("the connection is lost, connecting again")
	}
	if c.ready && first {
		p.reconnected()
	}
}

// errNotServing is the reason why a connection that is up takes no RPCs.
var errNotServing = errors.New("the backend does not serve, by grpc.health.v1")

// sideStateChangedLocked is stateChanged for a connection of isolated or replaying RPCs. Its state
// says nothing about the address. A replay connection that is lost or drains gets no further RPCs.
func (p *pool) sideStateChangedLocked(c *connection, was bool) {
	switch {
	case c.ready:
		c.lastErr = nil
	case was:
		p.startElsewhereLocked(c)
		c.clearLiveLocked()
		p.lostOpeningLocked(c)
		if c.replays {
			p.drainReplaysLocked(c)
		}
	}
	p.signalLocked()
}

// startElsewhereLocked cancels the RPCs that do not have their streams yet, so that they are placed
// again.
func (p *pool) startElsewhereLocked(c *connection) {
	for s := range c.starting {
		s.cancel()
	}
	clear(c.starting)
}

// lostLocked handles the loss of a shared connection. It cancels the RPCs that do not have their
// streams yet, so that they are placed again, and looks the addresses up, since the backend may
// have moved.
func (p *pool) lostLocked(c *connection) {
	p.startElsewhereLocked(c)
	c.clearLiveLocked()
	p.lostOpeningLocked(c)
	p.allDown = !p.readyLocked()
	p.resolveSoon()
}

// logSteady logs a connection that has stayed up for steadyAfter, unless ctx has ended.
func (p *pool) logSteady(ctx context.Context, c *connection) {
	p.mu.Lock()
	logUp := !c.loggedUp && ctx.Err() == nil
	if logUp {
		c.loggedUp, c.loggedFailing = true, false
	}
	p.mu.Unlock()
	if logUp {
		p.log(c.endpoint).Info("connected")
	}
}

// closeIdle closes the extra connections that have been idle for extraIdle, and schedules itself
// again for the others.
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
		if len(e.connections) == 0 {
			continue
		}
		unused := func(c *connection) bool {
			left := extraIdle - time.Since(c.idleSince)
			if c.active > 0 || left > 0 {
				if c.active == 0 {
					next = min(next, left)
				}
				return false
			}
			idle = append(idle, c)
			return true
		}
		e.connections = append(e.connections[:1:1], slices.DeleteFunc(e.connections[1:], unused)...)
		e.replays = slices.DeleteFunc(e.replays, unused)
	}
	p.armLocked(next)
	p.wg.Add(1)
	p.mu.Unlock()
	defer p.wg.Done()
	if err := p.closeAll(idle); err != nil {
		p.params.Logger.Warn("closing idle connections", "error", err)
	}
}
