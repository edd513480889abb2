package bridge_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// After a restart of the bridge 100 clients reconnect at 100 cursors of a running stream. Their
// catch-ups are larger than their logs, so each waits for its clients, and limits.catchups permits
// one replay at a time, so each waits for the one before it. A frame that does not reach its client
// delays all of them until the next heartbeat, and there is none here.
func TestClientsWithDifferentCursorsAreSoonUpToDate(t *testing.T) {
	// A busy machine needs longer, even if no catch-up waits for a slot.
	before := upToDateAfter(t, 256)
	took := upToDateAfter(t, 1)
	atMost := max(2*time.Second, 4*max(before, upToDateAfter(t, 256)))
	t.Logf("100 clients are up to date after %v, want at most %v", took.Round(time.Millisecond), atMost.Round(time.Millisecond))
	if took > atMost {
		t.Fatalf("100 clients are up to date after %v, want at most %v", took, atMost)
	}
}

// upToDateAfter returns the time until all clients have the events that the stream had when they connected.
func upToDateAfter(t *testing.T, catchUps int) time.Duration {
	t.Helper()
	const clients, apart, history = 100, 8, 800
	app := backend(t)
	l := newLedger()
	l.newest = history
	app.OnWatch(l.watch)
	site := startWith(t, parse(t, fmt.Sprintf("upstreams: {app: {target: '%s'}}\ndrain: {delay: 0s, grace: 0s}\nlimits: {catchups: %d}\n%s",
		app.Target(), catchUps, feedRoute("event: {id: seq}, resume: {field: after}, replay: {events: 10}, heartbeat: {every: 1h}"))), bridge.Options{})
	stop := publishEvery(l, 10*time.Millisecond)
	defer stop()
	began := time.Now()
	all := make([]*ssetest.Client, clients)
	for i := range all {
		all[i] = ssetest.Connect(t, site.URL+"/feed", ssetest.Options{LastEventID: strconv.Itoa(1 + i*apart)})
	}
	for i, c := range all {
		eventually(t, "what was there when a client came", func() bool {
			id, _ := strconv.Atoi(c.Snapshot().LastEventID)
			return id >= history
		})
		for at, event := range c.Snapshot().Messages() {
			if want := strconv.Itoa(2 + i*apart + at); event.ID != want {
				t.Fatalf("client %d got %s, want %s", i, event.ID, want)
			}
		}
	}
	took := time.Since(began)
	for _, c := range all {
		c.Close()
	}
	return took
}

// publishEvery publishes events until it is stopped.
func publishEvery(l *ledger, every time.Duration) (stop func()) {
	var publishing sync.WaitGroup
	quit := make(chan struct{})
	publishing.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				l.change(func() { l.newest++ })
			case <-quit:
				return
			}
		}
	})
	return func() { close(quit); publishing.Wait() }
}
