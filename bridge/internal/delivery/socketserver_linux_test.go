package delivery

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// patience is how long a test waits for an expected event.
const patience = time.Minute

// path is a way for a client's blocks to reach its socket.
type path struct {
	name         string
	network      string // "tcp" or "unix"
	address      string // to listen on; empty for any port
	h2c          bool
	direct       bool                                 // the shard or overConn writes, and not net/http
	maybeDirect  bool                                 // direct is not checked
	configure    func(*http.Server)                   // may be nil
	wrapListener func(net.Listener) net.Listener      // may be nil
	middleware   func(next http.Handler) http.Handler // may be nil
}

// shardPaths are served by the shard.
var shardPaths = []path{
	{name: "shard, TCP", network: "tcp", direct: true},
	{name: "shard, unix", network: "unix", direct: true},
}

var allPaths = append(slices.Clone(shardPaths),
	path{name: "listener's own connection", network: "tcp", direct: true, wrapListener: func(l net.Listener) net.Listener { return wrappingListener{l} }},
	path{name: "net/http, HTTP/1.1", network: "tcp", middleware: unwrapOnly},
	path{name: "net/http, h2c", network: "tcp", h2c: true},
)

// wrappingListener hides the sockets of its connections.
type wrappingListener struct{ net.Listener }

// Accept returns the next connection.
func (l wrappingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{conn}, nil
}

// unwrapOnly is a middleware that offers Unwrap but not Hijack.
func unwrapOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(wrapped{w}, r)
	})
}

// socketServer is an http.Server that delivers over kernel sockets.
type socketServer struct {
	path    path
	gzip    bool
	clients Clients
	server  *http.Server
	address string
	http    http.Transport // for h2c

	// client returns the client for a request. It may be called concurrently.
	client func(r *http.Request) *Client

	mu      sync.Mutex
	ends    []reason.End
	served  int // requests whose handler has returned
	changed chan struct{}
}

// onPaths runs a test on each path, plain and with gzip.
func onPaths(t *testing.T, all []path, test func(t *testing.T, s *socketServer)) {
	t.Helper()
	for _, p := range all {
		for _, zipped := range []bool{false, true} {
			name := p.name
			if zipped {
				name += ", gzip"
			}
			t.Run(name, func(t *testing.T) {
				s := newSocketServer(t, p)
				s.gzip = zipped
				test(t, s)
			})
		}
	}
}

func newSocketServer(t testing.TB, p path) *socketServer {
	t.Helper()
	s := &socketServer{path: p, changed: make(chan struct{})}
	s.address = "127.0.0.1:0"
	if p.address != "" {
		s.address = p.address
	}
	if p.network == "unix" {
		s.address = filepath.Join(socketFolder(t), "s")
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), p.network, s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	if p.wrapListener != nil {
		listener = p.wrapListener(listener)
	}
	spoken := new(http.Protocols)
	spoken.SetHTTP1(!p.h2c)
	spoken.SetUnencryptedHTTP2(p.h2c)
	s.server = &http.Server{Handler: s, Protocols: spoken, ReadHeaderTimeout: time.Minute}
	if p.configure != nil {
		p.configure(s.server)
	}
	if p.middleware != nil {
		s.server.Handler = p.middleware(s)
	}
	s.http.Protocols = spoken
	s.http.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, p.network, s.address)
	}
	s.serveOn(t, listener)
	return s
}

// socketFolder returns a temporary folder with a name short enough for a socket's address.
func socketFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "d") //nolint:usetesting // t.TempDir has the test's name in it: too long for a socket's address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// serveOn runs the server until the test ends.
func (s *socketServer) serveOn(t testing.TB, listener net.Listener) {
	t.Helper()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.clients.Cut()
		if err := s.clients.Close(); err != nil {
			t.Error(err)
		}
		if err := s.server.Close(); err != nil {
			t.Error(err)
		}
		s.http.CloseIdleConnections()
		serving.Wait()
		s.awaitDone(t)
	})
}

// awaitDone waits until each stream has ended.
func (s *socketServer) awaitDone(t testing.TB) {
	t.Helper()
	s.await(t, "the end of all streams", func() bool { return s.clients.Len() == 0 && len(s.ends) == s.served })
}

// ServeHTTP delivers the client.
func (s *socketServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	client := s.client(r)
	if client.Policy.WriteTimeout == 0 {
		client.Policy.WriteTimeout = patience
	}
	var ended atomic.Bool
	done := client.Done
	client.Done = func(end reason.End) {
		if ended.Swap(true) {
			panic("a stream ended twice")
		}
		if done != nil {
			done(end)
		}
		s.change(func() { s.ends = append(s.ends, end) })
	}
	stream, err := s.clients.Serve(w, r, client)
	if err != nil {
		panic(err)
	}
	if direct := stream == nil || stream.wrapRun != nil; direct != s.path.direct && !s.path.maybeDirect {
		panic("served on another path")
	}
	end := reason.EndComplete
	if stream != nil {
		end = stream.Run(r.Context())
	}
	s.change(func() { s.served++ })
	if end != reason.EndComplete && end != reason.EndAsked {
		panic(http.ErrAbortHandler)
	}
}

func (s *socketServer) change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits for a condition that change may make true.
func (s *socketServer) await(t testing.TB, what string, done func() bool) {
	t.Helper()
	awaitCondition(t, what, &s.mu, &s.changed, done, func() string { return "" })
}

// awaitCondition waits for a condition guarded by mu. It checks again whenever the channel is closed and
// replaced.
func awaitCondition(t testing.TB, what string, mu *sync.Mutex, changed *chan struct{}, done func() bool, state func() string) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		mu.Lock()
		met, next := done(), *changed
		mu.Unlock()
		if met {
			return
		}
		select {
		case <-next:
		case <-late.C:
			t.Fatalf("waited too long for %s; %s", what, state())
		}
	}
}

// expectEnds waits for n ends and compares all of them.
func (s *socketServer) expectEnds(t testing.TB, n int, want reason.End) {
	t.Helper()
	s.await(t, string(want), func() bool { return len(s.ends) >= n })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.ends {
		if end != want {
			t.Fatalf("a stream ended %q, want %q", end, want)
		}
	}
}

// serve sets what is served to all requests.
func (s *socketServer) serve(source *source, policy Policy) {
	s.client = func(*http.Request) *Client {
		return &Client{
			Source: source, Blocks: blocks{source: source, beat: beatOf(policy)}, Policy: policy,
			First: []byte("first\n\n"), Gzip: s.gzip,
		}
	}
}

// beatOf returns a heartbeat that differs from a frame.
func beatOf(policy Policy) string {
	if policy.Comments {
		return ":\n"
	}
	return "beat\n\n"
}

// socketClient reads a response.
type socketClient struct {
	conn  net.Conn // nil over h2c
	close func()
	body  io.Reader

	mu      sync.Mutex
	raw     []byte // the body, as received
	text    []byte // the body, decoded
	err     error  // nil while the response goes on; io.EOF after a clean end
	changed chan struct{}
}

// connect makes a request and reads the response.
func (s *socketServer) connect(t testing.TB) *socketClient {
	t.Helper()
	e := s.open(t, "")
	e.start(t, s.gzip)
	return e
}

// open makes a request with further input after it, and does not read the response.
func (s *socketServer) open(t testing.TB, further string) *socketClient {
	t.Helper()
	if s.path.h2c {
		return s.openH2(t)
	}
	conn := s.dial(t)
	return s.request(t, conn, further)
}

// request makes a request on a connection.
func (s *socketServer) request(t testing.TB, conn net.Conn, further string) *socketClient {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n"+further); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil) //nolint:bodyclose // closing the connection closes it
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || !slices.Equal(response.TransferEncoding, []string{"chunked"}) {
		t.Fatal(response)
	}
	return &socketClient{conn: conn, close: func() { _ = conn.Close() }, body: response.Body, changed: make(chan struct{})}
}

func (s *socketServer) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), s.path.network, s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // an error means that it is closed already
	return conn
}

func (s *socketServer) openH2(t testing.TB) *socketClient {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://site/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.http.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	end := func() { cancel(); _ = response.Body.Close() }
	t.Cleanup(end)
	return &socketClient{close: end, body: response.Body, changed: make(chan struct{})}
}

// start reads the response until the test ends.
func (e *socketClient) start(t testing.TB, zipped bool) {
	t.Helper()
	var reading sync.WaitGroup
	reading.Go(func() { e.read(zipped) })
	t.Cleanup(func() { e.close(); reading.Wait() })
}

func (e *socketClient) read(zipped bool) {
	body := io.TeeReader(e.body, rawWriter{e})
	if zipped {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			e.received(nil, err)
			return
		}
		body = unzipped
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		e.received(buffer[:n], err)
		if err != nil {
			return
		}
	}
}

func (e *socketClient) received(text []byte, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text, e.err = append(e.text, text...), err
	close(e.changed)
	e.changed = make(chan struct{})
}

// rawWriter records a client's body as received.
type rawWriter struct{ e *socketClient }

// Write implements io.Writer.
func (r rawWriter) Write(p []byte) (int, error) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.e.raw = append(r.e.raw, p...)
	close(r.e.changed)
	r.e.changed = make(chan struct{})
	return len(p), nil
}

// await waits until the text meets a condition.
func (e *socketClient) await(t testing.TB, what string, met func() bool) {
	t.Helper()
	awaitCondition(t, what, &e.mu, &e.changed, met, func() string {
		e.mu.Lock()
		defer e.mu.Unlock()
		return "read …" + shown(string(e.text)) + ", " + errText(e.err)
	})
}

// awaitText waits for exactly this text.
func (e *socketClient) awaitText(t testing.TB, want string) {
	t.Helper()
	e.await(t, shown(want), func() bool { return len(e.text) >= len(want) || e.err != nil })
	e.mu.Lock()
	defer e.mu.Unlock()
	if string(e.text) != want {
		t.Fatalf("read %s, want %s; %v", shown(string(e.text)), shown(want), e.err)
	}
}

// awaitCount waits until a block has been read n times.
func (e *socketClient) awaitCount(t testing.TB, block string, n int) {
	t.Helper()
	e.await(t, shown(block), func() bool { return bytes.Count(e.text, []byte(block)) >= n })
}

// expectEnd waits for the end of the response and compares the text.
func (e *socketClient) expectEnd(t testing.TB, clean bool, want string) {
	t.Helper()
	if got := e.awaitEnd(t, clean); got != want {
		t.Fatalf("read %s, want %s", shown(got), shown(want))
	}
}

// awaitEnd waits for the end of the response and returns the text.
func (e *socketClient) awaitEnd(t testing.TB, clean bool) string {
	t.Helper()
	e.await(t, "the end", func() bool { return e.err != nil })
	e.mu.Lock()
	defer e.mu.Unlock()
	if errors.Is(e.err, io.EOF) != clean {
		t.Fatalf("the response ended with %v, want a clean end: %t; read %s", e.err, clean, shown(string(e.text)))
	}
	return string(e.text)
}

// expectFIN waits until the server has closed its side without a reset.
func (e *socketClient) expectFIN(t testing.TB) {
	t.Helper()
	if err := e.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := e.conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("%d bytes behind the response, %v", n, err)
	}
}

func shown(text string) string {
	if len(text) > 300 {
		return strconv.Quote(text[:100]) + "…" + strconv.Quote(text[len(text)-200:])
	}
	return strconv.Quote(text)
}

func errText(err error) string {
	if err == nil {
		return "and it goes on"
	}
	return err.Error()
}
