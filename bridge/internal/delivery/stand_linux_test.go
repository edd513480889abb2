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

// patience is how long a test waits for what must happen.
const patience = time.Minute

// wayOf is how a client's blocks get to its socket.
type wayOf struct {
	name    string
	network string // "tcp" or "unix"
	address string // where it listens; "" is anywhere
	h2c     bool
	handed  bool                                 // by the shard, or over the connection: not by net/http
	either  bool                                 // or not
	server  func(*http.Server)                   // may be nil
	listen  func(net.Listener) net.Listener      // may be nil
	handle  func(next http.Handler) http.Handler // may be nil: a middleware
}

// shardWays are those on which the shard serves.
var shardWays = []wayOf{
	{name: "shard, TCP", network: "tcp", handed: true},
	{name: "shard, unix", network: "unix", handed: true},
}

// ways are all.
var ways = append(slices.Clone(shardWays),
	wayOf{name: "connection of the listener's", network: "tcp", handed: true, listen: func(l net.Listener) net.Listener { return ownListener{l} }},
	wayOf{name: "net/http, HTTP/1.1", network: "tcp", handle: withoutHijack},
	wayOf{name: "net/http, h2c", network: "tcp", h2c: true},
)

// ownListener has connections that do not show their sockets.
type ownListener struct{ net.Listener }

// Accept returns the next connection.
func (l ownListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{conn}, nil
}

// withoutHijack is a middleware that permits hijacking by unwrapping only.
func withoutHijack(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(wrapped{w}, r)
	})
}

// stand is an http.Server that delivers over sockets of the kernel's.
type stand struct {
	way     wayOf
	gzip    bool
	clients Clients
	server  *http.Server
	address string
	http    http.Transport // for h2c

	// client is what a request is served. Several may be served at once.
	client func(r *http.Request) *Client

	mu      sync.Mutex
	ends    []reason.End
	served  int // calls of Serve that have returned
	changed chan struct{}
}

// onWays runs a test for each way, plain and with gzip.
func onWays(t *testing.T, all []wayOf, test func(t *testing.T, s *stand)) {
	t.Helper()
	for _, way := range all {
		for _, zipped := range []bool{false, true} {
			name := way.name
			if zipped {
				name += ", gzip"
			}
			t.Run(name, func(t *testing.T) {
				s := newStand(t, way)
				s.gzip = zipped
				test(t, s)
			})
		}
	}
}

func newStand(t testing.TB, way wayOf) *stand {
	t.Helper()
	s := &stand{way: way, changed: make(chan struct{})}
	s.address = "127.0.0.1:0"
	if way.address != "" {
		s.address = way.address
	}
	if way.network == "unix" {
		s.address = filepath.Join(socketFolder(t), "s")
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), way.network, s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	if way.listen != nil {
		listener = way.listen(listener)
	}
	spoken := new(http.Protocols)
	spoken.SetHTTP1(!way.h2c)
	spoken.SetUnencryptedHTTP2(way.h2c)
	s.server = &http.Server{Handler: s, Protocols: spoken, ReadHeaderTimeout: time.Minute}
	if way.server != nil {
		way.server(s.server)
	}
	if way.handle != nil {
		s.server.Handler = way.handle(s)
	}
	s.http.Protocols = spoken
	s.http.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, way.network, s.address)
	}
	s.serveOn(t, listener)
	return s
}

// socketFolder is one whose name leaves room for a socket's.
func socketFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "d") //nolint:usetesting // t.TempDir's names hold the test's, and are longer than a socket's may be
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
func (s *stand) serveOn(t testing.TB, listener net.Listener) {
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

// awaitDone waits until all that were served have ended, each once.
func (s *stand) awaitDone(t testing.TB) {
	t.Helper()
	s.await(t, "everyone's end", func() bool { return s.clients.Len() == 0 && len(s.ends) == s.served })
}

// ServeHTTP delivers.
func (s *stand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	if handed := stream == nil || stream.around != nil; handed != s.way.handed && !s.way.either {
		panic("served on another way")
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

func (s *stand) change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits for what is told by change.
func (s *stand) await(t testing.TB, what string, done func() bool) {
	t.Helper()
	awaiting(t, what, &s.mu, &s.changed, done, func() string { return "" })
}

// awaiting waits for a condition that is guarded by a lock, as often as a
// channel is closed and replaced.
func awaiting(t testing.TB, what string, mu *sync.Mutex, changed *chan struct{}, done func() bool, state func() string) {
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
			t.Fatalf("waited in vain for %s; %s", what, state())
		}
	}
}

// expectEnds waits for so many ends and compares them all.
func (s *stand) expectEnds(t testing.TB, n int, want reason.End) {
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

// serve sets what all requests are served.
func (s *stand) serve(source *source, policy Policy) {
	s.client = func(*http.Request) *Client {
		return &Client{
			Source: source, Blocks: blocks{source: source, beat: beatOf(policy)}, Policy: policy,
			First: []byte("first\n\n"), Gzip: s.gzip,
		}
	}
}

// beatOf is a heartbeat that can be told from what is between frames.
func beatOf(policy Policy) string {
	if policy.Comments {
		return ":\n"
	}
	return "beat\n\n"
}

// ear is a client that reads its response.
type ear struct {
	conn  net.Conn // nil with h2c
	close func()
	body  io.Reader

	mu      sync.Mutex
	raw     []byte // the content as it came
	text    []byte // and as it is
	err     error  // io.EOF is a clean end; nil: it goes on
	changed chan struct{}
}

// listen makes a request and reads the response as it comes.
func (s *stand) listen(t testing.TB) *ear {
	t.Helper()
	e := s.open(t, "")
	e.start(t, s.gzip)
	return e
}

// open makes a request, and leaves the response to the test. Further input
// comes behind it.
func (s *stand) open(t testing.TB, further string) *ear {
	t.Helper()
	if s.way.h2c {
		return s.openH2(t)
	}
	conn := s.dial(t)
	return s.request(t, conn, further)
}

// request makes a request on a connection.
func (s *stand) request(t testing.TB, conn net.Conn, further string) *ear {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n"+further); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil) //nolint:bodyclose // its connection is closed
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || !slices.Equal(response.TransferEncoding, []string{"chunked"}) {
		t.Fatal(response)
	}
	return &ear{conn: conn, close: func() { _ = conn.Close() }, body: response.Body, changed: make(chan struct{})}
}

func (s *stand) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), s.way.network, s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // if it is not closed already
	return conn
}

func (s *stand) openH2(t testing.TB) *ear {
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
	return &ear{close: end, body: response.Body, changed: make(chan struct{})}
}

// start reads from now on, until the test ends.
func (e *ear) start(t testing.TB, zipped bool) {
	t.Helper()
	var reading sync.WaitGroup
	reading.Go(func() { e.read(zipped) })
	t.Cleanup(func() { e.close(); reading.Wait() })
}

func (e *ear) read(zipped bool) {
	body := io.TeeReader(e.body, rawOf{e})
	if zipped {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			e.heard(nil, err)
			return
		}
		body = unzipped
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		e.heard(buffer[:n], err)
		if err != nil {
			return
		}
	}
}

func (e *ear) heard(text []byte, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text, e.err = append(e.text, text...), err
	close(e.changed)
	e.changed = make(chan struct{})
}

// rawOf keeps what an ear gets as it comes.
type rawOf struct{ e *ear }

// Write is called by an io.TeeReader.
func (r rawOf) Write(p []byte) (int, error) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.e.raw = append(r.e.raw, p...)
	close(r.e.changed)
	r.e.changed = make(chan struct{})
	return len(p), nil
}

// await waits until what has been read meets a condition.
func (e *ear) await(t testing.TB, what string, met func() bool) {
	t.Helper()
	awaiting(t, what, &e.mu, &e.changed, met, func() string {
		e.mu.Lock()
		defer e.mu.Unlock()
		return "read …" + shown(string(e.text)) + ", " + errText(e.err)
	})
}

// awaitText waits until exactly so much has been read.
func (e *ear) awaitText(t testing.TB, want string) {
	t.Helper()
	e.await(t, shown(want), func() bool { return len(e.text) >= len(want) || e.err != nil })
	e.mu.Lock()
	defer e.mu.Unlock()
	if string(e.text) != want {
		t.Fatalf("read %s, want %s; %v", shown(string(e.text)), shown(want), e.err)
	}
}

// awaitCount waits until a block has been read so many times.
func (e *ear) awaitCount(t testing.TB, block string, n int) {
	t.Helper()
	e.await(t, shown(block), func() bool { return bytes.Count(e.text, []byte(block)) >= n })
}

// expectEnd waits for the end and compares all that was read.
func (e *ear) expectEnd(t testing.TB, clean bool, want string) {
	t.Helper()
	if got := e.awaitEnd(t, clean); got != want {
		t.Fatalf("read %s, want %s", shown(got), shown(want))
	}
}

// awaitEnd waits for the end and returns all that was read.
func (e *ear) awaitEnd(t testing.TB, clean bool) string {
	t.Helper()
	e.await(t, "the end", func() bool { return e.err != nil })
	e.mu.Lock()
	defer e.mu.Unlock()
	if errors.Is(e.err, io.EOF) != clean {
		t.Fatalf("the response ended with %v, want a clean end: %t; read %s", e.err, clean, shown(string(e.text)))
	}
	return string(e.text)
}

// expectFIN waits until the server has closed its side, in good order.
func (e *ear) expectFIN(t testing.TB) {
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
