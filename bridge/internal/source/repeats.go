package source

import (
	"bytes"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
)

// If two messages in a row carry the same cursor, a client that resumes there would lose the
// second. So a route with `event.cursor: unique` switches to the rules of
// `event.cursor: repeats` as soon as one of its logs has a repeated cursor.

// applyRepeats switches the ids of this log, if any log of the route has a repeated cursor.
func (s *source) applyRepeats() {
	if s.endpoint.RepeatsCursors.Load() {
		s.ids.Repeat()
	}
}

// checkRepeat compares the cursor of a message with the one before. It is called before the
// message's id is made.
func (s *source) checkRepeat(cursor []byte) {
	e := s.endpoint
	if e.Mode != sse.Cursors || e.Route.Event.Cursor == config.CursorRepeats {
		return
	}
	if len(cursor) > 0 {
		if bytes.Equal(cursor, s.latest) {
			e.Counts.Repeated.Add(1)
			if e.RepeatsCursors.CompareAndSwap(false, true) {
				s.sources.Logger.Warn("several messages carry one cursor, and clients that are cut between them lose some; write event.cursor: repeats",
					"route", e.Route.Path)
			}
		}
		s.latest = append(s.latest[:0], cursor...)
	}
	s.applyRepeats()
}
