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

// Close cuts the clients.
func TestCloseWhileStreamsAreOpen(t *testing.T) {
	onShard(t, func(t *testing.T, s *socketServer) {
		s.serve(newSource(100).append("1"), Policy{Heartbeat: time.Hour})
		var all []*socketClient
		for range 10 {
			all = append(all, s.connect(t))
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
	onShard(t, func(t *testing.T, s *socketServer) {
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

func TestAClientTakenOverDuringCloseIsCut(t *testing.T) {
	onShard(t, func(t *testing.T, s *socketServer) {
		s.serve(newSource(100).append("1"), Policy{Heartbeat: time.Hour})
		conn := s.dial(t)
		s.clients.mu.Lock() // stops the handler in Clients.add
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

// No connection may be left behind.
func TestClientsConnectDuringClose(t *testing.T) {
	for range 20 {
		p := shardPaths[0]
		p.maybeDirect = true // after Close a Stream serves the client
		s := newSocketServer(t, p)
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

// Neither Shutdown and Close nor the timeouts of http.Server end a stream whose connection is taken over.
func TestHTTPServerDoesNotAffectTakenConnections(t *testing.T) {
	hurried := slices.Clone(shardPaths)
	for i := range hurried {
		hurried[i].configure = func(server *http.Server) {
			server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
		}
	}
	onPaths(t, hurried, func(t *testing.T, s *socketServer) {
		source := newSource(100)
		s.serve(source, Policy{Heartbeat: 10 * time.Millisecond})
		e := s.connect(t)
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

// hijackingWriter is the ResponseWriter of a middleware with a Hijack of its own.
type hijackingWriter struct {
	http.ResponseWriter
	http.Flusher
	hijack func() (net.Conn, *bufio.ReadWriter, error)
}

// Hijack implements http.Hijacker.
func (h hijackingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.hijack() }

// flusherOf returns w, which is an http.Flusher, as those of http.Server are.
func flusherOf(w http.ResponseWriter) http.Flusher {
	flusher, _ := w.(http.Flusher)
	return flusher
}

// Only a middleware with Hijack lets its connection be taken over.
func TestMiddlewares(t *testing.T) {
	for name, c := range map[string]struct {
		direct bool
		wrap   func(w http.ResponseWriter) http.ResponseWriter
	}{
		"no Hijack": {false, func(w http.ResponseWriter) http.ResponseWriter {
			return struct {
				http.ResponseWriter
				http.Flusher
			}{w, flusherOf(w)}
		}},
		"offers Unwrap": {false, func(w http.ResponseWriter) http.ResponseWriter { return wrapped{w} }},
		"forwards Hijack": {true, func(w http.ResponseWriter) http.ResponseWriter {
			return hijackingWriter{w, flusherOf(w), func() (net.Conn, *bufio.ReadWriter, error) { return http.NewResponseController(w).Hijack() }}
		}},
		"returns a connection of its own": {true, func(w http.ResponseWriter) http.ResponseWriter {
			return hijackingWriter{w, flusherOf(w), func() (net.Conn, *bufio.ReadWriter, error) {
				conn, buffered, err := http.NewResponseController(w).Hijack()
				return struct{ net.Conn }{conn}, buffered, err
			}}
		}},
		"refuses with ErrNotSupported": {false, func(w http.ResponseWriter) http.ResponseWriter {
			return hijackingWriter{w, flusherOf(w), func() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, http.ErrNotSupported }}
		}},
		"refuses with another error": {false, func(w http.ResponseWriter) http.ResponseWriter {
			return hijackingWriter{w, flusherOf(w), func() (net.Conn, *bufio.ReadWriter, error) {
				return nil, nil, errors.New("the ResponseWriter is no http.Hijacker")
			}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := shardPaths[0]
			p.direct = c.direct
			p.middleware = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(c.wrap(w), r) })
			}
			onPaths(t, []path{p}, func(t *testing.T, s *socketServer) {
				source := newSource(100).append("1")
				s.serve(source, Policy{Heartbeat: 10 * time.Millisecond, Comments: true})
				e := s.connect(t)
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

// HTTP/1.0 has no chunks: net/http ends the response by closing the connection.
func TestHTTP10(t *testing.T) {
	p := shardPaths[0]
	p.direct = false
	s := newSocketServer(t, p)
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

// A deadline of a stream that has ended does not shorten the time that its client has to read the rest and close: a
// socket that is closed while the client is sending is reset, and the client's kernel drops what it has not read.
func TestADeadlineOfAnEndedStreamClosesNoSocket(t *testing.T) {
	onShard(t, func(t *testing.T, s *socketServer) {
		const heartbeat = closeTimeout / 2
		source := newSource(100).append("1")
		s.serve(source, Policy{Heartbeat: heartbeat})
		began := time.Now()
		e := s.open(t, "") // does not close
		e.start(t, s.gzip)
		e.awaitText(t, "first\n\n1\n\n")
		source.log.Close()
		s.expectEnds(t, 1, reason.EndComplete)
		ended := time.Now()
		for time.Since(ended) < 10*time.Second { // the heartbeat's deadline passes meanwhile
			if _, err := e.conn.Write([]byte("x")); err != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if open := time.Since(ended); open < closeTimeout*9/10 {
			t.Errorf("the socket was closed %v after the end, %v after the heartbeat's deadline", open, time.Since(began)-heartbeat)
		}
	})
}
