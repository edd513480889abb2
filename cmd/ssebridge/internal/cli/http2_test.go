package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

// holding answers /now at once, and anything else when it is let go.
type holding struct {
	begun chan struct{}
	free  chan struct{}
}

func newHolding() *holding {
	return &holding{begun: make(chan struct{}, 1), free: make(chan struct{})}
}

func (h *holding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/now" {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		h.begun <- struct{}{}
		select {
		case <-h.free:
		case <-r.Context().Done():
		}
	}
	_, _ = io.WriteString(w, r.Proto)
}

// http2Site is a server with its address.
type http2Site struct {
	server *http.Server
	addr   string
	secure bool
	served chan error
}

// serveHTTP2 serves a handler as the command does, until the test ends.
func serveHTTP2(t *testing.T, handler http.Handler, secure *tls.Config, change func(*http.Server)) *http2Site {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	proxied := listen.NewProxied(listen.ProxiedParams{Listener: inner, Timeout: time.Minute, Idle: time.Hour, Logger: logger})
	s := &starting{proxied: proxied}
	server := s.endpoint(proxied, serverParams{
		handler: proxied.Handler(handler), logger: logger, limits: config.Config{}.WithDefaults().Limits, patience: usualPatience(), tls: secure,
	}, ownStreams).server
	if change != nil {
		change(server)
	}
	site := &http2Site{server, inner.Addr().String(), secure != nil, make(chan error, 1)}
	go func() {
		if secure != nil {
			site.served <- server.ServeTLS(proxied, "", "")
			return
		}
		site.served <- server.Serve(proxied)
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-site.served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return site
}

// client speaks HTTP/2 only.
func (s *http2Site) client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	transport.Protocols.SetHTTP2(s.secure)
	transport.Protocols.SetUnencryptedHTTP2(!s.secure)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (s *http2Site) url(path string) string {
	if s.secure {
		return "https://" + s.addr + path
	}
	return "http://" + s.addr + path
}

// get returns the body of an answer whose head has come.
func get(t *testing.T, c *http.Client, url string) io.ReadCloser {
	t.Helper()
	answer, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer.Body
}

// dial connects, without a handshake.
func (s *http2Site) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// open sends a client's preface, its SETTINGS and a request over a connection, by TLS where
// the server does.
func (s *http2Site) open(t *testing.T, conn net.Conn) net.Conn {
	t.Helper()
	if s.secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS}})
	}
	var head headerBlock
	var all bytes.Buffer
	all.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&all, nil)
	err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: head.request(), EndStream: true, EndHeaders: true,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(all.Bytes()); err != nil {
		t.Fatal(err)
	}
	return conn
}

// goneAway reads frames until the server sends GOAWAY.
func goneAway(t *testing.T, conn net.Conn) {
	t.Helper()
	framer := http2.NewFramer(io.Discard, conn)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if goAway, ok := frame.(*http2.GoAwayFrame); ok {
			if goAway.ErrCode != http2.ErrCodeNo {
				t.Errorf("got %v", goAway)
			}
			return
		}
	}
}

func TestShutdownLetsRequestsEndAndBeginsNone(t *testing.T) {
	for way, secure := range ways(t) {
		t.Run(way, func(t *testing.T) {
			h := newHolding()
			s := serveHTTP2(t, h, secure, nil)
			c := s.client(t)
			answer := get(t, c, s.url("/wait"))
			<-h.begun
			down := make(chan error, 1)
			go func() { down <- shutDown(t.Context(), s.server) }()
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
			if got, err := io.ReadAll(answer); err != nil || string(got) != "HTTP/2.0" {
				t.Errorf("the request that was being served ended with %q, %v", got, err)
			}
			if err := <-down; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	for way, secure := range ways(t) {
		t.Run(way, func(t *testing.T) {
			h := newHolding()
			s := serveHTTP2(t, h, secure, nil)
			get(t, s.client(t), s.url("/wait"))
			<-h.begun
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := shutDown(ctx, s.server); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 3*sayAgain)
			defer cancel()
			if err := shutDown(ctx, s.server); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCloseCutsRequests(t *testing.T) {
	for way, secure := range ways(t) {
		t.Run(way, func(t *testing.T) {
			h := newHolding()
			s := serveHTTP2(t, h, secure, nil)
			answer := get(t, s.client(t), s.url("/wait"))
			<-h.begun
			if err := s.server.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(answer); err == nil {
				t.Error("the answer ended as if it were whole")
			}
		})
	}
}

// TestConnectionsThatBeginDuringShutdownGetGOAWAY: net/http sends it only on connections of HTTP/2, and these are none yet when
// the server is shut down.
func TestConnectionsThatBeginDuringShutdownGetGOAWAY(t *testing.T) {
	for way, secure := range ways(t) {
		t.Run(way, func(t *testing.T) {
			accepted, shut := make(chan struct{}, 1), make(chan struct{})
			s := serveHTTP2(t, newHolding(), secure, func(server *http.Server) {
				next := server.ConnState
				server.ConnState = func(conn net.Conn, state http.ConnState) {
					if next(conn, state); state == http.StateNew {
						accepted <- struct{}{}
					}
				}
				server.RegisterOnShutdown(sync.OnceFunc(func() { close(shut) }))
			})
			conn := s.dial(t)
			<-accepted
			down := make(chan error, 1)
			go func() { down <- shutDown(t.Context(), s.server) }()
			<-shut
			conn = s.open(t, conn)
			goneAway(t, conn)
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if err := <-down; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNothingIsKeptOfAConnectionThatHasEnded: also if it ends with streams. HTTP/2's own timer for idle connections would keep it.
func TestNothingIsKeptOfAConnectionThatHasEnded(t *testing.T) {
	for way, secure := range ways(t) {
		t.Run(way, func(t *testing.T) {
			h := newHolding()
			gone := make(chan struct{})
			s := serveHTTP2(t, h, secure, func(server *http.Server) {
				next := server.ConnContext
				server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
					if secured, ok := conn.(*tls.Conn); ok {
						conn = secured.NetConn()
					}
					if own, ok := conn.(*listen.Conn); ok {
						runtime.AddCleanup(own, func(gone chan struct{}) { close(gone) }, gone)
					}
					return next(ctx, conn)
				}
			})
			conn := s.open(t, s.dial(t))
			<-h.begun
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
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
}

// TestAFaultEndsOneConnection: the server's own goroutine calls ConnState.
func TestAFaultEndsOneConnection(t *testing.T) {
	for way, secure := range ways(t) {
		t.Run(way, func(t *testing.T) {
			told := &lines{}
			s := serveHTTP2(t, newHolding(), secure, func(server *http.Server) {
				server.ErrorLog = log.New(told, "", 0)
				server.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateIdle {
						panic("a fault")
					}
				}
			})
			_, _ = io.ReadAll(s.open(t, s.dial(t))) // until it is closed
			if err := shutDown(t.Context(), s.server); err != nil {
				t.Error(err)
			}
			if !strings.Contains(told.String(), "a fault") || !strings.Contains(told.String(), "http2_test.go:") {
				t.Errorf("the log says %q", told)
			}
		})
	}
}

// lines is a log that two goroutines may use.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
