package proxy

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// page listens as a browser's EventSource does: it comes back with its last id after the time that it was told, and stops
// for good at any status but 200.
type page struct {
	url       string
	transport *http.Transport
	lastID    string
	retry     time.Duration
	heard     map[string]int
}

// opened is what a page notes when it has a stream for the first time.
const opened = "the stream was opened"

// crowd is the pages of a site, and what all of them have heard.
type crowd struct {
	mu      sync.Mutex
	size    int
	heard   map[string]int // by text, how many pages have heard it
	stopped []string       // why pages stopped for good
	faults  []string       // what they heard twice
	changed chan struct{}  // closed when one of the above changes
	running sync.WaitGroup
}

// gather opens so many pages, which leave when the test ends.
func gather(t testing.TB, url string, size int) *crowd {
	t.Helper()
	c := &crowd{size: size, heard: map[string]int{}, changed: make(chan struct{})}
	ctx, leave := context.WithCancel(context.Background())
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: size}
	for range size {
		p := &page{url: url, transport: transport, retry: 3 * time.Second, heard: map[string]int{}}
		c.running.Go(func() { p.listen(ctx, c) })
	}
	t.Cleanup(func() {
		leave()
		c.running.Wait()
		transport.CloseIdleConnections()
	})
	return c
}

// listen goes on until the page stops or leaves.
func (p *page) listen(ctx context.Context, c *crowd) {
	for ctx.Err() == nil {
		if why := p.connect(ctx, c); why != "" && ctx.Err() == nil {
			c.note(func() { c.stopped = append(c.stopped, why) })
			return
		}
		wait := time.NewTimer(p.retry)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
	}
}

// connect is one request, from its beginning to its end. It returns why an EventSource would stop for good, or nothing.
func (p *page) connect(ctx context.Context, c *crowd) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err.Error()
	}
	request.Header.Set("Accept", "text/event-stream")
	if p.lastID != "" {
		request.Header.Set("Last-Event-ID", p.lastID)
	}
	answer, err := p.transport.RoundTrip(request)
	if err != nil {
		return "" // the network: it comes back
	}
	defer answer.Body.Close() //nolint:errcheck // cut or left
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return fmt.Sprintf("%s, %s", answer.Status, kind)
	}
	var e event
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil {
				p.retry = time.Duration(ms) * time.Millisecond
			}
		case "":
			if line := lines.Text(); line == "" {
				p.take(e, c)
				e = event{}
			}
		}
	}
	return ""
}

// take notes an event.
func (p *page) take(e event, c *crowd) {
	if e.id != "" {
		p.lastID = e.id
	}
	switch e.name {
	case "stream-open":
		if p.heard[opened]++; p.heard[opened] == 1 {
			c.note(func() { c.heard[opened]++ })
		}
	case "stream-gap", "stream-error", "stream-end":
		c.note(func() { c.faults = append(c.faults, e.name+" "+e.data) })
	case "message":
		p.heard[e.data]++
		c.note(func() {
			if c.heard[e.data]++; p.heard[e.data] > 1 {
				c.faults = append(c.faults, "twice: "+e.data)
			}
		})
	}
}

func (c *crowd) note(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.changed)
	c.changed = make(chan struct{})
}

// awaitAll waits until all pages have heard a text, and returns how many have.
func (c *crowd) awaitAll(text string, within time.Duration) int {
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		c.mu.Lock()
		heard, changed := 0, c.changed
		for data, n := range c.heard {
			if strings.Contains(data, text) {
				heard += n
			}
		}
		c.mu.Unlock()
		if heard >= c.size {
			return heard
		}
		select {
		case <-changed:
		case <-late.C:
			return heard
		}
	}
}
