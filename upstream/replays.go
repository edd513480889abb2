package upstream

import (
	"context"
	"slices"
	"time"
)

// A server sends the messages of all RPCs on a connection in the order in which they were written.
// A message of one RPC therefore waits behind all earlier messages of the others. A replay writes
// thousands of messages at once: on a connection with a few hundred replays, a new message would be
// late by seconds. RPCs that replay therefore have separate connections (Call.Replay).

const (
	// replayWait is how long an RPC waits for a replay connection. Then it shares a normal one,
	// since a server may accept no further connection.
	replayWait = time.Second
	// replayPause is how long the pool opens no replay connection after it failed to open one.
	replayPause = 30 * time.Second
)

// replayConnectionLocked waits for a replay connection to an address with room. It returns nil if
// there is none: the RPC then shares a normal connection.
func (p *pool) replayConnectionLocked(ctx context.Context, e *endpoint) *connection {
	if p.params.Connections > 0 {
		return nil // the number of connections is fixed
	}
	found, coming := e.replayRoom()
	if found != nil {
		return found
	}
	ctx, cancel := context.WithTimeout(ctx, replayWait)
	defer cancel()
	for found == nil && !p.closed && !e.gone {
		if coming == nil {
			coming = p.addReplaysLocked(e)
		}
		if coming == nil || time.Since(coming.idleSince) >= replayWait || p.waitLocked(ctx) != nil {
			return nil
		}
		found, coming = e.replayRoom()
	}
	return found
}

// replayRoom returns a replay connection with room, or else one that is being established.
func (e *endpoint) replayRoom() (found, coming *connection) {
	for _, c := range e.replays {
		switch {
		case c.draining, c.mute:
		case c.room():
			return c, nil
		case !c.ready || c.active == 0: // its server may not allow streams yet
			coming = c
		}
	}
	return nil, coming
}

// addReplaysLocked opens a replay connection. It returns nil if none may be opened now.
func (p *pool) addReplaysLocked(e *endpoint) *connection {
	if time.Now().Before(e.noReplays) || len(e.connections)+len(e.replays) >= maxConnections {
		return nil
	}
	c, err := p.connectLocked(e)
	if err != nil {
		return nil
	}
	c.replays = true
	e.replays = append(e.replays, c)
	p.armLocked(extraIdle)
	return c
}

// failedReplaysLocked records that a replay connection could not be established.
func (p *pool) failedReplaysLocked(c *connection) {
	if !c.closing {
		c.endpoint.noReplays = time.Now().Add(replayPause)
		p.drainReplaysLocked(c)
	}
}

// drainReplaysLocked stops giving RPCs to a replay connection.
func (p *pool) drainReplaysLocked(c *connection) {
	if c.draining = true; c.active == 0 {
		p.retireReplaysLocked(c)
	}
}

// retireReplaysLocked closes a replay connection.
func (p *pool) retireReplaysLocked(c *connection) {
	if c.closing {
		return
	}
	e := c.endpoint
	e.replays = slices.DeleteFunc(e.replays, func(other *connection) bool { return other == c })
	c.draining, c.closing = true, true
	p.retireLocked([]*connection{c})
}
