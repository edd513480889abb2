package ssetest

import (
	"strings"
	"time"
)

// Event is one dispatched block of an event stream.
type Event struct {
	// ID is the last event id after the block, even if the block has none of its own.
	ID string
	// HasID is true if the block has a valid id of its own.
	HasID bool
	// Name is the event's name; a browser delivers "" as "message".
	Name string
	// Data is the data lines, joined by LF.
	Data string
	// Retry is the reconnection time in the block, or in lines since the previous event.
	Retry time.Duration
	// HasRetry distinguishes a Retry of 0 from none.
	HasRetry bool
	// Raw has all bytes since the previous event, including comments and blocks without an event.
	Raw []byte
}

// Control reports whether the event is the bridge's own and not a message: its name begins with
// "stream-", or it is a heartbeat.
func (e Event) Control() bool {
	return e.Name == "heartbeat" || strings.HasPrefix(e.Name, "stream-")
}
