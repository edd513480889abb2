package ssetest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Snapshot returns everything that the client has seen so far.
func (c *Client) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot()
}

// snapshot needs c.mu.
func (c *Client) snapshot() Snapshot {
	s := c.seen
	s.Events = slices.Clip(s.Events) // an append must not overwrite the client's
	return s
}

// Await waits until done returns true and returns that snapshot. If the connection ends first, or on a
// timeout, it fails the test with what it waited for and the current snapshot.
func (c *Client) Await(what string, done func(s Snapshot) bool) Snapshot {
	c.tb.Helper()

	timer := time.NewTimer(c.patience())
	defer timer.Stop()

	for {
		c.mu.Lock()
		seen, changed := c.snapshot(), c.changed
		c.mu.Unlock()

		if done(seen) {
			return seen
		}

		if seen.Ended != nil {
			c.tb.Fatalf("ssetest: the connection ended (%v) before %s\n%s", seen.Ended, what, seen)
		}

		select {
		case <-changed:
		case <-timer.C:
			c.tb.Fatalf("ssetest: waited in vain for %s\n%s", what, c.Snapshot())
		}
	}
}

// patience returns the timeout of an Await. It ends a second before the test's deadline, so that the
// test can still report the failure.
func (c *Client) patience() time.Duration {
	if limited, ok := c.tb.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, ok := limited.Deadline(); ok {
			return max(0, min(patience, time.Until(deadline)-time.Second))
		}
	}
	return patience
}

// AwaitEvents waits for n events in total, including control events, and returns the first n.
func (c *Client) AwaitEvents(n int) []Event {
	c.tb.Helper()
	return c.Await(fmt.Sprintf("%d events", n), func(s Snapshot) bool { return len(s.Events) >= n }).Events[:n]
}

// AwaitMessages waits for n events in total, without control events, and returns the first n.
func (c *Client) AwaitMessages(n int) []Event {
	c.tb.Helper()
	return c.Await(fmt.Sprintf("%d messages", n), func(s Snapshot) bool { return len(s.Messages()) >= n }).Messages()[:n]
}

// AwaitNamed waits for an event with the given name after the first `after` events, and returns it.
func (c *Client) AwaitNamed(name string, after int) Event {
	c.tb.Helper()

	var found Event

	c.Await("an event named "+name, func(s Snapshot) bool {
		for _, event := range s.Events[min(after, len(s.Events)):] {
			if event.Name == name {
				found = event
				return true
			}
		}
		return false
	})
	return found
}

// AwaitStatus waits for the head of the current connection's response and returns its status.
func (c *Client) AwaitStatus() int {
	c.tb.Helper()
	return c.Await("a response", func(s Snapshot) bool { return s.Status != 0 }).Status
}

// AwaitEnd waits for the end of the current connection and returns its [Snapshot.Ended].
func (c *Client) AwaitEnd() error {
	c.tb.Helper()
	return c.Await("the end of the connection", func(s Snapshot) bool { return s.Ended != nil }).Ended
}

// shownBlocks is the maximum number of blocks that a Snapshot prints.
const shownBlocks = 40

// String formats the snapshot for a test's log, the newest blocks last.
func (s Snapshot) String() string {
	var b strings.Builder

	fmt.Fprintf(&b, "connection %d, status %d, last event id %q, %d gaps, %d heartbeats, ended: %v",
		s.Connections, s.Status, s.LastEventID, s.Gaps, s.Heartbeats, s.Ended)

	if s.Body != "" {
		fmt.Fprintf(&b, "\n  body %s", quoted([]byte(s.Body)))
	}

	hidden := max(0, len(s.Events)-shownBlocks)
	fmt.Fprintf(&b, "\n  %d events", len(s.Events))

	if hidden > 0 {
		fmt.Fprintf(&b, ", the last %d of them", shownBlocks)
	}

	for i, event := range s.Events[hidden:] {
		fmt.Fprintf(&b, "\n  %4d %s", hidden+i+1, quoted(event.Raw))
	}
	return b.String()
}
