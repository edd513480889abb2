package delivery

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// Clients that are still served when Clients is closed are cut.
func TestCloseWhileStreamsAreOpen(t *testing.T) {
	onShard(t, func(t *testing.T, s *stand) {
		s.serve(newSource(100).append("1"), Policy{Heartbeat: time.Hour})
		var all []*ear
		for range 10 {
			all = append(all, s.listen(t))
			all[len(all)-1].awaitText(t, "first\n\n1\n\n")
		}
		if err := s.clients.Close(); err != nil {
			t.Fatal(err)
		}
		if n := s.clients.Len(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
		for _, e := range all {
			e.expectEnd(t, false, "first\n\n1\n\n")
		}
		s.expectEnds(t, 10, reason.EndCut)
		if err := s.clients.Close(); err != nil {
			t.Error("the second time:", err)
		}
	})
}

// Responses that have ended reach their clients before Close returns.
func TestCloseWhileStreamsClose(t *testing.T) {
	onShard(t, func(t *testing.T, s *stand) {
		source := newSource(100).append(noise[:50<<10])
		source.log.Close()
		s.serve(source, Policy{})
		e := s.open(t, "") // reads later, and does not close
		s.expectEnds(t, 1, reason.EndComplete)
		if err := s.clients.Close(); err != nil {
			t.Fatal(err)
		}
		e.start(t, s.gzip)
		e.expectEnd(t, true, "first\n\n"+noise[:50<<10]+"\n\n")
		e.expectFIN(t)
	})
}

// A connection that is taken over while Clients closes is cut, and not
// forgotten.
func TestTakenOverWhileClosing(t *testing.T) {
	onShard(t, func(t *testing.T, s *stand) {
		s.serve(newSource(100).append("1"), Policy{Heartbeat: time.Hour})
		conn := s.dial(t)
		s.clients.mu.Lock() // the handler gets as far as this
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		for opened := false; !opened; {
			s.clients.takeover.mu.Lock()
			opened = s.clients.takeover.shard != nil
			s.clients.takeover.mu.Unlock()
		}
		if err := s.clients.Close(); err != nil {
			t.Fatal(err)
		}
		s.clients.mu.Unlock()
		s.expectEnds(t, 1, reason.EndCut)
		if rest, _ := io.ReadAll(conn); strings.Contains(string(rest), lastChunk) {
			t.Errorf("%q looks like a clean end", rest)
		}
	})
}

// Connections come while everything ends; none is left behind.
func TestComeAndClose(t *testing.T) {
	for range 20 {
		way := shardWays[0]
		way.either = true // late ones are served by their goroutines
		s := newStand(t, way)
		s.serve(newSource(100).append("1"), Policy{Heartbeat: time.Millisecond})
		var coming sync.WaitGroup
		came := make(chan struct{}, 1000)
		for range 4 {
			coming.Go(func() {
				for range 25 {
					conn, err := new(net.Dialer).Dial("tcp", s.address)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n")
					_, _ = conn.Read(make([]byte, 1))
					came <- struct{}{}
					_ = conn.Close()
				}
			})
		}
		<-came
		s.clients.Cut()
		if err := s.clients.Close(); err != nil {
			t.Error(err)
		}
		s.clients.Cut()
		coming.Wait()
	}
}

// http.Server's Shutdown and Close, and its timeouts, have nothing to do with
// connections that have been taken over.
func TestServerHasNoPart(t *testing.T) {
	hurried := slices.Clone(shardWays)
	for i := range hurried {
		hurried[i].server = func(server *http.Server) {
			server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
		}
	}
	onWays(t, hurried, func(t *testing.T, s *stand) {
		source := newSource(100)
		s.serve(source, Policy{Heartbeat: 10 * time.Millisecond})
		e := s.listen(t)
		e.awaitCount(t, "beat\n\n", 40)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		e.awaitCount(t, "beat\n\n", 50)
		if err := s.server.Close(); err != nil {
			t.Fatal(err)
		}
		source.append("1")
		e.awaitCount(t, "1\n\n", 1)
		source.log.Close()
		if got := strings.ReplaceAll(e.awaitEnd(t, true), "beat\n\n", ""); got != "first\n\n1\n\n" {
			t.Errorf("%q", got)
		}
		s.expectEnds(t, 1, reason.EndComplete)
	})
}

// takes is a middleware's ResponseWriter that hijacks on its own.
type takes struct {
	http.ResponseWriter
	http.Flusher
	hijack func() (net.Conn, *bufio.ReadWriter, error)
}

// Hijack is http.Hijacker's.
func (h takes) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.hijack() }

// flusherOf returns what every ResponseWriter of http.Server is.
func flusherOf(w http.ResponseWriter) http.Flusher {
	flusher, _ := w.(http.Flusher)
	return flusher
}

// Middlewares in front of the shard.
func TestMiddlewares(t *testing.T) {
	for name, c := range map[string]struct {
		handed bool
		wrap   func(w http.ResponseWriter) http.ResponseWriter
	}{
		"no Hijack": {false, func(w http.ResponseWriter) http.ResponseWriter {
			return struct {
				http.ResponseWriter
				http.Flusher
			}{w, flusherOf(w)}
		}},
		"to be unwrapped": {false, func(w http.ResponseWriter) http.ResponseWriter { return wrapped{w} }},
		"passes Hijack on": {true, func(w http.ResponseWriter) http.ResponseWriter {
			return takes{w, flusherOf(w), func() (net.Conn, *bufio.ReadWriter, error) { return http.NewResponseController(w).Hijack() }}
		}},
		"hands out a connection of its own": {true, func(w http.ResponseWriter) http.ResponseWriter {
			return takes{w, flusherOf(w), func() (net.Conn, *bufio.ReadWriter, error) {
				conn, buffered, err := http.NewResponseController(w).Hijack()
				return struct{ net.Conn }{conn}, buffered, err
			}}
		}},
		"cannot Hijack, and says so": {false, func(w http.ResponseWriter) http.ResponseWriter {
			return takes{w, flusherOf(w), func() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, http.ErrNotSupported }}
		}},
		"cannot Hijack, and says so in its own words": {false, func(w http.ResponseWriter) http.ResponseWriter {
			return takes{w, flusherOf(w), func() (net.Conn, *bufio.ReadWriter, error) {
				return nil, nil, errors.New("the ResponseWriter is no http.Hijacker")
			}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			way := shardWays[0]
			way.handed = c.handed
			way.handle = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(c.wrap(w), r) })
			}
			onWays(t, []wayOf{way}, func(t *testing.T, s *stand) {
				source := newSource(100).append("1")
				s.serve(source, Policy{Heartbeat: 10 * time.Millisecond, Comments: true})
				e := s.listen(t)
				e.awaitCount(t, "1\n\n", 1)
				source.append("2")
				source.log.Close()
				if got := strings.ReplaceAll(e.awaitEnd(t, true), ":\n", ""); got != "first\n\n1\n\n2\n\n" {
					t.Errorf("%q", got)
				}
				s.expectEnds(t, 1, reason.EndComplete)
			})
		})
	}
}

// HTTP/1.0 knows no chunks, so that the end of the connection is that of the
// response; net/http serves it.
func TestHTTP10(t *testing.T) {
	way := shardWays[0]
	way.handed = false
	s := newStand(t, way)
	source := newSource(100).append("1")
	source.log.Close()
	s.serve(source, Policy{})
	conn := s.dial(t)
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if _, body, _ := strings.Cut(string(got), "\r\n\r\n"); err != nil || body != "first\n\n1\n\n" {
		t.Errorf("%q, %v", got, err)
	}
}
