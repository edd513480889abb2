package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

// endpoint is a listener and the server that serves it. Another server may take
// its place.
type endpoint struct {
	name     string
	server   *http.Server
	listener net.Listener
	// secure is whether the server serves TLS.
	secure bool
	// successor makes a server like the first. It is nil where there is to be no other.
	successor func() *http.Server

	// contexts is each server's BaseContext, set before serve.
	contexts func(net.Listener) context.Context

	mu      sync.Mutex
	shared  *sharedListener // listener, once it is needed
	next    *http.Server    // replaces server; nil: none does
	stopped bool
	retired sync.WaitGroup // the shutdown of the first server
}

// serve answers until the endpoint is stopped.
func (e *endpoint) serve() error {
	for server := e.server; server != nil; server = e.after(server) {
		if err := e.serveWith(server, e.share().lease()); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return nil
}

// share returns the listener that the servers accept from.
func (e *endpoint) share() *sharedListener {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shared == nil {
		e.shared = newSharedListener(e.listener)
	}
	return e.shared
}

func (e *endpoint) serveWith(server *http.Server, listener net.Listener) error {
	server.BaseContext = e.contexts
	if e.secure {
		return server.ServeTLS(listener, "", "")
	}
	return server.Serve(listener)
}

// after returns the server that takes the place of one that was shut down.
func (e *endpoint) after(server *http.Server) *http.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped || server == e.next {
		return nil
	}
	return e.next
}

// renew shuts the server down, whose requests go on, and has another one accept
// connections. This is how net/http is made to send GOAWAY on the open connections
// (RFC 9113, section 6.8): their clients make new ones for their next requests. It is
// called once.
func (e *endpoint) renew(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.successor == nil || e.stopped || e.next != nil {
		return
	}
	e.next = e.successor()
	e.retired.Go(func() { _ = shutDown(ctx, e.server) }) // stop shuts it down again, with a deadline
}

const (
	// sayAgain is how soon connections are told again that their server shuts down, and
	// saySeldom how often later, when none can be beginning any more.
	sayAgain  = 100 * time.Millisecond
	saySeldom = time.Second
)

// shutDown shuts a server down. net/http sends GOAWAY on the HTTP/2 connections that there
// are when Shutdown is called. A connection that was only beginning, or in the handshake of
// TLS, would go on forever: so it is called again and again.
func shutDown(ctx context.Context, server *http.Server) error {
	for again := sayAgain; ; again = min(2*again, saySeldom) {
		round, cancel := context.WithTimeout(ctx, again)
		err := server.Shutdown(round)
		cancel()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// stopAll stops endpoints at the same time. Where they have one socket, the first closes it:
// so all of them accept no more before.
func stopAll(ctx context.Context, endpoints []*endpoint) error {
	for _, e := range endpoints {
		e.refuse()
	}
	errs := make([]error, len(endpoints))
	var all sync.WaitGroup
	for i, e := range endpoints {
		all.Go(func() { errs[i] = e.stop(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// refuse has the endpoint accept no more connections.
func (e *endpoint) refuse() {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.share().refuse()
}

// stop closes the listener, lets plain requests end, and cuts the rest after shutdownTimeout.
func (e *endpoint) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	e.refuse()
	e.mu.Lock()
	servers := []*http.Server{e.server}
	if e.next != nil {
		servers = append(servers, e.next)
	}
	e.mu.Unlock()
	e.share().end()
	var err error
	for _, server := range servers {
		if shutDown(ctx, server) != nil {
			err = errors.Join(err, server.Close())
		}
	}
	e.retired.Wait()
	return err
}

// sharedListener is a listener that one server after the other accepts from.
type sharedListener struct {
	net.Listener

	accepted chan acceptance
	refusing sync.Once
	ended    chan struct{} // by refuse
	running  sync.WaitGroup
}

// acceptance is the result of one call of Accept.
type acceptance struct {
	conn net.Conn
	err  error
}

func newSharedListener(listener net.Listener) *sharedListener {
	s := &sharedListener{Listener: listener, accepted: make(chan acceptance, listen.Ready), ended: make(chan struct{})}
	s.running.Go(s.run)
	return s
}

// run accepts connections until the listener is closed.
func (s *sharedListener) run() {
	for {
		conn, err := s.Accept()
		if s.over() {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		select {
		case s.accepted <- acceptance{conn, err}:
		case <-s.ended:
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// over reports whether refuse has been called.
func (s *sharedListener) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// refuse has no more connections accepted. Calls of Accept wait until their lease is closed.
func (s *sharedListener) refuse() { s.refusing.Do(func() { close(s.ended) }) }

// end closes the listener.
func (s *sharedListener) end() {
	s.refuse()
	_ = s.Close() // it may have been closed, of which Accept tells
	s.running.Wait()
	for {
		select {
		case a := <-s.accepted:
			if a.err == nil {
				_ = a.conn.Close() // it will not be served
			}
		default:
			return
		}
	}
}

// lease returns the listener for one server, which closes the lease alone.
func (s *sharedListener) lease() net.Listener { return &lease{s, make(chan struct{}), sync.Once{}} }

type lease struct {
	shared *sharedListener
	closed chan struct{}
	once   sync.Once
}

// Accept returns the next connection.
func (l *lease) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case a := <-l.shared.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *lease) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the listener's address.
func (l *lease) Addr() net.Addr { return l.shared.Addr() }
