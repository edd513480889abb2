package demo

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

// startBackend serves a backend on a port of its own until the test ends or stop is
// called, and connects to it. A backend that does not stop cleanly fails the test.
func startBackend(t *testing.T) (conn *grpc.ClientConn, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- NewBackend().Serve(ctx, listener) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-served; err != nil {
			t.Errorf("the backend stopped with %v", err)
		}
	}
	conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn, stop
}

// within is the test's context with the time that anything here may take at most.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// wantCode fails the test unless err is a status of that code.
func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Fatalf("got %v (%v), want %v", got, err, want)
	}
}

func TestBackendStopEndsStreamsForClientsToComeBack(t *testing.T) {
	conn, stop := startBackend(t)
	ctx := within(t)
	clock, err := demov1.NewClockServiceClient(conn).Watch(ctx, &demov1.ClockServiceWatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clock.Recv(); err != nil {
		t.Fatal(err)
	}
	chat, err := demov1.NewChatServiceClient(conn).Subscribe(ctx, &demov1.SubscribeRequest{RoomId: "quiet"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chat.Header(); err != nil { // a silent room accepts too
		t.Fatal(err)
	}

	stop()

	for {
		if _, err = clock.Recv(); err != nil {
			break
		}
	}
	wantCode(t, err, codes.Unavailable)
	_, err = chat.Recv()
	wantCode(t, err, codes.Unavailable)
}

func TestBackendServesItsHealth(t *testing.T) {
	conn, stop := startBackend(t)
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(within(t), &grpc_health_v1.HealthCheckRequest{
		Service: demov1.ClockService_ServiceDesc.ServiceName,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("got %v, %v; want SERVING", got, err)
	}

	stop()

	if got, err := watch.Recv(); err == nil && got.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Fatalf("got %v; want NOT_SERVING or the stream's end", got)
	}
}

func TestBackendServesReflection(t *testing.T) {
	conn, _ := startBackend(t)
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	got, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, service := range got.GetListServicesResponse().GetService() {
		found[service.GetName()] = true
	}
	for _, want := range []string{
		"ssebridge.demo.v1.ClockService", "ssebridge.demo.v1.ChatService",
		"ssebridge.demo.v1.MetricsService", "ssebridge.demo.v1.TokenService",
	} {
		if !found[want] {
			t.Errorf("%s is not listed", want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

func TestBackendReportsAListenerThatBreaks(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := NewBackend().Serve(t.Context(), listener); err == nil {
		t.Fatal("want an error")
	}
}
