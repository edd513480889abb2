// Package h2c serves HTTP/2 in clear, begun with prior knowledge (RFC 9113, section 3.3),
// at less memory a connection than net/http does alone: that keeps, for as long as the
// connection lasts, the buffers with which it read the first line as if it were of
// HTTP/1.1, and the stack on which it did. Here the connection is taken from it, and
// nothing of it stays.
package h2c

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// Server is an [http.Server] whose connections of HTTP/2 in clear are served apart. It is
// served, shut down and closed as an [http.Server] is.
type Server struct {
	*http.Server

	// Streams says how many streams a connection in clear may carry, by its context and its
	// peer. It is set before the server is served; nil: as many as HTTP2 says.
	Streams func(ctx context.Context, peer net.Addr) int

	// Begun is called for a connection in clear that begins with HTTP/2, after ConnState was
	// called as for one that is hijacked. ctx is the connection's. From then on ConnState is
	// called for the states of HTTP/2. Both are optional, and set before the server is served.
	Begun func(ctx context.Context, conn net.Conn)

	// framed serves the requests of those connections. It has no listener.
	framed   *http.Server
	protocol *http2.Server //nolint:staticcheck // it is deprecated for what net/http does, which this is to do without

	serving sync.WaitGroup

	mu      sync.Mutex
	configs map[int]*http.Server // framed with so many streams a connection
	conns   map[*begun]struct{}  // that have been taken from net/http
	closed  bool                 // no more are
}

// New makes a server of one that is not used otherwise. The settings of its HTTP2 hold
// for clear HTTP/2, too. A server with a TLSConfig stays as it is.
func New(server *http.Server) *Server {
	s := &Server{Server: server, conns: map[*begun]struct{}{}, configs: map[int]*http.Server{}}
	s.framed = &http.Server{
		Handler:           server.Handler,
		HTTP2:             server.HTTP2,
		ReadHeaderTimeout: server.ReadHeaderTimeout,
		MaxHeaderBytes:    server.MaxHeaderBytes,
		ErrorLog:          server.ErrorLog,
		ConnState:         stand, // by which connections are ended that are idle
	}
	if server.TLSConfig != nil {
		return s
	}
	s.protocol = new(http2.Server)                                      //nolint:staticcheck // as above
	if err := http2.ConfigureServer(s.framed, s.protocol); err != nil { //nolint:staticcheck // as above
		panic(err) // it is about cipher suites, and there are none
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true) // to which the preface is a request
	server.Handler = http.HandlerFunc(s.serveHTTP)

	return s
}

// serveHTTP serves a request of HTTP/1.1, or begins with HTTP/2.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if !isPreface(r) {
		s.framed.Handler.ServeHTTP(w, r)

		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // its client has gone
	}
	// Of the context only the values last: net/http is done with the connection.
	ctx := context.WithoutCancel(r.Context())
	c := &begun{Conn: conn, sent: read(buffered.Reader), patience: s.IdleTimeout, states: s.ConnState}
	if s.Begun != nil {
		s.Begun(ctx, conn)
	}
	if !s.take(ctx, c) {
		c.end() // as net/http closes connections that begin while it shuts down
	}
}

// The preface of HTTP/2 (RFC 9113, section 3.4) is to HTTP/1.1 a request without headers
// and the beginning of what would be another.
const preface = "PRI * HTTP/2.0\r\n\r\n"

func isPreface(r *http.Request) bool {
	return r.TLS == nil && r.Method == "PRI" && r.RequestURI == "*" && r.Proto == "HTTP/2.0" && len(r.Header) == 0
}

// read returns what net/http has read of a connection that it took for a request.
func read(r *bufio.Reader) []byte {
	rest, _ := r.Peek(r.Buffered()) // that much is there

	return slices.Concat([]byte(preface), rest)
}

// take begins to serve a connection, unless the server is being shut down.
func (s *Server) take(ctx context.Context, conn *begun) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = struct{}{}
	s.serving.Go(func() { s.serveConn(ctx, conn) })

	return true
}

// serveConn serves a connection until it ends.
func (s *Server) serveConn(ctx context.Context, conn *begun) {
	defer s.drop(conn)
	defer func() {
		if reason := recover(); reason != nil { // the end of one connection, as in net/http
			s.framed.ErrorLog.Printf("http: panic serving %v: %v\n%s", conn.RemoteAddr(), reason, debug.Stack())
		}
	}()
	s.protocol.ServeConn(conn, &http2.ServeConnOpts{Context: ctx, BaseConfig: s.configFor(ctx, conn)}) //nolint:staticcheck // as above
}

// configFor returns the configuration that serves a connection.
func (s *Server) configFor(ctx context.Context, conn *begun) *http.Server {
	if s.Streams == nil {
		return s.framed
	}
	streams := s.Streams(ctx, conn.RemoteAddr())
	s.mu.Lock()
	defer s.mu.Unlock()
	if config := s.configs[streams]; config != nil {
		return config
	}
	h2 := http.HTTP2Config{}
	if s.framed.HTTP2 != nil {
		h2 = *s.framed.HTTP2
	}
	h2.MaxConcurrentStreams = streams
	config := &http.Server{
		Handler:           s.framed.Handler,
		HTTP2:             &h2,
		ReadHeaderTimeout: s.framed.ReadHeaderTimeout,
		MaxHeaderBytes:    s.framed.MaxHeaderBytes,
		ErrorLog:          s.framed.ErrorLog,
		ConnState:         s.framed.ConnState,
	}
	s.configs[streams] = config

	return config
}

func (s *Server) drop(conn *begun) {
	conn.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// refuse takes no connection from now on.
func (s *Server) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// sayAgain is how often connections are told that the server shuts down: one that was
// only just beginning may have missed it.
const sayAgain = 100 * time.Millisecond

// Shutdown closes the listeners, tells clients to begin nothing new, and waits until the
// requests that are being served have ended, or until ctx has.
func (s *Server) Shutdown(ctx context.Context) error {
	s.refuse()
	ended := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(ended)
	}()
	sayGoodbye := func() error { return s.framed.Shutdown(ctx) } // by GOAWAY; it has nothing to wait for
	err := errors.Join(sayGoodbye(), s.Server.Shutdown(ctx))
	again := time.NewTicker(sayAgain)
	defer again.Stop()
	for err == nil {
		select {
		case <-ended:
			return nil
		case <-again.C:
			err = sayGoodbye()
		case <-ctx.Done():
			err = ctx.Err()
		}
	}

	return err
}

// Close closes the listeners and all connections but those that a handler has taken.
func (s *Server) Close() error {
	s.refuse()
	err := s.Server.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}

	return err
}
