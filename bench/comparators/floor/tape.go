package main

import (
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/event"
)

// tape is the bytes of the last events, as chunks of HTTP/1.1. Positions count
// the bytes of the whole stream.
type tape struct {
	bytes []byte
	start int64 // the position of the first byte that is held
}

// held is how many bytes a tape keeps at least; twice that at most.
const held = 4 << 20

// append adds an event.
func (t *tape) append(place uint64, sent time.Time) {
	if len(t.bytes) > 2*held-1024 {
		cut := len(t.bytes) - held
		copy(t.bytes, t.bytes[cut:])
		t.bytes = t.bytes[:held]
		t.start += int64(cut)
	}
	if t.bytes == nil {
		t.bytes = make([]byte, 0, 2*held)
	}
	t.bytes = event.AppendChunk(t.bytes, place, sent)
}

// end returns the position after the newest event.
func (t *tape) end() int64 { return t.start + int64(len(t.bytes)) }

// after returns what follows a position, false where that is not held any more.
func (t *tape) after(position int64) ([]byte, bool) {
	if position < t.start {
		return nil, false
	}
	return t.bytes[position-t.start:], true
}
