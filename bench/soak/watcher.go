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
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

const (
	// leaves: in one reconnection of so many the client is a new one, without an id.
	leaves = 20
	// sulk is how long a client waits before it tries again, if it heard no retry.
	sulk = 300 * time.Millisecond
)

// watcher is a client. It keeps the state of an EventSource, and checks that between two gaps
// the places of its messages are consecutive.
type watcher struct {
	kind    kind
	history history // of its stream
	path    string
	doors   []door // one of them a connection
	http    *http.Client
	tally   *tally
	random  *rand.Rand
	mood    *mood
	narrow  *http.Client // by which a slow client connects while clients are difficult; nil: the client is not slow
	gaits   func() gait  // of a slow client, one for each connection
	stays   bool         // it never becomes a new client
	journal *journal

	lastID string
	retry  time.Duration
	next   int64     // the place that is to come; 0: any
	newest int64     // the place of the newest message
	owed   *debt     // of the next message
	seq    uint64    // of the log position in lastID, on routes whose ids are positions
	here   string    // the bridge process that serves the client; "": it is not known
	placed string    // the one that gave it lastID
	heard  time.Time // when it last got a message, a gap or a place

	page *page // that the client is on; nil: it has connections of its own

	ghosts sync.WaitGroup // connections that the client has left behind

	seen   atomic.Int64              // newest, for other goroutines
	upToAt atomic.Pointer[time.Time] // when the client first had the stream's newest messages; nil: not yet
}

// run watches until ctx ends, connecting again and again.
func (w *watcher) run(ctx context.Context) {
	defer w.ghosts.Wait()
	if w.page != nil && !w.page.await(ctx, w) {
		return
	}
	for ctx.Err() == nil {
		w.retry = sulk
		w.tally.connected()
		if err := w.connect(ctx); err != nil && ctx.Err() == nil {
			w.failed(err)
		}
		if !w.stays && w.random.IntN(leaves) == 0 {
			w.forget()
		}
		if pause(ctx, w.retry) != nil || w.wander(ctx) != nil {
			return
		}
	}
}

// forget makes a new client of the watcher.
func (w *watcher) forget() { w.lastID, w.next, w.newest, w.owed = "", 0, 0, nil }

// wander keeps a client of a trimming backend away for about as long as the backend keeps
// messages.
func (w *watcher) wander(ctx context.Context) error {
	if w.kind.trims == keepsAll || !w.mood.difficult.Load() {
		return nil
	}
	return pause(ctx, w.mood.messages(w.random.IntN(2*kept)))
}

// slow reports whether the client reads slowly while clients are difficult.
func (w *watcher) slow() bool { return w.narrow != nil }

// lingers reports whether the client is sometimes late on purpose.
func (w *watcher) lingers() bool { return w.slow() || w.kind.trims != keepsAll }

// patience limits the connections of clients that wander.
func (w *watcher) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.kind.trims == keepsAll || !w.mood.difficult.Load() {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, w.mood.messages(kept+w.random.IntN(2*kept)))
}

func (w *watcher) failed(err error) { w.tally.failsf("%s, at %q: %v", w.path, w.lastID, err) }

// connect reads one response to its end. It returns errors that no fault excuses.
func (w *watcher) connect(ctx context.Context) error {
	ctx, cancel := w.patience(ctx)
	var reads gait
	if w.slow() {
		reads = w.gaits()
	}
	narrow := w.slow() && w.mood.difficult.Load() && !reads.quick
	response, err := w.request(ctx, narrow)
	if response == nil || err != nil {
		cancel()
		return err
	}
	leave := func() {
		_ = response.Body.Close() // it has been read, or is given up
		cancel()
	}
	if err := ssetest.CheckHead(response); err != nil {
		leave()
		return err
	}
	if !w.slow() {
		defer leave()
		return w.read(ctx, ssetest.NewReader(response.Body, ssetest.Mode{IDs: true}))
	}
	body := newSlowReader(ctx, response.Body, w.mood, reads, narrow)
	err = w.read(ctx, ssetest.NewReader(body, ssetest.Mode{IDs: true}))
	w.part(ctx, body, leave)
	return err
}

// part closes a connection that was read slowly, or leaves it behind as a ghost.
func (w *watcher) part(ctx context.Context, body *slowReader, leave func()) {
	if body.narrow && body.walkedAll() {
		w.tally.walked(body.gait.name)
	}
	if !body.gait.haunts || !body.walkedAll() {
		leave()
		return
	}
	w.retry = 0
	w.ghosts.Go(func() {
		defer leave()
		_ = pause(ctx, body.gait.ghost)
	})
}

// request asks for the stream through one of the client's doors. The response is nil if the
// connection failed, which the faults cause on purpose.
func (w *watcher) request(ctx context.Context, narrow bool) (*http.Response, error) {
	through := w.doors[w.random.IntN(len(w.doors))]
	behind := through.behind()
	at := "http://" + through.address()
	if w.page != nil {
		at = w.page.url()
		ctx = w.page.traced(ctx, w.journal)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at+w.path, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	if w.lastID != "" {
		request.Header.Set("Last-Event-ID", w.lastID)
	}
	w.journal.note(connects, through.address())
	client := w.http
	if narrow {
		client = w.narrow
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // see above
	}
	if w.page != nil {
		w.page.opened()
	}
	if w.here = behind; through.behind() != behind {
		w.here = ""
	}
	return response, nil
}

// read takes the events of a response.
func (w *watcher) read(ctx context.Context, reader *ssetest.Reader) error {
	told, placed := false, false
	for {
		event, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			// Otherwise the client has ended it, or the bridge did because the client took
			// nothing.
			if slow := w.slow() && w.mood.difficult.Load(); !told && ctx.Err() == nil && !slow && !errors.Is(err, errLeft) {
				w.tally.ended()
			}
			w.journal.note(ends, "")
			return nil
		case err != nil:
			return err
		}
		if !placed {
			placed = true
			w.journal.note(opens, "")
		}
		told = event.Name == "stream-retry"
		if event.HasRetry {
			w.retry = event.Retry
		}
		if err := w.take(event); err != nil {
			w.failed(err)
		}
		if w.lastID = reader.LastEventID(); strings.HasSuffix(w.lastID, "~end") {
			w.forget() // an EventSource would stop; take has counted it
			return nil
		}
	}
}

// moved notes that the client has a place of the bridge process that serves it.
func (w *watcher) moved() { w.placed, w.heard = w.here, time.Now() }

// displaced reports whether another bridge process may serve the client than the one that gave
// it its place.
func (w *watcher) displaced() bool {
	return w.here == "" || w.placed == "" || w.here != w.placed
}

// take checks one event, and goes on from it whatever it finds.
func (w *watcher) take(event ssetest.Event) error {
	switch event.Name {
	case "stream-open":
		return w.opened(event.ID)
	case "stream-gap":
		return w.missed(event)
	case "stream-retry":
		return w.asked(event.Data)
	case "stream-stale", "stream-live":
		return nil
	case "":
		return w.message(event)
	default:
		return fmt.Errorf("%s: %s", event.Name, event.Data)
	}
}

// opened checks that stream-open does not move the client.
func (w *watcher) opened(id string) error {
	if w.lastID != "" && w.lastID != "~0" {
		if id != w.lastID {
			return fmt.Errorf("stream-open moved the client to %q", id)
		}
		return nil // the bridge resumes there, from a log or by the backend
	}
	w.owed = nil
	w.stand(id)
	w.moved()
	return nil
}

// stand notes the place that an id names.
func (w *watcher) stand(id string) {
	w.next = 0
	if place, ok := w.kind.place(id); ok {
		w.next = place + 1
	}
	w.seq, _ = position(id)
}

// asked counts a stream-retry.
func (w *watcher) asked(data string) error {
	var retry struct {
		Reason string `json:"reason"`
		Status string `json:"status"`
	}
	if err := json.Unmarshal([]byte(data), &retry); err != nil {
		return fmt.Errorf("stream-retry: %w", err)
	}
	w.tally.asked(strings.TrimSpace(retry.Reason + " " + retry.Status))
	w.journal.note(asked, retry.Reason)
	if retry.Reason == retryReload && !w.kind.changes {
		return errors.New("a client was asked to leave for a reload that has not changed its route")
	}
	if retry.Reason == gapLagged && !w.kind.mayLag() {
		return errors.New("a client lagged where none is to be asked to leave for that")
	}
	return nil
}

// missed checks and counts a gap. After it the stream goes on from the place of its id, or, if
// that names no place, as its reason promises.
func (w *watcher) missed(event ssetest.Event) error {
	told, err := parseGap(event)
	if err != nil {
		return err
	}
	excused := w.kind.excuses(told, w)
	w.tally.gap(told.Reason, excused, w.early())
	if !excused {
		err = fmt.Errorf("a gap that nothing excuses: %s", event.Data)
	}
	if told.ResumedFrom != event.ID {
		err = errors.Join(err, fmt.Errorf("the gap's id is %q, but it says that it goes on from %q", event.ID, told.ResumedFrom))
	}
	if told.LastEventID != w.lastID {
		err = errors.Join(err, fmt.Errorf("the gap is told to a client that stands at %q", told.LastEventID))
	}
	// If an earlier gap lets the next message be any, that stands: it may have led into a log
	// that begins earlier.
	if owed := w.owes(told); w.owed == nil || w.owed.after > 0 {
		w.owed = owed
	} else if told.Reason == gapRestarted || told.Reason == gapForgotten {
		w.owed.full = 0 // how much the log before held says nothing of this one
	}
	w.stand(event.ID)
	w.moved()
	return err
}

// message checks a message's place and its id.
func (w *watcher) message(event ssetest.Event) error {
	place, err := placeOf(event.Data)
	if err != nil {
		return err
	}
	w.tally.message()
	w.moved()
	err = w.counted(event.ID)
	if place == 0 {
		return err // it has no place
	}
	want, owed := w.next, w.owed
	w.next, w.newest, w.owed = place+1, place, nil
	w.seen.Store(place)
	w.delayed(place)
	switch {
	case want != 0 && place != want:
		w.tally.broken(place - want)
		err = errors.Join(err, fmt.Errorf("place %d came (id %q) where %d was to come", place, event.ID, want))
	case owed != nil:
		err = errors.Join(err, owed.settles(place, w))
	}
	if named, ok := w.kind.place(event.ID); ok && named != place {
		err = errors.Join(err, fmt.Errorf("the id %q names place %d, and its message is at %d", event.ID, named, place))
	}
	return err
}

// upTo is how late a message may come to a client that is up to date.
const upTo = 500 * time.Millisecond

// delayed notes how late a message has come.
func (w *watcher) delayed(place int64) {
	now := time.Now()
	late := now.Sub(w.history.due(place))
	if late <= upTo && w.upToAt.Load() == nil {
		w.upToAt.Store(&now)
	}
	if !w.lingers() {
		w.tally.late.Count(late)
	}
}

// counted checks that an id that is a position follows the one before.
func (w *watcher) counted(id string) error {
	before := w.seq
	seq, ok := position(id)
	if w.seq = seq; ok && seq != before+1 {
		return fmt.Errorf("position %q follows %d", id, before)
	}
	return nil
}

// placeOf reads the place of a message from its data, 0 where it has none.
func placeOf(data string) (int64, error) {
	var message struct {
		Note struct {
			Text string `json:"text"`
		} `json:"note"`
	}
	if err := json.Unmarshal([]byte(data), &message); err != nil {
		return 0, fmt.Errorf("a message: %w", err)
	}
	if message.Note.Text == helloText {
		return 0, nil
	}
	return strconv.ParseInt(message.Note.Text, 10, 64)
}
