// Package http2server serves HTTP/2 by TLS, and in clear with prior knowledge (RFC 9113,
// section 3.3). It does for one connection what net/http does only for all of them: it
// chooses how many streams the connection may carry, and when not to read it.
//
// In clear a connection also takes less memory than with net/http alone. That keeps, for as
// long as the connection lasts, the buffers with which it read the first line as if it were
// of HTTP/1.1, and the stack on which it did. Here the connection is hijacked, and nothing of
// it stays.
package http2server

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// Server is an [http.Server] whose connections of HTTP/2 are served apart. It is served,
// shut down and closed as an [http.Server] is. All of its fields are set before that.
type Server struct {
	*http.Server

	// Streams returns how many streams a connection of HTTP/2 may carry. ctx is the
	// connection's. nil: as many as HTTP2 says.
	Streams func(ctx context.Context, peer net.Addr) int

	// Pause returns for how long a connection of HTTP/2 is not to be read from now on; 0 is
	// not at all. ctx is the connection's. It is called before each read except those of the
	// preface and SETTINGS after their first byte, for which HTTP/2 has a timeout of 2 s. A
	// pause takes 2 s at most, and ends when the connection is closed. It is for a client that
	// sends requests faster than it may: TCP's flow control slows the client down without an
	// error. nil: never.
	Pause func(ctx context.Context) time.Duration

	// Begun is called for a connection in clear that begins with HTTP/2, after ConnState was
	// called as for one that is hijacked. ctx is the connection's. From then on ConnState is
	// called for the states of HTTP/2. Both are optional.
	Begun func(ctx context.Context, conn net.Conn)

	// framed is the configuration of those connections. It has no listener.
	framed   *http.Server
	protocol *http2.Server //nolint:staticcheck // it is deprecated for what net/http does, which this is to do without

	serving sync.WaitGroup // connections in clear

	mu      sync.Mutex
	configs map[int]*http.Server // framed with so many streams a connection
	conns   map[*begun]struct{}
	closed  bool // net/http gives up no more connections
}

// New makes a server of one that is not used otherwise. The settings of its HTTP2 hold for
// TLS and in clear.
func New(server *http.Server) *Server {
	s := &Server{Server: server, protocol: new(http2.Server), conns: map[*begun]struct{}{}, configs: map[int]*http.Server{}} //nolint:staticcheck // as above
	s.framed = framed(server, server.HTTP2)
	s.framed.TLSConfig = server.TLSConfig
	if err := http2.ConfigureServer(s.framed, s.protocol); err != nil { //nolint:staticcheck // as above
		panic(err) // the TLSConfig excludes the cipher suite that HTTP/2 requires
	}
	if server.TLSConfig != nil {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){http2.NextProtoTLS: s.serveTLS}

		return s
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true) // to which the preface is a request
	server.Handler = http.HandlerFunc(s.serveHTTP)

	return s
}

// framed returns a server's configuration for HTTP/2.
func framed(server *http.Server, settings *http.HTTP2Config) *http.Server {
	return &http.Server{
		Handler:           server.Handler,
		HTTP2:             settings,
		ReadHeaderTimeout: server.ReadHeaderTimeout,
		MaxHeaderBytes:    server.MaxHeaderBytes,
		ErrorLog:          server.ErrorLog,
		ConnState:         stand, // by which connections are ended that are idle
	}
}

// serveTLS serves a connection whose client has chosen HTTP/2 in the handshake (ALPN). It is
// served during a shutdown, too: Shutdown sends GOAWAY on it. net/http calls serveTLS on the
// connection's goroutine, and closes the connection when it returns.
func (s *Server) serveTLS(_ *http.Server, conn *tls.Conn, handler http.Handler) {
	ctx := context.Background()
	// The handler has this method for golang.org/x/net/http2, which is called as this is.
	if of, ok := handler.(interface{ BaseContext() context.Context }); ok {
		ctx = of.BaseContext()
	}
	c := s.begin(ctx, conn, nil)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.serveConn(ctx, c, secured{c, conn}, handler)
}

// begin makes a connection of HTTP/2 of one that has been read so far.
func (s *Server) begin(ctx context.Context, conn net.Conn, sent []byte) *begun {
	c := &begun{Conn: conn, sent: sent, patience: s.IdleTimeout, states: s.ConnState}
	if s.Pause != nil {
		c.pause = func() time.Duration { return s.Pause(ctx) }
	}

	return c
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
	c := s.begin(ctx, conn, read(buffered.Reader))
	if s.Begun != nil {
		s.Begun(ctx, conn)
	}
	if !s.take(ctx, c) {
		c.end() // as net/http closes connections that begin while it shuts down
		c.tell(http.StateClosed)
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

// take begins to serve a connection in clear, unless the server is being shut down.
func (s *Server) take(ctx context.Context, conn *begun) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = struct{}{}
	s.serving.Go(func() {
		s.serveConn(ctx, conn, conn, s.framed.Handler)
		conn.tell(http.StateClosed)
	})

	return true
}

// serveConn serves a connection until it ends. HTTP/2 reads and writes conn, which is begun
// or is made of it.
func (s *Server) serveConn(ctx context.Context, begun *begun, conn net.Conn, handler http.Handler) {
	defer s.drop(begun)
	defer func() {
		if reason := recover(); reason != nil { // the end of one connection, as in net/http
			s.framed.ErrorLog.Printf("http: panic serving %v: %v\n%s", conn.RemoteAddr(), reason, debug.Stack())
		}
	}()
	config := s.configFor(ctx, conn.RemoteAddr())
	s.protocol.ServeConn(conn, &http2.ServeConnOpts{Context: ctx, BaseConfig: config, Handler: handler}) //nolint:staticcheck // as above
}

// configFor returns the configuration for a connection.
func (s *Server) configFor(ctx context.Context, peer net.Addr) *http.Server {
	if s.Streams == nil {
		return s.framed
	}
	streams := s.Streams(ctx, peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	config := s.configs[streams]
	if config == nil {
		settings := http.HTTP2Config{}
		if s.framed.HTTP2 != nil {
			settings = *s.framed.HTTP2
		}
		settings.MaxConcurrentStreams = streams
		config = framed(s.framed, &settings)
		s.configs[streams] = config
	}

	return config
}

func (s *Server) drop(conn *begun) {
	conn.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// refuse closes connections that begin with HTTP/2 in clear from now on.
func (s *Server) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// Shutdown closes the listeners, sends GOAWAY on the connections of HTTP/2, and waits until
// all requests have ended, or until ctx has.
func (s *Server) Shutdown(ctx context.Context) error {
	s.refuse()
	telling, stop := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() { s.sayGoodbye(telling) })
	defer told.Wait()
	defer stop()
	if err := s.Server.Shutdown(ctx); err != nil { // it waits for connections by TLS, too
		return err
	}
	ended := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sayAgain is how often connections are told that the server shuts down: one that was
// only just beginning may have missed it.
const sayAgain = 100 * time.Millisecond

// sayGoodbye sends GOAWAY on the connections of HTTP/2 until ctx is done.
func (s *Server) sayGoodbye(ctx context.Context) {
	again := time.NewTicker(sayAgain)
	defer again.Stop()
	for {
		_ = s.framed.Shutdown(ctx) // it has no listener and no connections that could fail
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close closes the listeners and all connections but those that a handler has taken.
func (s *Server) Close() error {
	s.refuse()
	err := s.Server.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close() // those by TLS are closed by now; it ends their pauses
	}

	return err
}
