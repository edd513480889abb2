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

// site is an http.Server that delivers, and an http.Client. Between them are
// memory pipes, so that it may run in a bubble with a fake clock, or sockets.
type site struct {
	clients Clients
	client  Client          // what the next request is served
	ends    chan reason.End // of the requests; has room for all of a test's
	http    http.Client
}

// protocols runs a test in a bubble for each protocol.
func protocols(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	for _, protocol := range []string{"HTTP/1.1", "h2c"} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipes()
				test(t, newSite(t, protocol, listener, listener.dial))
			})
		})
	}
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func newSite(t *testing.T, protocol string, listener net.Listener, dial dialer) *site {
	t.Helper()
	spoken := new(http.Protocols)
	spoken.SetHTTP1(protocol == "HTTP/1.1")
	spoken.SetUnencryptedHTTP2(protocol == "h2c")
	s := &site{ends: make(chan reason.End, 1000)}
	server := &http.Server{
		Handler: s, Protocols: spoken, ReadHeaderTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{WriteByteTimeout: 30 * time.Second}, // see TestDeadConnection
	}
	transport := &http.Transport{
		DialContext: dial,
		Protocols:   spoken,
		// A reader that does not read takes no more than this.
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

// ServeHTTP delivers.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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

// get makes a request whose response is not read yet.
func (s *site) get(t *testing.T) (body io.ReadCloser, cancel context.CancelFunc) {
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

// listen makes a request and reads its response as it comes.
func (s *site) listen(t *testing.T) *listener {
	t.Helper()
	body, cancel := s.get(t)
	l := &listener{cancel: cancel, done: make(chan struct{}), began: time.Now()}
	go l.read(body)
	t.Cleanup(func() { cancel(); <-l.done })
	return l
}

// listener is a client that writes down what it reads, and when.
type listener struct {
	cancel context.CancelFunc
	began  time.Time
	done   chan struct{} // closed when the response has ended

	mu    sync.Mutex
	text  strings.Builder
	times []string
	err   error // io.EOF is a clean end
}

func (l *listener) read(body io.Reader) {
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

// got returns what has been read by now.
func (l *listener) got() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// moments returns what was read, each piece with its time.
func (l *listener) moments() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.times, ", ")
}

// expectEnd waits for the response's end and compares it.
func (l *listener) expectEnd(t *testing.T, clean bool, text string) {
	t.Helper()
	<-l.done
	if got := l.text.String(); got != text {
		t.Errorf("read %q, want %q", got, text)
	}
	if errors.Is(l.err, io.EOF) != clean {
		t.Errorf("the response ended with %v, want a clean end: %t", l.err, clean)
	}
}

func (s *site) expectEnd(t *testing.T, want reason.End) {
	t.Helper()
	if got := <-s.ends; got != want {
		t.Errorf("the stream ended %q, want %q", got, want)
	}
}

// source is a stream's source that a test plays.
type source struct {
	log      *replay.Log
	progress func(position uint64) // may be nil

	mu      sync.Mutex
	status  Status
	changed chan struct{}
}

func newSource(events int) *source {
	return &source{log: replay.New(replay.Params{Events: events, Bytes: 1 << 30}), changed: make(chan struct{})}
}

// Log returns the log.
func (s *source) Log() *replay.Log { return s.log }

// Status returns what the test has set.
func (s *source) Status() (Status, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status, s.changed
}

// Watches is true.
func (s *source) Watches() bool { return true }

// Sending is told before Progress.
func (s *source) Sending(uint64) {}

// Taking is not counted.
func (*source) Taking() {}

// Progress tells the test.
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

// blocks makes readable blocks.
type blocks struct {
	beat   string // ":\n" if empty
	lagged func() // may be nil
	source *source
}

// Heartbeat is a comment.
func (b blocks) Heartbeat(dst []byte) []byte {
	if b.beat == "" {
		return append(dst, ":\n"...)
	}
	return append(dst, b.beat...)
}

// Stale tells.
func (blocks) Stale(dst []byte) []byte { return append(dst, "stale\n\n"...) }

// Live tells.
func (blocks) Live(dst []byte) []byte { return append(dst, "live\n\n"...) }

// Lagged tells where it goes on.
func (b blocks) Lagged(dst []byte) (block []byte, position uint64) {
	if b.lagged != nil {
		b.lagged()
	}
	position, _ = b.source.log.Floor()
	return fmt.Appendf(dst, "lagged %d\n\n", position), position
}

// Leave tells why.
func (blocks) Leave(dst []byte, why reason.Leave) []byte {
	return fmt.Appendf(dst, "leave %s\n\n", why)
}

// serve sets what the next requests are served.
func (s *site) serve(source *source, policy Policy) {
	s.client = Client{Source: source, Blocks: blocks{source: source}, Policy: policy, First: []byte("first\n\n")}
}

// pipes is a listener of connections in memory.
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

// Addr is of no use.
func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
