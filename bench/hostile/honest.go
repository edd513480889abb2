package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/histogram"
)

// honest are the clients that listen and check.
type honest struct {
	url     string
	h1, h2c *http.Transport

	lateness histogram.Histogram // of events that came live
	events   atomic.Int64
	connects atomic.Int64
	lost     atomic.Int64 // events that nothing announced
	gaps     atomic.Int64 // gaps that were told
	refused  atomic.Int64 // answers that would stop a browser
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
		h.follow(ctx, transport, path, &last, &retry)
		select {
		case <-time.After(min(retry, 2*time.Second) + rand.N(200*time.Millisecond)):
		case <-ctx.Done():
		}
	}
}

// follow reads one response to its end.
func (h *honest) follow(ctx context.Context, transport *http.Transport, path string, last *string, retry *time.Duration) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+path, http.NoBody)
	if err != nil {
		panic(err) // the URL is ours
	}
	if *last != "" {
		request.Header.Set("Last-Event-ID", *last)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return
	}
	defer response.Body.Close() //nolint:errcheck // nothing is to be written
	if response.StatusCode != http.StatusOK {
		h.refused.Add(1)

		return
	}
	opened := time.Now()
	var event struct{ id, name string }
	for lines := bufio.NewReader(response.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			event.id = value
		case "event":
			event.name = value
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil {
				*retry = time.Duration(ms) * time.Millisecond
			}
		case "":
			h.hear(event.id, event.name, *last, opened)
			if event.id != "" {
				*last = event.id
			}
			event.id, event.name = "", ""
		}
	}
}

// hear checks one event.
func (h *honest) hear(id, name, last string, opened time.Time) {
	switch name {
	case "stream-gap":
		h.gaps.Add(1)
	case "":
		seq, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return
		}
		h.events.Add(1)
		if before, err := strconv.ParseInt(last, 10, 64); err == nil && seq > before+1 {
			h.lost.Add(seq - before - 1)
		}
		if at := due(seq); at.After(opened) { // else it was replayed
			h.lateness.Count(time.Since(at))
		}
	}
}

// drained reads a body to its end.
func drained(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, body)
	_ = body.Close()
}
