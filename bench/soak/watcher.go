package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

const (
	// leaves: one reconnection in so many is that of a new visitor, who has no
	// id yet, instead of one who comes back.
	leaves = 20
	// sulk is what a client waits that was told nothing, before it tries again.
	sulk = 300 * time.Millisecond
)

// watcher is a client: it keeps what an EventSource keeps, and checks that
// between two gaps the places of its messages follow each other.
type watcher struct {
	kind   kind
	url    string
	http   *http.Client
	tally  *tally
	random *rand.Rand
	stays  bool // it is never replaced by a new visitor

	lastID string
	retry  time.Duration
	next   int64  // the place that is to come; 0: any
	seq    uint64 // of the log position in lastID, on routes whose ids are positions

	seen atomic.Int64 // the newest place that has come, for who watches the watcher
}

// run watches until ctx ends, connecting again and again.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.retry = sulk
		w.tally.connected()
		if err := w.connect(ctx); err != nil && ctx.Err() == nil {
			w.tally.failsf("%s, at %q: %v", w.url, w.lastID, err)
		}
		if !w.stays && w.random.IntN(leaves) == 0 {
			w.lastID, w.next = "", 0
		}
		if pause(ctx, w.retry) != nil {
			return
		}
	}
}

// connect reads one response to its end. An error is what no fault excuses.
func (w *watcher) connect(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	if w.lastID != "" {
		request.Header.Set("Last-Event-ID", w.lastID)
	}
	response, err := w.http.Do(request)
	if err != nil {
		return nil // no connection, or one that was cut: that is what is being tried
	}
	defer response.Body.Close() //nolint:errcheck // it has been read, or is given up
	if err := ssetest.CheckHead(response); err != nil {
		return err
	}
	reader := ssetest.NewReader(response.Body, ssetest.Mode{IDs: true})
	for {
		event, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
		if event.HasRetry {
			w.retry = event.Retry
		}
		if err := w.take(event); err != nil {
			w.tally.failsf("%s, at %q: %v", w.url, w.lastID, err)
		}
		if w.lastID = reader.LastEventID(); strings.HasSuffix(w.lastID, "~end") {
			w.lastID, w.next = "", 0 // an EventSource would stop; it has been told of
			return nil
		}
	}
}

// take checks one event, and goes on from it whatever it finds.
func (w *watcher) take(event ssetest.Event) error {
	switch event.Name {
	case "stream-open":
		return w.opened(event.ID)
	case "stream-gap":
		return w.missed(event)
	case "stream-retry":
		w.tally.asked(event.Data)
		return nil
	case "stream-stale", "stream-live":
		return nil
	case "":
		return w.message(event)
	default:
		return fmt.Errorf("%s: %s", event.Name, event.Data)
	}
}

// opened checks that stream-open moves no client past something.
func (w *watcher) opened(id string) error {
	if w.lastID != "" && w.lastID != "~0" && id != w.lastID {
		return fmt.Errorf("stream-open moved the client to %q", id)
	}
	w.stand(id)
	return nil
}

// stand notes where an id says that the client stands.
func (w *watcher) stand(id string) {
	if place, ok := w.kind.place(id); ok && w.next == 0 {
		w.next = place + 1
	}
	w.seq, _ = position(id)
}

// missed counts a gap, after which any place may follow that the id does not
// contradict.
func (w *watcher) missed(event ssetest.Event) error {
	var gap struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal([]byte(event.Data), &gap); err != nil {
		return fmt.Errorf("stream-gap: %w", err)
	}
	if w.kind.resumes() && strings.HasPrefix(w.lastID, "~") {
		w.tally.gap(gap.Reason + " before a cursor")
	} else {
		w.tally.gap(gap.Reason)
	}
	w.next = 0
	w.stand(event.ID)
	if !w.kind.excuses(gap.Reason, w.lastID) {
		return fmt.Errorf("a gap that nothing excuses: %s", event.Data)
	}
	return nil
}

// message checks a message's place and its id.
func (w *watcher) message(event ssetest.Event) error {
	place, err := placeOf(event.Data)
	if err != nil {
		return err
	}
	w.tally.message()
	w.seen.Store(place)
	want := w.next
	w.next = place + 1
	if want != 0 && place != want {
		w.tally.broken(place - want)
		return fmt.Errorf("place %d came (id %q) where %d was to come", place, event.ID, want)
	}
	if named, ok := w.kind.place(event.ID); ok && named != place {
		return fmt.Errorf("the id %q names place %d, and its message is at %d", event.ID, named, place)
	}
	seq, ok := position(event.ID)
	if before := w.seq; ok && seq != before+1 {
		return fmt.Errorf("position %q follows %d", event.ID, before)
	}
	w.seq = seq
	return nil
}

// placeOf reads the place of a message from its data.
func placeOf(data string) (int64, error) {
	var message struct {
		Note struct {
			Text string `json:"text"`
		} `json:"note"`
	}
	if err := json.Unmarshal([]byte(data), &message); err != nil {
		return 0, fmt.Errorf("a message: %w", err)
	}
	return strconv.ParseInt(message.Note.Text, 10, 64)
}

// position returns the seq of an id that is a position in a log.
func position(id string) (seq uint64, ok bool) {
	epoch, digits, found := strings.Cut(strings.TrimPrefix(id, "~"), "-")
	if !found || len(epoch) != 26 {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil
}
