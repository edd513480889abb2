package ssetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is the timeout of an Await, unless the test's deadline is earlier.
const patience = 30 * time.Second

// Options say how a [Client] connects. The zero value behaves like `new EventSource(url)` on a route
// with ids.
type Options struct {
	// NoIDs is true for a route without ids. Literals are the data values that are not JSON.
	NoIDs    bool
	Literals []string

	// Method is GET if empty. Body is sent as ContentType, or as application/json if that is empty.
	Method, Body, ContentType string
	// Header is sent with each request.
	Header http.Header
	// LastEventID is sent with the first request; later requests send the stream's last id.
	LastEventID string

	// Transport carries the requests. Nil means an HTTP/1.1 transport of the client's own or, with H2C,
	// one for HTTP/2 without TLS.
	Transport http.RoundTripper
	H2C       bool
	// CutAfter cuts the first connection after exactly this many bytes of the body; nil never cuts.
	// new(0) cuts after the head.
	CutAfter *int64
}

// Client keeps an event stream like a browser's EventSource, but reconnects only in [Client.Reconnect].
// It records everything over all its connections. A violation of the wire contract fails the test at
// once, by tb.Errorf.
//
// Its methods are safe for concurrent use, but only the test's goroutine should call Reconnect, Close
// and the Awaits.
type Client struct {
	tb      testing.TB
	url     string
	options Options
	http    *http.Client
	close   func() // closes the transport's idle connections

	mu      sync.Mutex
	seen    Snapshot
	changed chan struct{}      // closed and replaced whenever seen changes
	cutNext *int64             // applies to the next connection
	cancel  context.CancelFunc // cancels the current connection
	done    chan struct{}      // closed when the current connection's goroutine has returned
}

// Snapshot is everything that a client has seen at one moment.
type Snapshot struct {
	// Events are all events of all connections, in order.
	Events []Event
	// Gaps counts the stream-gap events in Events.
	Gaps int
	// Heartbeats counts the heartbeat comments.
	Heartbeats int
	// LastEventID is the id that the next connection will send.
	LastEventID string
	// Retry is the newest reconnection time; 0 if there was none.
	Retry time.Duration

	// Connections counts the requests, including the current one.
	Connections int
	// Status is the HTTP status of the current connection; 0 until the response's head arrives.
	Status int
	// Header is the head of the current response.
	Header http.Header
	// Body is the body of a response with a status other than 200, up to 64 KiB.
	Body string
	// Ended is nil while the connection lasts. Afterwards it is io.EOF for a clean end, wraps
	// io.ErrUnexpectedEOF for a cut, or says why the response is not a stream.
	Ended error
}

// Messages returns the events without the control events.
func (s Snapshot) Messages() []Event {
	return slices.DeleteFunc(slices.Clone(s.Events), Event.Control)
}

// Connect starts a client and returns before its request is answered. The end of the test closes the
// client.
func Connect(tb testing.TB, url string, options Options) *Client {
	tb.Helper()

	c := &Client{
		tb: tb, url: url, options: options, changed: make(chan struct{}), cutNext: options.CutAfter, close: func() {},
		seen: Snapshot{LastEventID: options.LastEventID},
	}

	transport := options.Transport
	if transport == nil {
		own := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
		own.Protocols.SetHTTP1(!options.H2C)
		own.Protocols.SetUnencryptedHTTP2(options.H2C)
		transport, c.close = own, own.CloseIdleConnections
	}

	c.http = &http.Client{Transport: transport}

	tb.Cleanup(c.Close)
	c.connect()
	return c
}

// CutNext cuts the next connection after exactly n bytes of its body.
func (c *Client) CutNext(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.cutNext = &n
}

// Reconnect ends the current connection, if it lasts, and connects again with the last event id.
func (c *Client) Reconnect() {
	c.hangUp()
	c.connect()
}

// Close ends the client and waits for its goroutine. It may be called twice.
func (c *Client) Close() {
	c.hangUp()
	c.close()
}

// hangUp ends the current connection and joins its goroutine.
func (c *Client) hangUp() {
	c.mu.Lock()
	cancel, done := c.cancel, c.done
	c.mu.Unlock()

	cancel()
	<-done
}

// connect starts a connection's goroutine. The previous one has been joined.
func (c *Client) connect() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})

	c.mu.Lock()
	c.cancel, c.done = cancel, done
	cut, lastID := c.cutNext, c.seen.LastEventID
	c.cutNext = nil
	c.seen.Connections++
	c.seen.Status, c.seen.Header, c.seen.Body, c.seen.Ended = 0, nil, "", nil
	c.mu.Unlock()

	go func() {
		defer close(done)
		defer cancel()

		err := c.stream(ctx, lastID, cut)
		c.judge(ctx, err)
		c.update(func(s *Snapshot) { s.Ended = err })
	}()
}

// judge fails the test for a violation or an endless line.
func (c *Client) judge(ctx context.Context, err error) {
	if _, ok := errors.AsType[*Violation](err); ok || ctx.Err() == nil && errors.Is(err, errLongLine) {
		c.tb.Errorf("%v\n%s", err, c.Snapshot())
	}
}

// update changes the snapshot and wakes its waiters.
func (c *Client) update(change func(s *Snapshot)) {
	c.mu.Lock()
	defer c.mu.Unlock()

	change(&c.seen)
	close(c.changed)
	c.changed = make(chan struct{})
}

// stream makes one request and reads its stream to the end.
func (c *Client) stream(ctx context.Context, lastID string, cut *int64) error {
	req, err := c.request(ctx, lastID)
	if err != nil {
		return fmt.Errorf("ssetest: %w", err)
	}

	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ssetest: no answer: %w", err)
	}

	defer resp.Body.Close() //nolint:errcheck // the body is read or abandoned

	if resp.StatusCode != http.StatusOK {
		return c.refused(resp)
	}

	if err := CheckHead(resp); err != nil {
		return err
	}

	c.update(func(s *Snapshot) { s.Status, s.Header = resp.StatusCode, resp.Header })

	var body io.Reader = resp.Body
	if cut != nil {
		body = &cutReader{body: resp.Body, left: *cut}
	}
	return c.record(body)
}

func (c *Client) request(ctx context.Context, lastID string) (*http.Request, error) {
	method := cmp.Or(c.options.Method, http.MethodGet)

	req, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(c.options.Body))
	if err != nil {
		return nil, err
	}

	req.Header.Set("Accept", "text/event-stream")

	if c.options.Body != "" || method == http.MethodPost {
		req.Header.Set("Content-Type", cmp.Or(c.options.ContentType, "application/json"))
	}

	for name, values := range c.options.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}

	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	return req, nil
}

// refused records a response that is not a stream. A 204 makes an EventSource stop; any other status
// makes it fail for good.
func (c *Client) refused(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	c.update(func(s *Snapshot) { s.Status, s.Header, s.Body = resp.StatusCode, resp.Header, string(body) })

	switch {
	case err != nil:
		return fmt.Errorf("ssetest: the body of %s: %w", resp.Status, err)
	case resp.StatusCode == http.StatusNoContent && len(body) > 0:
		return violation(body, "204 has no body")
	default:
		return fmt.Errorf("ssetest: no stream: %s", resp.Status)
	}
}

// record records events up to the end of the body.
func (c *Client) record(body io.Reader) error {
	reader := NewReader(body, Mode{
		IDs: !c.options.NoIDs, Literals: c.options.Literals,
		OnHeartbeat: func() { c.update(func(s *Snapshot) { s.Heartbeats++ }) },
	})

	for {
		event, err := reader.Next()
		if err != nil {
			return err
		}

		c.update(func(s *Snapshot) {
			s.Events = append(s.Events, event)
			s.LastEventID = reader.LastEventID()

			if after, ok := reader.ReconnectionTime(); ok {
				s.Retry = after
			}

			if event.Name == "stream-gap" {
				s.Gaps++
			}
		})
	}
}
