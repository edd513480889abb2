package load

import (
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/event"
)

// client counts what one connection brings. Its reader calls take; everybody
// else reads it under the lock.
type client struct {
	window *window

	mu       sync.Mutex
	encoded  bool // the body is compressed and is not decompressed: only its bytes count
	parser   event.Parser
	last     uint64 // the place of the newest event, 0 before the first
	lastSent int64  // when that was sent, in Unix nanoseconds
	counts   counts
	closed   bool // by the other side
	stalled  bool // it reads nothing, on purpose
	resets   uint64
}

// counts is what a client got since a window was opened.
type counts struct {
	events  uint64 // while it was open
	bytes   uint64 // on the wire, while it was open
	lost    uint64 // places that were left out
	doubled uint64 // places that had been there
}

// take counts a piece of the body that came now.
func (c *client) take(piece []byte, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.encoded {
		return
	}
	c.renew()
	moment := now.UnixNano()
	state := c.window.state.Load()
	c.parser.Feed(piece, func(place uint64, sent int64) {
		c.place(place)
		c.lastSent = sent
		if state.counts(moment) {
			c.counts.events++
		}
		if state.counts(sent) {
			c.window.latency.Count(time.Duration(moment - sent))
		}
	})
}

// encode notes whether the body is one whose bytes alone count.
func (c *client) encode(encoded bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.encoded = encoded
}

// received counts bytes of the wire.
func (c *client) received(n int, now time.Time) {
	if !c.window.state.Load().counts(now.UnixNano()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renew()
	c.counts.bytes += uint64(n) //nolint:gosec // a length
}

// renew forgets what was counted in an earlier window.
func (c *client) renew() {
	if opened := c.window.opened.Load(); c.resets != opened {
		c.resets, c.counts = opened, counts{}
	}
}

// place compares an event's place with the one before.
func (c *client) place(place uint64) {
	switch {
	case c.last == 0 || place == c.last+1:
	case place > c.last:
		c.counts.lost += place - c.last - 1
	default:
		c.counts.doubled++
		return
	}
	if c.window.progress != nil {
		c.window.progress.advance(c.last, place)
	}
	c.last = place
}

// close notes that the other side has closed.
func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	if c.window.progress != nil && !c.stalled {
		c.window.progress.leave(c.last)
	}
}

// stall notes that the client reads nothing any more.
func (c *client) stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled || c.closed {
		return
	}
	c.stalled = true
	if c.window.progress != nil {
		c.window.progress.leave(c.last)
	}
}
