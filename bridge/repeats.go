package bridge

import (
	"bytes"
	"sync/atomic"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
)

// repeats notes whether a route that says `event.cursor: unique` has a backend that
// repeats cursors. Where two messages in a row carry one cursor, the cursor does
// not say which of them a client has got: resuming there would lose the second.
// Once that has been seen, ids and RPCs follow the rules of `event.cursor:
// repeats`.
type repeats struct{ found atomic.Bool }

// apply makes the ids of a log follow a discovery in any log of the route.
func (r *repeats) apply(ids *sse.Numbering) {
	if r.found.Load() {
		ids.Repeat()
	}
}

// compare looks at the cursor of a message that was read, before its id is made.
func (f *feed) compare(cursor []byte) {
	e := f.endpoint
	if e.mode != sse.Cursors || e.route.Event.Cursor == config.CursorRepeats {
		return
	}
	if len(cursor) > 0 {
		if bytes.Equal(cursor, f.latest) {
			e.counts.repeated.Add(1)
			if e.repeats.found.CompareAndSwap(false, true) {
				e.bridge.logger.Warn("several messages carry one cursor, and clients that are cut between them lose some; write event.cursor: repeats",
					"route", e.route.Path)
			}
		}
		f.latest = append(f.latest[:0], cursor...)
	}
	e.repeats.apply(f.ids)
}
