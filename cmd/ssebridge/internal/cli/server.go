package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
)

const (
	// headerTimeout is how long a client may take to send a request's head.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long a connection without a request is kept.
	idleTimeout = 3 * time.Minute
	// maxStreams is how many streams one HTTP/2 connection may carry; a proxy in front
	// may bring all of its clients over one.
	maxStreams = 20000
	// headerTable is the least that HTTP/2 can be told to remember of headers: a stream's are
	// sent once in hours, and the two tables cost each connection more than 1 KiB.
	headerTable = 1
	// writeByteTimeout ends an HTTP/2 connection that takes nothing at all: a stream's
	// own deadline can only reset the stream, and the reset could not be written either.
	writeByteTimeout = 20 * time.Second
	// pingAfter is how long an HTTP/2 connection may say nothing before it is asked whether
	// it is still there, and pingTimeout how long it may take to answer: where heartbeats
	// are off nothing else would find a peer whose link is down.
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
	// shutdownTimeout bounds the wait for plain requests after all streams have ended.
	shutdownTimeout = 5 * time.Second
)

// application is what is served: a bridge, or the demo around one.
type application interface {
	// Drain tells clients to come back, and returns when their streams have ended or
	// have been cut because ctx was done.
	Drain(ctx context.Context) error
	// Close ends everything and waits for it.
	Close() error
}

// newServer makes a server for a public listener: HTTP/1.1 and HTTP/2 in clear (h2c).
// It has no timeout for writing, because a stream is written for hours; the bridge
// watches each one itself.
func newServer(handler http.Handler, logger *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)

	return &http.Server{
		Handler:   handler,
		Protocols: protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:      maxStreams,
			MaxDecoderHeaderTableSize: headerTable,
			MaxEncoderHeaderTableSize: headerTable,
			WriteByteTimeout:          writeByteTimeout,
			SendPingTimeout:           pingAfter,
			PingTimeout:               pingTimeout,
		},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// endpoint is a server and the listener that it serves.
type endpoint struct {
	name     string
	server   *http.Server
	listener net.Listener
}

// serving is an application with its endpoints.
type serving struct {
	app    application
	logger *slog.Logger
	// public is where clients come in, admin where operators look; admin is nil when
	// it is off. Admin stops last, so that it can be seen why nothing else is there.
	public, admin *endpoint
	// patience is how long draining may take.
	patience time.Duration
}

// run serves until ctx is done and then ends cleanly, in this order: the application
// tells its clients while everything is still served, the public listener closes, the
// application closes, the admin listener closes. It returns when all goroutines have
// ended; the error is nil on a clean end.
func (s *serving) run(ctx context.Context) error {
	endpoints := []*endpoint{s.public}
	if s.admin != nil {
		endpoints = append(endpoints, s.admin)
	}
	// A request outlives the signal that ends the command; draining ends it.
	base := context.WithoutCancel(ctx)
	failed := make(chan error, len(endpoints)) // one result each, so that nobody waits
	for _, e := range endpoints {
		e.server.BaseContext = func(net.Listener) context.Context { return base }
		s.logger.Info("listening", "on", e.name, "addr", e.listener.Addr().String())
		go func() { failed <- e.serve() }()
	}

	var err error
	left := len(endpoints)
	select {
	case <-ctx.Done():
		s.drain(base)
	case err = <-failed:
		left--
	}
	err = errors.Join(err, s.public.stop(base), s.app.Close())
	if s.admin != nil {
		err = errors.Join(err, s.admin.stop(base))
	}
	for range left {
		err = errors.Join(err, <-failed)
	}
	if err == nil {
		s.logger.Info("stopped")
	}

	return err
}

// drain tells the clients. That some had to be cut is worth a line, but no failure.
func (s *serving) drain(ctx context.Context) {
	s.logger.Info("stopping: telling clients to come back")
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	if err := s.app.Drain(ctx); err != nil {
		s.logger.Warn("not every client left in time; the others were cut", "error", err)
	}
}

// serve answers until the endpoint is stopped.
func (e *endpoint) serve() error {
	if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", e.name, err)
	}

	return nil
}

// stop closes the listener, lets plain requests end, and cuts what is left then.
func (e *endpoint) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	if err := e.server.Shutdown(ctx); err != nil {
		return e.server.Close()
	}

	return nil
}

// listen opens the listener that the key of the configuration asks for. The error says
// what can be done.
func listen(ctx context.Context, key, address string) (net.Listener, error) {
	lc := net.ListenConfig{Control: setUpListener}
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, config.Errorf(key, "cannot listen on %s: %s", address, listenAdvice(err))
	}

	return listener, nil
}

// listenAdvice is what is wrong with an address, and what to do.
func listenAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "the address is in use; stop what listens there, or choose another port"
	case errors.Is(err, syscall.EACCES):
		return "not permitted; ports below 1024 need the privilege, choose a higher one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return `this machine does not have the address; ":port" is all that it has`
	default:
		var op *net.OpError
		if errors.As(err, &op) && op.Err != nil {
			return op.Err.Error()
		}

		return err.Error()
	}
}
