package ssetest

import (
	"strings"
	"time"
)

// Event is one block of an event stream that was dispatched.
type Event struct {
	// ID is the last event id after the block, whether the block carried one or not.
	ID string
	// HasID is true if the block carried a valid id of its own.
	HasID bool
	// Name is the event's name; "" is what a browser delivers as "message".
	Name string
	// Data is the data lines, joined by LF.
	Data string
	// Retry is the reconnection time that came with the block, or since the block before it.
	Retry time.Duration
	// HasRetry tells a Retry of 0 from none.
	HasRetry bool
	// Raw is every byte since the block before, comments and blocks that dispatch nothing included.
	Raw []byte
}

// Control reports whether the event is the bridge's own and not a message: its name begins with "stream-", or it is a
// heartbeat.
func (e Event) Control() bool {
	return e.Name == "heartbeat" || strings.HasPrefix(e.Name, "stream-")
}
