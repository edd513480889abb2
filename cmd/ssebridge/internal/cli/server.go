package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/listen"
)

const (
	// shutdownTimeout bounds the wait for plain requests after all streams have ended.
	shutdownTimeout = 5 * time.Second
	// headerTable is the least that HTTP/2 can be told to remember of the headers it sends: a
	// stream's are sent once in hours, and a table costs each connection some 700 bytes. The
	// other way a client may count on its 4 KiB before it has heard of less.
	headerTable = 1
)

// patience is how long a server waits for its peers.
type patience struct {
	// header is how long a client may take to send a request's head, and before it to
	// shake hands (TLS) and to be named by its proxy.
	header time.Duration
	// idle is how long a connection without a request is kept.
	idle time.Duration
	// write ends an HTTP/2 connection that takes nothing at all: a stream's own deadline
	// can only reset the stream, and the reset could not be written either.
	write time.Duration
	// silent is how long an HTTP/2 connection may say nothing whole before it is asked
	// whether it is still there, and ping how long it may take to answer: where heartbeats
	// are off nothing else would find a peer whose link is down, or one that sends a frame
	// byte by byte.
	silent, ping time.Duration
}

func usualPatience() patience {
	return patience{header: 10 * time.Second, idle: 3 * time.Minute, write: 20 * time.Second, silent: 15 * time.Second, ping: 5 * time.Second}
}

// application is a bridge, or the demo around one.
type application interface {
	// Drain tells clients to come back, and returns when their streams have ended or
	// have been cut. It bounds how long that takes, and ends at once when ctx does.
	Drain(ctx context.Context) error
	// DrainTimes returns how long Drain serves on, and over how long it asks clients to
	// come back.
	DrainTimes() (delay, grace time.Duration)
	// Clients returns how many streams are being served.
	Clients() int
	// Close ends everything and waits for it.
	Close() error
}

// serverParams configure a server.
type serverParams struct {
	handler http.Handler
	logger  *slog.Logger
	// limits are the configuration's, with their defaults.
	limits config.Limits
	// tls secures the connections; nil is in clear.
	tls      *tls.Config
	patience patience
	// streams is how many an HTTP/2 connection may carry.
	streams int
	// handshakes counts the TLS handshakes that fail; nil where there are none.
	handshakes *atomic.Uint64
}

const (
	// ownStreams is how many streams an HTTP/2 connection may carry that is a client's own.
	// A page needs a stream for each EventSource; each takes memory as soon as its head has
	// come.
	ownStreams = 250
	// streamWindow and connWindow bound the bytes of bodies that a client may send before they
	// are read.
	streamWindow = 64 << 10
	connWindow   = 256 << 10
)

// newServer makes a server: HTTP/1.1, and HTTP/2 by TLS or in clear (h2c). It has no
// timeout for writing, because a stream is written for hours; the bridge watches each one
// itself. Nor has it one for reading: the bridge gives bodies their time.
func newServer(params serverParams) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(params.tls != nil)
	protocols.SetUnencryptedHTTP2(params.tls == nil)
	return &http.Server{
		Handler:   params.handler,
		Protocols: protocols,
		TLSConfig: params.tls.Clone(), // the server changes it
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          params.streams,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: connWindow,
			MaxEncoderHeaderTableSize:     headerTable,
			WriteByteTimeout:              params.patience.write,
			SendPingTimeout:               params.patience.silent,
			PingTimeout:                   params.patience.ping,
		},
		ReadHeaderTimeout: params.patience.header, // for the TLS handshake, too
		IdleTimeout:       params.patience.idle,
		// The target and the headers may have request_bytes each, but not both. The
		// bridge answers somewhat larger heads itself, with a message; much larger ones
		// are refused here, since a head takes memory before its request is known.
		MaxHeaderBytes: int(params.limits.RequestBytes) * 3 / 2,
		ErrorLog:       newComplaints(params.logger, params.handshakes),
	}
}

// maxStreams is how many streams one HTTP/2 connection may carry: a proxy in front may
// bring all clients over one, and those above the limit have to come in to be told so.
func maxStreams(clients int) int { return clients + clients/10 + 100 }

// serving is an application with its endpoints.
type serving struct {
	app    application
	logger *slog.Logger
	// public is where clients come in: one endpoint for their own connections, and one for
	// those of trusted proxies. Admin is where operators look; it is nil when it is off. It
	// stops last, so that it can be seen why nothing else is there.
	public []*endpoint
	admin  *endpoint
}

// run serves until ctx is done and then ends cleanly, in this order: the application
// tells its clients while everything is still served, the public listener closes, the
// application closes, the admin listener closes. It returns when all goroutines have
// ended; the error is nil on a clean end.
func (s *serving) run(ctx context.Context) error {
	listening := []*endpoint{s.public[0]} // the others are fed by the same socket
	endpoints := slices.Clone(s.public)
	if s.admin != nil {
		listening, endpoints = append(listening, s.admin), append(endpoints, s.admin)
	}
	// A request outlives the signal that ends the command; draining ends it.
	base := context.WithoutCancel(ctx)
	manager := listen.Notifier{Logger: s.logger}
	failed := make(chan error, len(endpoints)) // one result each, so that no endpoint waits
	for _, e := range listening {
		s.logger.Info("listening", "on", e.name, "addr", e.listener.Addr().String(), "tls", e.secure)
	}
	for _, e := range endpoints {
		e.contexts = func(net.Listener) context.Context { return base }
		go func() { failed <- e.serve() }()
	}
	manager.Ready(statusServing)

	var err error
	left := len(endpoints)
	select {
	case <-ctx.Done():
		manager.Stopping()
		s.drain(base, context.Cause(ctx))
	case err = <-failed:
		manager.Stopping()
		left--
	}
	err = errors.Join(err, stopAll(base, s.public), s.app.Close())
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

// renew replaces the servers for clients: see [endpoint.renew].
func (s *serving) renew(ctx context.Context) {
	for _, e := range s.public {
		e.renew(ctx)
	}
}

// The statuses that systemctl status shows.
const (
	statusServing = "serving"
	statusRefused = "serving; the newest configuration is refused, and the one before holds (see the log)"
)

// drain asks the clients to reconnect. Cut clients are worth a log line, but are no
// failure. There is no deadline here: the application decides how long it takes, by
// the configuration in force.
//
// After Ctrl-C no balancer has to notice anything, so without clients there is nothing to
// wait for. SIGTERM comes from a service manager, and a balancer may still send clients.
func (s *serving) drain(ctx context.Context, cause error) {
	if errors.Is(cause, errInterrupted) && s.app.Clients() == 0 {
		s.logger.Info("stopping: there are no clients")
		return
	}
	delay, grace := s.app.DrainTimes()
	s.logger.Info("stopping: serves on for drain.delay, then asks clients to reconnect over drain.grace; a second signal ends the process at once",
		"delay", delay, "grace", grace, "clients", s.app.Clients())
	if err := s.app.Drain(ctx); err != nil {
		s.logger.Warn("not every client left in time; the others were cut", "error", err)
	}
}
