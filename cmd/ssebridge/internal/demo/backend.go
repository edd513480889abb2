package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

// errStopping ends every stream of a backend that stops; UNAVAILABLE is the code on
// which clients come back.
var errStopping = status.Error(codes.Unavailable, "the demo backend is stopping")

// Backend is the demo's gRPC server: all four services of ssebridge.demo.v1, health
// and reflection. Make it with [NewBackend], then call Serve once. Its state, the
// rooms' histories, lives as long as it does.
type Backend struct {
	server   *grpc.Server
	health   *health.Server
	chatters *chatters

	// stopping is closed when the streams must end.
	stopping chan struct{}
}

// NewBackend makes a backend that is ready to serve.
func NewBackend() *Backend {
	rooms := newRooms()
	b := &Backend{
		server: grpc.NewServer(
			// grpc-go's default cuts clients that ping more often than once in 5 min, as others
			// than the bridge may.
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
				MinTime:             5 * time.Second,
				PermitWithoutStream: true,
			}),
			grpc.MaxRecvMsgSize(1<<16),
			grpc.ConnectionTimeout(10*time.Second),
		),
		health:   health.NewServer(),
		chatters: newChatters(rooms),
		stopping: make(chan struct{}),
	}

	demov1.RegisterClockServiceServer(b.server, &clockService{stopping: b.stopping})
	demov1.RegisterChatServiceServer(b.server, &chatService{rooms: rooms, stopping: b.stopping})
	demov1.RegisterMetricsServiceServer(b.server, &metricsService{stopping: b.stopping})
	demov1.RegisterTokenServiceServer(b.server, &tokenService{stopping: b.stopping})
	grpc_health_v1.RegisterHealthServer(b.server, b.health)
	for name := range b.server.GetServiceInfo() {
		b.health.SetServingStatus(name, grpc_health_v1.HealthCheckResponse_SERVING)
	}
	reflection.Register(b.server)
	return b
}

// Serve answers on listener, which it closes, until ctx is done. Then it tells
// health watchers, ends every stream with UNAVAILABLE, and returns nil when all
// of its goroutines have ended.
func (b *Backend) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	chatting := make(chan struct{}) // closed when the chatters have left
	go func() {
		defer close(chatting)
		b.chatters.run(ctx)
	}()

	served := make(chan error, 1) // one result, so that Serve's goroutine never waits
	go func() { served <- b.server.Serve(listener) }()

	var err error
	select {
	case <-ctx.Done():
		b.stop()
		err = <-served
	case err = <-served:
		cancel()
		b.stop()
	}
	<-chatting

	if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("demo backend: %w", err)
	}
	return nil
}

// stop ends all streams and waits until their handlers have returned; a handler that
// does not within two seconds has its connection cut.
func (b *Backend) stop() {
	b.health.Shutdown()
	close(b.stopping)
	cut := time.AfterFunc(2*time.Second, b.server.Stop)
	defer cut.Stop()
	b.server.GracefulStop()
}
