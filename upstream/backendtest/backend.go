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

// awaitTimeout bounds the Await methods. It is far longer than a loaded machine needs, since the
// test fails when it passes.
const awaitTimeout = 30 * time.Second

// Backend is a running server. Its methods may be called from any goroutine, except for those that
// can fail the test (Await…, Restart): only the test's own goroutine may call them.
type Backend struct {
	// Feed is the log that Watch sends, unless OnWatch replaces it. It outlives restarts.
	Feed *Log
	// Health serves grpc.health.v1.Health. It outlives restarts.
	Health *health.Server

	tb      testing.TB
	options options
	network string
	addr    string

	server *grpc.Server
	served chan error // holds the one result of Serve, which Stop takes

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when a field below changes
	opens    int
	running  int
	seen     metadata.MD
	handlers handlers
}

// Start runs a backend on a free loopback port (or a Unix socket, see WithUnixSocket) until the
// test ends.
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

// Addr returns the address to dial: host:port, or the path of the Unix socket. Restart does not
// change it.
func (b *Backend) Addr() string { return b.addr }

// Target returns Addr as a gRPC target.
func (b *Backend) Target() string {
	if b.network == "unix" {
		return "unix://" + b.addr
	}
	return b.addr
}

// Stop closes every connection, waits for the handlers and releases the address. Further calls do
// nothing.
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

// Restart stops the backend, if it runs, and starts it on the same address with opts added to its
// options. A client may need a moment to notice the loss of its connection: an RPC that it begins
// right after Restart may fail with UNAVAILABLE.
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

// socketPath returns a short path, since a socket's path is limited to about 100 bytes and a test's
// own temporary directory may exceed them.
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
