package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// leaves: one honest client in so many leaves every few seconds, and comes back at once.
	leaves = 5
	// soon is how long a client that comes back may take until it has the events that it
	// has missed.
	soon = 2 * time.Second
)

// comeback is an honest client's return, after it has left or its stream has ended: when it
// first tried to connect, and the newest message then. since is 0 once it has that message.
type comeback struct {
	since, upTo atomic.Int64
	attempt     atomic.Value // a string: what has come of its last attempt to connect
}

// newest is the number of the newest message.
func newest() int64 { return time.Now().UnixMilli() / every.Milliseconds() }

// stay returns how long a client listens until it leaves.
func (*honest) stay(ctx context.Context, number int) (stays context.Context, leave func()) {
	if number%leaves > 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, 2*time.Second+rand.N(2*time.Second))
}

// begin notes that the client comes back now, if it is not waiting already.
func (c *comeback) begin() {
	if c.since.Load() > 0 {
		return
	}
	c.upTo.Store(newest())
	c.since.Store(time.Now().UnixNano())
}

// has returns how long the client took, if a message is the one that it waited for.
func (c *comeback) has(seq int64) (took time.Duration, done bool) {
	if c.since.Load() == 0 || seq < c.upTo.Load() {
		return 0, false
	}
	return time.Since(time.Unix(0, c.since.Swap(0))), true
}

// waits returns for how long the client has been waiting.
func (c *comeback) waits() time.Duration {
	since := c.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

// waiting says which client has been waiting longest, and what has come of its attempts.
func (h *honest) waiting() string {
	longest := 0
	for i := range h.comebacks {
		if h.comebacks[i].waits() > h.comebacks[longest].waits() {
			longest = i
		}
	}
	client := &h.comebacks[longest]
	if client.waits() == 0 {
		return "it has them by now"
	}
	attempt, _ := client.attempt.Load().(string)
	return fmt.Sprintf("client %d waits: %s", longest, attempt)
}

// slowest returns the longest time that a client took to come back, or has been waiting
// by now.
func (h *honest) slowest() time.Duration {
	slowest := h.resumes.Max()
	for i := range h.comebacks {
		slowest = max(slowest, h.comebacks[i].waits())
	}
	return slowest
}
