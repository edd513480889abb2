package backendtest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// awaitTimeout bounds the Await methods. It is far above what a loaded machine
// needs, since reaching it means that the test has failed.
const awaitTimeout = 10 * time.Second

// Backend is a running server. Its methods may be called from any goroutine,
// those that can fail the test (Await…, Restart) from the test's own only.
type Backend struct {
	// Feed is what Watch sends unless OnWatch says otherwise. It outlives
	// restarts.
	Feed *Log
	// Health is the server behind grpc.health.v1.Health. It outlives restarts.
	Health *health.Server

	tb      testing.TB
	options options
	network string
	addr    string

	server *grpc.Server
	served chan error // capacity 1: Serve's result, taken by Stop

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when a field below changes
	opens    int
	running  int
	seen     metadata.MD
	handlers handlers
}

// Start runs a backend on a free loopback port (or a Unix socket, see
// WithUnixSocket) until the test ends.
func Start(tb testing.TB, opts ...Option) *Backend {
	tb.Helper()
	b := &Backend{
		Feed:    newLog(),
		Health:  health.NewServer(),
		tb:      tb,
		network: "tcp",
		addr:    "127.0.0.1:0",
		changed: make(chan struct{}),
	}
	b.options.apply(opts)
	if b.options.addr != "" {
		b.addr = b.options.addr
	}
	if b.options.feed != nil {
		b.Feed = b.options.feed
	}
	if b.options.unix {
		b.network, b.addr = "unix", socketPath(tb)
	}
	b.start()
	tb.Cleanup(b.Stop)
	return b
}

// Addr is the address to dial: host:port, or the path of the Unix socket. It is
// the same after a Restart.
func (b *Backend) Addr() string { return b.addr }

// Target is Addr as a gRPC target.
func (b *Backend) Target() string {
	if b.network == "unix" {
		return "unix://" + b.addr
	}
	return b.addr
}

// Stop cuts every connection, waits for the handlers and releases the address.
// Stopping a stopped backend does nothing.
func (b *Backend) Stop() {
	if b.server == nil {
		return
	}
	b.server.Stop()
	b.server = nil
	if err := <-b.served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		b.tb.Errorf("backendtest: the server ended: %v", err)
	}
}

// Restart stops the backend, if it runs, and starts it on the same address with
// opts added to the options it had. A client may need a moment to notice that its
// connection is gone: an RPC that it begins right after Restart may fail with
// UNAVAILABLE.
func (b *Backend) Restart(opts ...Option) {
	b.tb.Helper()
	b.Stop()
	b.options.apply(opts)
	b.start()
}

func (b *Backend) start() {
	b.tb.Helper()
	listener, err := new(net.ListenConfig).Listen(b.tb.Context(), b.network, b.addr)
	if err != nil {
		b.tb.Fatalf("backendtest: listen: %v", err)
	}
	b.addr = listener.Addr().String()

	server := grpc.NewServer(b.options.server(b.tb)...)
	testv1.RegisterFeedServiceServer(server, &feedService{backend: b})
	healthv1.RegisterHealthServer(server, b.Health)
	for _, service := range b.options.services {
		server.RegisterService(service.desc, service.impl)
	}
	b.options.registerReflection(server)

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	b.server, b.served = server, served
}

// socketPath is short, since a socket's path has room for about 100 bytes and a
// test's own temporary directory may not leave them.
func socketPath(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "bt") //nolint:usetesting // see above: TempDir's path is too long
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("backendtest: %v", err)
		}
	})
	return filepath.Join(dir, "b.sock")
}
