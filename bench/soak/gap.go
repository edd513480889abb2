package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// The reasons of gaps that a soak makes.
const (
	gapExpired   = "expired"
	gapForgotten = "forgotten"
	gapLagged    = "lagged"
	gapRestarted = "restarted"
	gapUpstream  = "upstream"
)

// retryReload is the reason for which clients of a changed route are asked to reconnect.
const retryReload = "reload"

// gap is the data of a stream-gap.
type gap struct {
	Reason      string `json:"reason"`
	LastEventID string `json:"lastEventId"`
	ResumedFrom string `json:"resumedFrom"`
}

func parseGap(event ssetest.Event) (gap, error) {
	var told gap
	if err := json.Unmarshal([]byte(event.Data), &told); err != nil {
		return gap{}, fmt.Errorf("stream-gap: %w", err)
	}
	return told, nil
}

// excuse reports whether a gap is excused for a client, whose state is that before the gap.
type excuse func(w *watcher) bool

// unplaced returns the excused gaps of routes whose ids only a log knows.
func unplaced() map[string]excuse {
	return map[string]excuse{gapForgotten: lostTopic, gapRestarted: lostLog, gapUpstream: lostRPC}
}

func also(excused, more map[string]excuse) map[string]excuse {
	maps.Copy(excused, more)
	return excused
}

// lostRPC: an RPC was opened again, and there is no cursor to open it at. The backend ends
// its connections now and then, so that may happen at any time.
func lostRPC(*watcher) bool { return true }

// fellOut: the log no longer holds the client's place. The next message shows whether that
// is so; see debt.
func fellOut(*watcher) bool { return true }

// hasLagged: the same, while the client was listening.
func hasLagged(*watcher) bool { return true }

// lostLog: the log that knows the client's place is another bridge's, or is gone with its
// process, or belonged to the route before a reload.
func lostLog(w *watcher) bool { return w.displaced() || w.kind.changes }

// lostTopic: the topic has lingered to its end. A slow client does not know when its topic
// began to linger, and a cursor may be of a topic of another bridge.
func lostTopic(w *watcher) bool {
	return w.displaced() || time.Since(w.heard) >= w.kind.log.linger-w.mood.longest() || w.slow() && w.kind.private
}

// wasTrimmed: the backend no longer has the message after the client's place.
func wasTrimmed(w *watcher) bool {
	place, ok := w.kind.place(w.lastID)
	return ok && w.history.trimmed(place+1, time.Now())
}

// excuses reports whether a gap is excused. A client that has no cursor yet has a log's
// position as its id, which is lost with the log, and the logs are short: the gaps of
// unplaced are excused for it, and expired.
func (k kind) excuses(told gap, w *watcher) bool {
	if excused := k.excused[told.Reason]; excused != nil && excused(w) {
		return true
	}
	excused := also(unplaced(), map[string]excuse{gapExpired: fellOut})[told.Reason]
	return w.early() && excused != nil && excused(w)
}

// early reports whether the client of a route with resume has no cursor yet.
func (w *watcher) early() bool { return w.kind.resumes && hasNoCursor(w.lastID) }

// debt is what a gap's reason promises of the first message after it.
type debt struct {
	reason string
	// after is the place of the newest message before the gap, if the next one must be
	// newer; 0: it may be any.
	after int64
	// full is the log's size if the client has fallen out of the log: at least so many
	// messages are newer than its place; 0: it has not.
	full int64
}

// owes returns a gap's debt: the next message is newer than those before the gap, unless it
// comes from another log, or belongs to a stream's history.
func (w *watcher) owes(told gap) *debt {
	owed := &debt{reason: told.Reason}
	switch told.Reason {
	case gapUpstream:
		owed.after = w.newest
	case gapLagged:
		owed.after, owed.full = w.newest, int64(w.kind.log.events)
	case gapExpired:
		if w.kind.resumes || !w.displaced() {
			owed.after = w.newest
		}
		if !w.kind.resumes {
			owed.full = int64(w.kind.log.events)
		}
	}
	if w.kind.history || w.early() {
		owed.after = 0
	}
	return owed
}

// settles checks a debt with the message at a place. The log may hold some
// frames that are no messages.
func (owed *debt) settles(place int64, w *watcher) error {
	switch {
	case place <= owed.after:
		return fmt.Errorf("place %d came behind a gap (%s), and %d before it", place, owed.reason, owed.after)
	case owed.full > 0 && w.history.due(place-1+owed.full/2).After(time.Now()):
		return fmt.Errorf("a gap (%s), but the log still held the place before %d", owed.reason, place)
	}
	return nil
}
