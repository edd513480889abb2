package delivery

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// errNotStreaming occurs in programs that embed the bridge, if they wrap the ResponseWriter.
var errNotStreaming = errors.New("delivery: the ResponseWriter cannot flush; a middleware that wraps it needs an Unwrap method (see http.ResponseController)")

// Clients are all clients whose streams are running. The zero Clients is ready to use, and must be
// closed.
type Clients struct {
	mu       sync.Mutex
	streams  map[served]*Audience
	draining bool
	empty    chan struct{} // closed when the last stream ends; nil unless Drain waits for it

	takeover takeover
}

// served is a client whose stream is running.
type served interface {
	askToLeave(why reason.Leave) // makes it leave at its next step; may be called from any goroutine
	cut()                        // ends the stream at once, without a last block; may be called from any goroutine
}

// Serve starts the stream of a client, and owns the client from then on. The head of the response is
// w.Header() with status 200. An error means that w cannot stream, and that nothing has been written.
//
// The caller must call Run of the returned Stream on the request's goroutine. Serve itself writes the
// first block, which needs more stack than Run, so it can be called on a goroutine that ends earlier. The
// Stream is nil if the shard has taken the connection over: the request's goroutine is then not needed.
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
		s = newStream(c, client, newEncoder(client.Gzip, false), newResponse(w))
	}
	if s != nil {
		s.begin()
	}
	return s, nil
}

// Len returns the number of running streams.
func (c *Clients) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

// Drain asks all clients to reconnect, one after another, evenly spread over grace. It returns when all
// streams have ended, or ctx has. A client that comes later is asked at once.
func (c *Clients) Drain(ctx context.Context, grace time.Duration) error {
	c.mu.Lock()
	c.draining = true
	waiting := make([]leaveRequest, 0, len(c.streams))
	for s := range c.streams {
		waiting = append(waiting, leaveRequest{s, reason.LeaveDrain})
	}
	c.mu.Unlock()
	if err := askAll(ctx, grace, waiting); err != nil {
		return err
	}
	select {
	case <-c.drained():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Cut ends all streams at once, without a last block.
func (c *Clients) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	for s := range c.streams {
		s.cut()
	}
}

// Close cuts all clients of the shard, and waits for its goroutines. No client may be served after Close.
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
		s.askToLeave(reason.LeaveDrain)
	case audience.dismissed():
		s.askToLeave(audience.why)
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

// canFlush reports whether http.ResponseController can flush w.
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
