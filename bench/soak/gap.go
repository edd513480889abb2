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

// retryReload is why clients of a changed route are asked to come back.
const retryReload = "reload"

// gap is a stream-gap, as a client is told it.
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

// excuse says whether a gap is one that a kind has to put up with, told to a
// client that stands where it stood before the gap.
type excuse func(w *watcher) bool

// unplaced are the gaps of visitors whose place only a log knows.
func unplaced() map[string]excuse {
	return map[string]excuse{gapForgotten: lostTopic, gapRestarted: lostLog, gapUpstream: lostRPC}
}

func also(excused, more map[string]excuse) map[string]excuse {
	maps.Copy(excused, more)
	return excused
}

// lostRPC: an RPC has ended and begun anew, and there is no cursor to begin at.
// The backend ends its connections now and then, so that may be at any time.
func lostRPC(*watcher) bool { return true }

// fellOut: the log has moved on. That it has is seen at the next message.
func fellOut(*watcher) bool { return true }

// hasLagged: the same, while the client was listening.
func hasLagged(*watcher) bool { return true }

// lostLog: the log that knows the client's place is in another bridge, or died
// with one, or was left behind by a reload.
func lostLog(w *watcher) bool { return w.displaced() || w.kind.changes }

// lostTopic: the log has lingered to its end. When it began to linger, a slow client
// cannot tell; and a cursor may be of a topic that did at another bridge.
func lostTopic(w *watcher) bool {
	return w.displaced() || time.Since(w.heard) >= w.kind.log.linger-w.mood.longest() || w.slow() && w.kind.private
}

// wasTrimmed: the backend has not got what follows the client's place any more.
func wasTrimmed(w *watcher) bool {
	place, ok := w.kind.place(w.lastID)
	return ok && w.history.trimmed(place+1, time.Now())
}

// excuses reports whether a gap is one that the kind has to put up with. Where
// no cursor has come yet, that is one of any kind that only a log knows the
// client's place at, since such a position is as good as its log, and the logs
// are short.
func (k kind) excuses(told gap, w *watcher) bool {
	if excused := k.excused[told.Reason]; excused != nil && excused(w) {
		return true
	}
	excused := also(unplaced(), map[string]excuse{gapExpired: fellOut})[told.Reason]
	return w.early() && excused != nil && excused(w)
}

// early reports whether the client of a route with resume has no cursor yet.
func (w *watcher) early() bool { return w.kind.resumes && hasNoCursor(w.lastID) }

// debt is what the first message after a gap has to show.
type debt struct {
	reason string
	// after is the place of the newest message before the gap, where what
	// follows is newer; 0: it may be anything.
	after int64
	// full: the client has fallen out of the log, so at least as many
	// messages must have come since; 0: it has not.
	full int64
}

// owes returns what follows from a gap's reason: messages go on behind those
// before it, unless they come from another log, or are a stream's history.
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
