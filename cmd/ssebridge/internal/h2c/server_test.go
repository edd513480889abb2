package h2c

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// whoKey is the key of a connection's value.
type whoKey struct{}

// held answers /now at once with the protocol and the connection's value, and anything else when it is let go.
type held struct {
	begun chan struct{}
	free  chan struct{}
}

func newHeld() *held { return &held{begun: make(chan struct{}, 1), free: make(chan struct{})} }

func (h *held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/now" {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		h.begun <- struct{}{}
		select {
		case <-h.free:
		case <-r.Context().Done():
		}
	}
	who, _ := r.Context().Value(whoKey{}).(string)
	_, _ = io.WriteString(w, r.Proto+" "+who)
}

// start serves a handler until the test ends and returns the server and its address.
func start(t *testing.T, handler http.Handler, change func(*http.Server)) (*Server, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 7},
		ErrorLog: log.New(t.Output(), "", 0),
	}
	if change != nil {
		change(plain)
	}
	s := New(plain)
	s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, whoKey{}, "somebody")
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.serving.Wait()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})

	return s, listener.Addr().String()
}

// client speaks HTTP/2 in clear or HTTP/1.1 only.
func client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)

	return &http.Client{Transport: transport}
}

// get returns the body of an answer whose head has come.
func get(t *testing.T, c *http.Client, url string) io.Reader {
	t.Helper()
	answer, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })

	return answer.Body
}

func text(t *testing.T, body io.Reader) string {
	t.Helper()
	all, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}

	return string(all)
}

func TestBothProtocolsComeToTheHandlerWithTheConnectionsContext(t *testing.T) {
	_, addr := start(t, newHeld(), nil)
	for want, framed := range map[string]bool{"HTTP/1.1 somebody": false, "HTTP/2.0 somebody": true} {
		if got := text(t, get(t, client(t, framed), "http://"+addr+"/now")); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// opened is what a client of HTTP/2 sends first: the preface, its settings, and a request for a path.
func opened(t *testing.T, path string) []byte {
	t.Helper()
	var all, head bytes.Buffer
	all.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&all, nil)
	encoder := hpack.NewEncoder(&head)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "test"}, {":path", path}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true,
	}))
	if err != nil {
		t.Fatal(err)
	}

	return all.Bytes()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}

	return conn
}

// net/http reads as much as there is: all of a connection's beginning, or a piece of it.
func TestNothingOfABeginningIsLostWhereverItIsCut(t *testing.T) {
	_, addr := start(t, newHeld(), nil)
	all := opened(t, "/now")
	for cut := range all {
		conn := dial(t, addr)
		for _, part := range [][]byte{all[:cut], all[cut:]} {
			if _, err := conn.Write(part); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		framer := http2.NewFramer(io.Discard, conn)
		settings := map[http2.SettingID]uint32{}
		for answered := false; !answered; {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				_ = frame.ForeachSetting(func(s http2.Setting) error { settings[s.ID] = s.Val; return nil })
			case *http2.DataFrame:
				answered = string(frame.Data()) == "HTTP/2.0 somebody"
			}
		}
		if got := settings[http2.SettingMaxConcurrentStreams]; got != 7 {
			t.Fatalf("%d streams are allowed, want the 7 of the server's HTTP2", got)
		}
		_ = conn.Close()
	}
}

// Bytes that are not the preface of HTTP/2 are a request of HTTP/1.1, or nothing.
func TestConnectionsThatOnlyLookLikeHTTP2AreNotServedAsIt(t *testing.T) {
	_, addr := start(t, newHeld(), nil)
	for _, sent := range []string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX garbage",
		"PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n",
		"PRI /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"GET /now HTTP/2.0\r\nHost: a\r\n\r\n",
	} {
		conn := dial(t, addr)
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(conn) // until it is closed, or reset
		if strings.Contains(string(got), "HTTP/2.0 somebody") {
			t.Errorf("%q was answered %q", sent, got)
		}
	}
}

func TestShutdownLetsRequestsEndAndBeginsNone(t *testing.T) {
	h := newHeld()
	s, addr := start(t, h, nil)
	c := client(t, true)
	answer := get(t, c, "http://"+addr+"/wait")
	<-h.begun
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context()) }()
	// It has got GOAWAY when it wants another connection, which is not accepted.
	for {
		again, err := c.Get("http://" + addr + "/now")
		if err != nil {
			break
		}
		_ = again.Body.Close()
	}
	select {
	case err := <-down:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	close(h.free)
	if got := text(t, answer); got != "HTTP/2.0 somebody" {
		t.Errorf("the request that was being served ended with %q", got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	h := newHeld()
	s, addr := start(t, h, nil)
	get(t, client(t, true), "http://"+addr+"/wait")
	<-h.begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCloseCutsRequests(t *testing.T) {
	h := newHeld()
	s, addr := start(t, h, nil)
	answer := get(t, client(t, true), "http://"+addr+"/wait")
	<-h.begun
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.serving.Wait()
	if _, err := io.ReadAll(answer); err == nil {
		t.Error("the answer ended as if it were whole")
	}
}

// A connection that is handed over in the moment of shutting down has no other owner.
func TestConnectionsDuringShutdownAreNotServed(t *testing.T) {
	s, addr := start(t, newHeld(), nil)
	s.refuse()
	conn := dial(t, addr)
	if _, err := conn.Write(opened(t, "/now")); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("it got %q", got)
	}
}

func TestAnIdleConnectionIsEnded(t *testing.T) {
	_, addr := start(t, newHeld(), func(s *http.Server) { s.IdleTimeout = 50 * time.Millisecond })
	conn := dial(t, addr)
	if _, err := conn.Write(opened(t, "/now")); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(io.Discard, conn)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if _, told := frame.(*http2.GoAwayFrame); told {
			return
		}
	}
}

// Its client has a moment to hear of it, in which requests are still served.
func TestRequestsOnAnEndingIdleConnectionAreAnswered(t *testing.T) {
	_, addr := start(t, newHeld(), func(s *http.Server) { s.IdleTimeout = 50 * time.Millisecond })
	conn := dial(t, addr)
	if _, err := conn.Write(opened(t, "/now")); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	answers, told := 0, false
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			break // it is closed
		}
		switch frame := frame.(type) {
		case *http2.DataFrame:
			answers++
		case *http2.GoAwayFrame:
			if told || frame.ErrCode != http2.ErrCodeNo || frame.LastStreamID != 1<<31-1 {
				t.Fatalf("told %v, again %v", frame, told)
			}
			told = true
			var head bytes.Buffer
			encoder := hpack.NewEncoder(&head)
			for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "test"}, {":path", "/now"}} {
				if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
					t.Fatal(err)
				}
			}
			err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if answers != 2 {
		t.Errorf("%d answers, want 2", answers)
	}
}

// A stream is no idleness, however silent it is.
func TestAConnectionWithAStreamIsNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		conn := &begun{Conn: here, patience: time.Minute}
		began := time.Now()
		for range 3 { // requests, of which the last one goes on
			stand(conn, http.StateIdle)
			time.Sleep(59 * time.Second)
			stand(conn, http.StateActive)
		}
		time.Sleep(time.Hour)
		stand(conn, http.StateIdle)
		if got, err := io.ReadAll(there); string(got) != goAway || err != nil {
			t.Errorf("it was told %q, %v", got, err)
		}
		if took := time.Since(began); took != 3*59*time.Second+time.Hour+time.Minute+lastCall {
			t.Errorf("it was closed after %v", took)
		}
	})
}

// Of a connection that has ended nothing is kept, also if it ends with streams: HTTP/2's timers would.
func TestNothingIsKeptOfAConnectionThatHasEnded(t *testing.T) {
	h := newHeld()
	s, addr := start(t, h, func(s *http.Server) { s.IdleTimeout = time.Hour })
	gone := make(chan struct{})
	conn := dial(t, addr)
	if _, err := conn.Write(opened(t, "/wait")); err != nil {
		t.Fatal(err)
	}
	<-h.begun
	s.mu.Lock()
	for c := range s.conns {
		runtime.AddCleanup(c, func(gone chan struct{}) { close(gone) }, gone)
	}
	s.mu.Unlock()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	s.serving.Wait()
	for end := time.Now().Add(20 * time.Second); ; {
		runtime.GC()
		select {
		case <-gone:
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("it is kept")
		}
	}
}

func TestAFaultEndsOneConnection(t *testing.T) {
	var told lockedBuffer
	s, addr := start(t, newHeld(), func(s *http.Server) { s.ErrorLog = log.New(&told, "", 0) })
	s.framed.ConnState = func(net.Conn, http.ConnState) { panic("a fault") } // the server's own goroutine calls it
	conn := dial(t, addr)
	if _, err := conn.Write(opened(t, "/now")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn) // until it is closed
	s.refuse()              // as before any Wait: none is added beside it
	s.serving.Wait()
	if !strings.Contains(told.String(), "a fault") {
		t.Errorf("the log says %q", told.String())
	}
}

// lockedBuffer is a buffer for two goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.b.String()
}
