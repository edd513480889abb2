package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// pipeServer is an http.Server that delivers, and an http.Client. They are connected by pipes in memory,
// so that they can run in a synctest bubble, or by sockets.
type pipeServer struct {
	clients Clients
	client  Client          // served to the next request
	ends    chan reason.End // has room for all ends of a test
	http    http.Client
}

// protocols runs a test for each protocol in a synctest bubble.
func protocols(t *testing.T, test func(t *testing.T, s *pipeServer)) {
	t.Helper()
	for _, protocol := range []string{"HTTP/1.1", "h2c"} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipes()
				test(t, newPipeServer(t, protocol, listener, listener.dial))
			})
		})
	}
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func newPipeServer(t *testing.T, protocol string, listener net.Listener, dial dialer) *pipeServer {
	t.Helper()
	spoken := new(http.Protocols)
	spoken.SetHTTP1(protocol == "HTTP/1.1")
	spoken.SetUnencryptedHTTP2(protocol == "h2c")
	s := &pipeServer{ends: make(chan reason.End, 1000)}
	server := &http.Server{
		Handler: s, Protocols: spoken, ReadHeaderTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{WriteByteTimeout: 30 * time.Second}, // see TestDeadConnection
	}
	transport := &http.Transport{
		DialContext: dial,
		Protocols:   spoken,
		// A client that does not read takes no more than this.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10, MaxReceiveBufferPerConnection: 64 << 10},
	}
	s.http.Transport = transport
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := s.clients.Close(); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		serving.Wait()
	})
	return s
}

// ServeHTTP delivers the client.
func (s *pipeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	client := s.client
	if client.Policy.WriteTimeout == 0 {
		client.Policy.WriteTimeout = 20 * time.Second
	}
	client.Done = func(end reason.End) { s.ends <- end }
	stream, err := s.clients.Serve(w, r, &client)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case stream != nil:
		stream.Run(r.Context())
	}
}

// request makes a request and does not read the response.
func (s *pipeServer) request(t *testing.T) (body io.ReadCloser, cancel context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://site/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	t.Cleanup(func() {
		cancel()
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	})
	return response.Body, cancel
}

// connect makes a request and reads the response.
func (s *pipeServer) connect(t *testing.T) *pipeClient {
	t.Helper()
	body, cancel := s.request(t)
	l := &pipeClient{cancel: cancel, done: make(chan struct{}), began: time.Now()}
	go l.read(body)
	t.Cleanup(func() { cancel(); <-l.done })
	return l
}

// pipeClient records what it reads, and when.
type pipeClient struct {
	cancel context.CancelFunc
	began  time.Time
	done   chan struct{} // closed when the response has ended

	mu    sync.Mutex
	text  strings.Builder
	times []string
	err   error // io.EOF is a clean end
}

func (l *pipeClient) read(body io.Reader) {
	defer close(l.done)
	buffer := make([]byte, 64<<10)
	for {
		n, err := body.Read(buffer)
		l.mu.Lock()
		if n > 0 {
			l.text.Write(buffer[:n])
			l.times = append(l.times, fmt.Sprintf("%v %s", time.Since(l.began).Round(time.Microsecond), strings.TrimSpace(string(buffer[:n]))))
		}
		l.err = err
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// got returns what has been read so far.
func (l *pipeClient) got() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// timeline returns what has been read, each piece with its time.
func (l *pipeClient) timeline() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.times, ", ")
}

// expectEnd waits for the end of the response and compares the text.
func (l *pipeClient) expectEnd(t *testing.T, clean bool, text string) {
	t.Helper()
	<-l.done
	if got := l.text.String(); got != text {
		t.Errorf("read %q, want %q", got, text)
	}
	if errors.Is(l.err, io.EOF) != clean {
		t.Errorf("the response ended with %v, want a clean end: %t", l.err, clean)
	}
}

func (s *pipeServer) expectEnd(t *testing.T, want reason.End) {
	t.Helper()
	if got := <-s.ends; got != want {
		t.Errorf("the stream ended %q, want %q", got, want)
	}
}

// source is a Source that a test controls.
type source struct {
	log      *replay.Log
	progress func(position uint64) // may be nil
	asked    func()                // called once when the status has been taken; may be nil

	mu      sync.Mutex
	status  Status
	changed chan struct{}
}

func newSource(events int) *source {
	return &source{log: replay.New(replay.Params{Events: events, Bytes: 1 << 30}), changed: make(chan struct{})}
}

// Log returns the log.
func (s *source) Log() *replay.Log { return s.log }

// Status returns the status that the test has set.
func (s *source) Status() (Status, <-chan struct{}) {
	s.mu.Lock()
	status, changed, asked := s.status, s.changed, s.asked
	s.asked = nil
	s.mu.Unlock()
	if asked != nil {
		asked()
	}
	return status, changed
}

// onceAsked sets what happens when the status has been taken the next time.
func (s *source) onceAsked(asked func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = asked
}

// Watches returns true.
func (s *source) Watches() bool { return true }

// Sending does nothing.
func (s *source) Sending(uint64) {}

// Taking does nothing.
func (*source) Taking() {}

// Progress calls the test's progress.
func (s *source) Progress(position uint64) {
	if s.progress != nil {
		s.progress(position)
	}
}

func (s *source) set(status Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *source) append(frames ...string) *source {
	for _, frame := range frames {
		s.log.Append([]byte(frame+"\n\n"), "")
	}
	return s
}

// blocks renders readable blocks.
type blocks struct {
	beat   string // ":\n" if empty
	lagged func() // may be nil
	source *source
}

// Heartbeat appends beat.
func (b blocks) Heartbeat(dst []byte) []byte {
	if b.beat == "" {
		return append(dst, ":\n"...)
	}
	return append(dst, b.beat...)
}

// Stale appends a readable block.
func (blocks) Stale(dst []byte) []byte { return append(dst, "stale\n\n"...) }

// Live appends a readable block.
func (blocks) Live(dst []byte) []byte { return append(dst, "live\n\n"...) }

// Lagged appends a block with the log's oldest position.
func (b blocks) Lagged(dst []byte) (block []byte, position uint64) {
	if b.lagged != nil {
		b.lagged()
	}
	position, _ = b.source.log.Floor()
	return fmt.Appendf(dst, "lagged %d\n\n", position), position
}

// Leave appends a block with the reason.
func (blocks) Leave(dst []byte, why reason.Leave) []byte {
	return fmt.Appendf(dst, "leave %s\n\n", why)
}

// serve sets what is served to the next requests.
func (s *pipeServer) serve(source *source, policy Policy) {
	s.client = Client{Source: source, Blocks: blocks{source: source}, Policy: policy, First: []byte("first\n\n")}
}

// pipes is a listener of in-memory connections.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept returns the next connection.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr returns the same address always: a pipe has none of its own.
func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
