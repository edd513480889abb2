package source

import (
	"bytes"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
)

// Where two messages in a row carry one cursor, the cursor does not say which of them a client
// has got: resuming there would lose the second. A route that says `event.cursor: unique`
// follows the rules of `event.cursor: repeats` once that has been seen in any of its logs.

// applyRepeats makes the ids of the log follow a discovery in any log of the route.
func (f *source) applyRepeats() {
	if f.endpoint.RepeatsCursors.Load() {
		f.ids.Repeat()
	}
}

// compare looks at the cursor of a message that was read, before its id is made.
func (f *source) compare(cursor []byte) {
	e := f.endpoint
	if e.Mode != sse.Cursors || e.Route.Event.Cursor == config.CursorRepeats {
		return
	}
	if len(cursor) > 0 {
		if bytes.Equal(cursor, f.latest) {
			e.Counts.Repeated.Add(1)
			if e.RepeatsCursors.CompareAndSwap(false, true) {
				f.sources.Logger.Warn("several messages carry one cursor, and clients that are cut between them lose some; write event.cursor: repeats",
					"route", e.Route.Path)
			}
		}
		f.latest = append(f.latest[:0], cursor...)
	}
	f.applyRepeats()
}
