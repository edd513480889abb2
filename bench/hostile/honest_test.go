package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// An honest client that overlooks something makes every trial pass.
func TestHonestClientsNotice(t *testing.T) {
	for _, c := range []struct {
		name  string
		heard []ssetest.Event
		want  tally
	}{
		{"nothing", []ssetest.Event{{ID: "5"}, {ID: "6"}}, tally{events: 2}},
		{"a lost event", []ssetest.Event{{ID: "5"}, {ID: "8"}}, tally{events: 2, lost: 2}},
		{"an event that comes twice", []ssetest.Event{{ID: "5"}, {ID: "5"}}, tally{events: 2, wrong: 1}},
		{"an event of before", []ssetest.Event{{ID: "5"}, {ID: "3"}}, tally{events: 2, wrong: 1}},
		{"an event without a number", []ssetest.Event{{ID: "5"}, {ID: "5~1"}}, tally{events: 1, wrong: 1}},
		{"a gap", []ssetest.Event{{ID: "5"}, {ID: "9", Name: "stream-gap"}, {ID: "10"}}, tally{events: 2, gaps: 1}},
		{"a request to reconnect", []ssetest.Event{{ID: "5"}, {ID: "5", Name: "stream-retry"}}, tally{events: 1}},
	} {
		h := &honest{comebacks: make([]comeback, 1)}
		last := "4"
		for _, event := range c.heard {
			h.hear(0, event, last, time.Now())
			last = event.ID
		}
		if got := h.tally(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A client whose stream ends comes back, and the time until it has what it missed counts,
// also while it is refused.
func TestAClientThatIsCutOffWaits(t *testing.T) {
	var answers atomic.Bool
	answers.Store(true)
	first := newest()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answers.Load() {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		id := first
		if last := r.Header.Get("Last-Event-ID"); last != "" {
			id = newest()
		}
		_, _ = fmt.Fprintf(w, "retry: 1\nid: %d\nevent: stream-open\ndata: {}\n\nid: %d\ndata: {}\n\n", id-1, id)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	h := &honest{url: server.URL, h1: &http.Transport{}, comebacks: make([]comeback, 4)}
	ctx, leave := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	defer listening.Wait()
	defer leave()
	const number = 3 // which listens by HTTP/1.1, and does not leave by itself
	listening.Go(func() { h.listen(ctx, number) })
	until(t, "an event", func() bool { return h.events.Load() > 0 })
	answers.Store(false)
	until(t, "the client to wait", func() bool { return h.slowest() > 300*time.Millisecond })
	answers.Store(true)
	until(t, "the client to be back", func() bool { return h.resumes.Total() > 0 && h.comebacks[number].waits() == 0 })
	if h.slowest() < 300*time.Millisecond {
		t.Errorf("the wait is forgotten: %v", h.slowest())
	}
}

// Each thing that no attack excuses is a complaint.
func TestJudge(t *testing.T) {
	set := settings{clients: 10}
	good := outcome{tally: tally{events: 100}}
	for _, c := range []struct {
		name   string
		change func(*outcome)
		word   string
	}{
		{"good", func(*outcome) {}, ""},
		{"the end", func(o *outcome) { o.ended = true }, "has ended"},
		{"memory", func(o *outcome) { o.peak = memoryLimit + 1<<20 }, "513 MiB"},
		{"few events", func(o *outcome) { o.events = 49 }, "49 events"},
		{"a loss", func(o *outcome) { o.lost = 1 }, "1 events are lost"},
		{"a gap", func(o *outcome) { o.gaps = 1 }, "1 gaps"},
		{"a refusal", func(o *outcome) { o.refused = 1 }, "1 answers"},
		{"a breach", func(o *outcome) { o.wrong = 1 }, "1 times"},
	} {
		trial, found := &trial{set: set}, good
		c.change(&found)
		trial.judge(t.Context(), "x", time.Second, found)
		if (len(trial.errs) > 0) != (c.word != "") || len(trial.errs) > 0 && !strings.Contains(trial.errs[0].Error(), c.word) {
			t.Errorf("%s: %v", c.name, trial.errs)
		}
	}
}

// until waits until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
