package http2server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
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

// held answers /now at once with the protocol, the connection's value and that of ALPN, and anything else when it is let go.
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
	if r.TLS != nil {
		who += " by TLS " + r.TLS.NegotiatedProtocol
	}
	_, _ = io.WriteString(w, r.Proto+" "+who)
}

// site is a server in a test, in clear or by TLS.
type site struct {
	*Server

	addr string
}

// bothWays runs a test in clear and by TLS. There start serves a handler until the test ends.
func bothWays(t *testing.T, test func(t *testing.T, start func(http.Handler, func(*http.Server)) site)) {
	t.Helper()
	for name, secure := range map[string]bool{"in clear": false, "by TLS": true} {
		t.Run(name, func(t *testing.T) {
			test(t, func(handler http.Handler, change func(*http.Server)) site {
				t.Helper()

				return start(t, handler, func(server *http.Server) {
					if secure {
						server.TLSConfig = certified(t)
					}
					if change != nil {
						change(server)
					}
				})
			})
		})
	}
}

// certified returns the configuration of a server with a certificate of httptest's.
func certified(t *testing.T) *tls.Config {
	t.Helper()
	other := httptest.NewUnstartedServer(nil)
	other.StartTLS()
	other.Close()

	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: other.TLS.Certificates}
}

func trusting() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS}}
}

// url returns the URL of a path.
func (s site) url(path string) string {
	if s.TLSConfig != nil {
		return "https://" + s.addr + path
	}

	return "http://" + s.addr + path
}

// dial connects to the site, and shakes hands where it is by TLS.
func (s site) dial(t *testing.T) net.Conn {
	t.Helper()

	return s.dialFrom(t, "127.0.0.1")
}

func (s site) dialFrom(t *testing.T, from string) net.Conn {
	t.Helper()
	conn := dialFrom(t, from, s.addr)
	if s.TLSConfig == nil {
		return conn
	}
	secured := tls.Client(conn, trusting())
	if err := secured.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}

	return secured
}

// start serves a handler until the test ends.
func start(t *testing.T, handler http.Handler, change func(*http.Server)) site {
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
	go func() {
		if s.TLSConfig != nil {
			served <- s.ServeTLS(listener, "", "")

			return
		}
		served <- s.Serve(listener)
	}()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.serving.Wait()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})

	return site{s, listener.Addr().String()}
}

// client speaks HTTP/2 only, by TLS or in clear, or HTTP/1.1 only.
func client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: trusting()}
	transport.TLSClientConfig.NextProtos = nil // they are the Protocols
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
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
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		s := start(newHeld(), nil)
		alpn := map[bool]string{}
		if s.TLSConfig != nil {
			alpn = map[bool]string{false: " by TLS ", true: " by TLS h2"}
		}
		for want, framed := range map[string]bool{"HTTP/1.1 somebody": false, "HTTP/2.0 somebody": true} {
			want += alpn[framed]
			if got := text(t, get(t, client(t, framed), s.url("/now"))); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
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

	return dialFrom(t, "127.0.0.1", addr)
}

func dialFrom(t *testing.T, from, addr string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
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
	s := start(t, newHeld(), nil)
	all := opened(t, "/now")
	for cut := range all {
		conn := s.dial(t)
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
	s := start(t, newHeld(), nil)
	for _, sent := range []string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX garbage",
		"PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n",
		"PRI /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"GET /now HTTP/2.0\r\nHost: a\r\n\r\n",
	} {
		conn := s.dial(t)
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
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		h := newHeld()
		s := start(h, nil)
		c := client(t, true)
		answer := get(t, c, s.url("/wait"))
		<-h.begun
		down := make(chan error, 1)
		go func() { down <- s.Shutdown(t.Context()) }()
		// It has got GOAWAY when it wants another connection, which is not accepted.
		for {
			again, err := c.Get(s.url("/now"))
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
		if got := text(t, answer); !strings.HasPrefix(got, "HTTP/2.0 somebody") {
			t.Errorf("the request that was being served ended with %q", got)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		h := newHeld()
		s := start(h, nil)
		get(t, client(t, true), s.url("/wait"))
		<-h.begun
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCloseCutsRequests(t *testing.T) {
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		h := newHeld()
		s := start(h, nil)
		answer := get(t, client(t, true), s.url("/wait"))
		<-h.begun
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s.serving.Wait()
		if _, err := io.ReadAll(answer); err == nil {
			t.Error("the answer ended as if it were whole")
		}
	})
}

// A connection that is handed over in the moment of shutting down has no other owner.
func TestConnectionsDuringShutdownAreNotServed(t *testing.T) {
	s := start(t, newHeld(), nil)
	s.refuse()
	conn := s.dial(t)
	if _, err := conn.Write(opened(t, "/now")); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("it got %q", got)
	}
}

func TestAnIdleConnectionIsEnded(t *testing.T) {
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		s := start(newHeld(), func(s *http.Server) { s.IdleTimeout = 50 * time.Millisecond })
		conn := s.dial(t)
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
	})
}

// Its client has a moment to hear of it, in which requests are still served.
func TestRequestsOnAnEndingIdleConnectionAreAnswered(t *testing.T) {
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		s := start(newHeld(), func(s *http.Server) { s.IdleTimeout = 50 * time.Millisecond })
		conn := s.dial(t)
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
	})
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
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		h := newHeld()
		s := start(h, func(s *http.Server) { s.IdleTimeout = time.Hour })
		gone := make(chan struct{})
		conn := s.dial(t)
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
	})
}

func TestAFaultEndsOneConnection(t *testing.T) {
	bothWays(t, func(t *testing.T, start func(http.Handler, func(*http.Server)) site) {
		var told lockedBuffer
		s := start(newHeld(), func(s *http.Server) { s.ErrorLog = log.New(&told, "", 0) })
		s.framed.ConnState = func(net.Conn, http.ConnState) { panic("a fault") } // the server's own goroutine calls it
		conn := s.dial(t)
		if _, err := conn.Write(opened(t, "/now")); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(conn) // until it is closed
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if !strings.Contains(told.String(), "a fault") {
			t.Errorf("the log says %q", told.String())
		}
	})
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
