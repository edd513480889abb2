package delivery

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// errNotStreaming says what an embedder has to mend.
var errNotStreaming = errors.New("delivery: the ResponseWriter cannot flush; a middleware that wraps it needs an Unwrap method (see http.ResponseController)")

// Clients is all clients that are being streamed to. The zero Clients is ready.
// Close it.
type Clients struct {
	mu       sync.Mutex
	streams  map[served]*Audience
	draining bool
	empty    chan struct{} // closed when the last stream ends; nil without a waiter

	takeover takeover
}

// served is a client while it is being streamed to.
type served interface {
	tell(why reason.Leave) // asks it to leave
	cut()                  // ends its stream at once, without a word
}

// Serve begins to stream to a client, which is the Clients' from then on. The
// response's head is w.Header() and status 200; an error says that the response
// cannot be streamed at all, and nothing has been written.
//
// The stream is for the request's goroutine to run, whose stack should be small
// by then: the first block has been written. It is nil where the connection has
// been taken over: the client is served when its handler has returned.
func (c *Clients) Serve(w http.ResponseWriter, r *http.Request, client *Client) (*Stream, error) {
	if !canFlush(w) {
		return nil, errNotStreaming
	}
	if client.Done == nil {
		client.Done = func(reason.End) {}
	}
	w.WriteHeader(http.StatusOK)
	var s *Stream
	taken := false
	if mayTakeOver(r) {
		s, taken = c.takeOver(w, client)
	}
	if !taken {
		s = newStream(c, client, newForm(client.Gzip, false), newResponse(w))
	}
	if s != nil {
		s.begin()
	}
	return s, nil
}

// Len returns how many clients are being streamed to.
func (c *Clients) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

// Drain asks every client to come back, spread evenly over grace, and returns
// when all streams have ended or ctx has. A client that comes after is asked
// at once.
func (c *Clients) Drain(ctx context.Context, grace time.Duration) error {
	c.mu.Lock()
	c.draining = true
	waiting := make([]asking, 0, len(c.streams))
	for s := range c.streams {
		waiting = append(waiting, asking{s, reason.LeaveDrain})
	}
	c.mu.Unlock()
	if err := ask(ctx, grace, waiting); err != nil {
		return err
	}
	select {
	case <-c.drained():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Cut ends every stream at once, without a word.
func (c *Clients) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	for s := range c.streams {
		s.cut()
	}
}

// Close cuts the remaining clients whose connections have been taken over, and
// returns when none of their goroutines runs any more. No client may be served
// after it.
func (c *Clients) Close() error { return c.takeover.close() }

func (c *Clients) add(s served, audience *Audience) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams == nil {
		c.streams = map[served]*Audience{}
	}
	c.streams[s] = audience
	switch {
	case c.draining:
		s.tell(reason.LeaveDrain)
	case audience.dismissed():
		s.tell(audience.why)
	}
}

func (c *Clients) remove(s served) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, s)
	if len(c.streams) == 0 && c.empty != nil {
		close(c.empty)
		c.empty = nil
	}
}

// drained returns a channel that is closed when no stream is left.
func (c *Clients) drained() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.streams) == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if c.empty == nil {
		c.empty = make(chan struct{})
	}
	return c.empty
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// canFlush reports whether http.ResponseController will find a way to flush.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch inner := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return false
		}
	}
}
