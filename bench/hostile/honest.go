package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/histogram"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// honest is the clients that listen, and check each event.
type honest struct {
	url     string
	h1, h2c *http.Transport

	lateness histogram.Histogram // of events that came live
	direct   histogram.Histogram // of events to the clients of the backend itself

	events, connects, lost, gaps, refused, wrong atomic.Int64 // see tally

	comebacks []comeback          // of each client
	resumes   histogram.Histogram // how long clients that came back waited for the events that they had missed
}

// tally counts what honest clients have seen.
type tally struct {
	events, connects int64
	lost             int64 // events without a gap in their place
	gaps             int64
	refused          int64 // answers that would stop a browser
	wrong            int64 // breaches of the bridge's contract, as an event that comes twice
}

func (h *honest) tally() tally {
	return tally{h.events.Load(), h.connects.Load(), h.lost.Load(), h.gaps.Load(), h.refused.Load(), h.wrong.Load()}
}

// since returns what has come since an earlier tally.
func (t tally) since(before tally) tally {
	return tally{
		t.events - before.events, t.connects - before.connects, t.lost - before.lost, t.gaps - before.gaps, t.refused - before.refused, t.wrong - before.wrong,
	}
}

// ready waits until the clients listen.
func (h *honest) ready(ctx context.Context, clients int) error {
	for range 300 {
		if h.events.Swap(0) >= int64(clients) {
			return nil
		}
		if pause(ctx, 200*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.New("the honest clients do not get their events")
}

// listen keeps one client listening, as an EventSource would.
func (h *honest) listen(ctx context.Context, number int) {
	transport, path := h.h1, fmt.Sprintf("/shared?topic=t%d", number%10)
	switch number % 4 {
	case 1:
		transport = h.h2c
	case 2:
		path = fmt.Sprintf("/private?topic=p%d", number)
	}
	last, retry := "", time.Second
	for ctx.Err() == nil {
		h.connects.Add(1)
		if last != "" {
			h.comebacks[number].begin()
		}
		stays, leave := h.stay(ctx, number)
		h.follow(stays, number, transport, path, &last, &retry)
		left := stays.Err() != nil && ctx.Err() == nil
		leave()
		if left && last != "" {
			continue
		}
		select {
		case <-time.After(min(retry, 2*time.Second) + rand.N(200*time.Millisecond)):
		case <-ctx.Done():
		}
	}
}

// follow reads one response to its end.
func (h *honest) follow(ctx context.Context, number int, transport *http.Transport, path string, last *string, retry *time.Duration) {
	began := time.Now()
	note := func(what any) {
		h.comebacks[number].attempt.Store(fmt.Sprintf("%s after %q, %s: %v", path, *last, round(time.Since(began)), what))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+path, http.NoBody)
	if err != nil {
		panic(err) // the URL is ours
	}
	if *last != "" {
		request.Header.Set("Last-Event-ID", *last)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		note(err)
		return
	}
	defer response.Body.Close() //nolint:errcheck // nothing is to be written
	if response.StatusCode != http.StatusOK {
		h.refused.Add(1)
		note(response.Status)
		return
	}
	opened, events := time.Now(), ssetest.NewReader(response.Body, ssetest.Mode{IDs: true})
	for {
		event, err := events.Next()
		if violation := new(ssetest.Violation); errors.As(err, &violation) {
			h.wrong.Add(1)
		}
		if err != nil {
			note(err)
			return
		}
		if event.HasRetry {
			*retry = event.Retry
		}
		h.hear(number, event, *last, opened)
		*last = events.LastEventID()
	}
}

// hear checks one event.
func (h *honest) hear(number int, event ssetest.Event, last string, opened time.Time) {
	switch event.Name {
	case "stream-gap":
		h.gaps.Add(1)
	case "":
		seq, err := strconv.ParseInt(event.ID, 10, 64)
		if err != nil {
			h.wrong.Add(1) // all events of these routes have a seq
			return
		}
		h.events.Add(1)
		if took, done := h.comebacks[number].has(seq); done {
			h.resumes.Count(took)
		}
		if before, err := strconv.ParseInt(last, 10, 64); err == nil {
			h.lost.Add(max(0, seq-before-1))
			if seq <= before {
				h.wrong.Add(1)
			}
		}
		if at := due(seq); at.After(opened) { // else it was replayed
			h.lateness.Count(time.Since(at))
		}
	}
}
