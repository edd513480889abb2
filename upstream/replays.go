package upstream

import (
	"context"
	"slices"
	"time"
)

// A server sends what its RPCs on one connection have to say in the order in which
// they said it. So a message of one RPC waits behind all that others have said before,
// and a replay says thousands of messages at once: beside a few hundred replays, a
// message that has just come would be late by seconds. RPCs that replay therefore
// have connections of their own (Call.Replay).

const (
	// replayPatience is how long an RPC waits for such a connection. Then it goes beside
	// others: a server may take no further connection.
	replayPatience = time.Second
	// replayRest is how long no such connection is opened after one could not be.
	replayRest = 30 * time.Second
)

// replayConnectionLocked waits for a connection to an address with room for an RPC
// that replays. It returns nil if there is none: the RPC is to be placed beside others.
func (p *pool) replayConnectionLocked(ctx context.Context, e *endpoint) *connection {
	if p.params.Connections > 0 {
		return nil // there are to be no others
	}
	found, coming := e.replayRoom()
	if found != nil {
		return found
	}
	ctx, cancel := context.WithTimeout(ctx, replayPatience)
	defer cancel()
	for found == nil && !p.closed && !e.gone {
		if coming == nil {
			coming = p.addReplaysLocked(e)
		}
		if coming == nil || time.Since(coming.idleSince) >= replayPatience || p.waitLocked(ctx) != nil {
			return nil
		}
		found, coming = e.replayRoom()
	}
	return found
}

// replayRoom returns a connection with room for an RPC that replays, or else one that
// is being established.
func (e *endpoint) replayRoom() (found, coming *connection) {
	for _, c := range e.replays {
		switch {
		case c.over, c.mute:
		case c.room():
			return c, nil
		case !c.ready || c.active == 0: // its server may allow no streams yet
			coming = c
		}
	}
	return nil, coming
}

// addReplaysLocked opens a connection for RPCs that replay, nil if that may not be now.
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

// failedReplaysLocked notes that such a connection could not be established.
func (p *pool) failedReplaysLocked(c *connection) {
	if !c.closing {
		c.endpoint.noReplays = time.Now().Add(replayRest)
		p.overReplaysLocked(c)
	}
}

// overReplaysLocked gives such a connection no RPCs any more.
func (p *pool) overReplaysLocked(c *connection) {
	if c.over = true; c.active == 0 {
		p.retireReplaysLocked(c)
	}
}

// retireReplaysLocked closes such a connection.
func (p *pool) retireReplaysLocked(c *connection) {
	if c.closing {
		return
	}
	e := c.endpoint
	e.replays = slices.DeleteFunc(e.replays, func(other *connection) bool { return other == c })
	c.over, c.closing = true, true
	p.retireLocked([]*connection{c})
}
