package bridge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/test/bufconn"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
)

// A bridge is an http.Handler: it stands in a mux, behind middleware, beside
// the program's own pages, and here even in the same process as the gRPC
// server that it bridges.
func Example() {
	backend, conn := inProcess()
	defer backend.Stop()
	defer func() { _ = conn.Close() }()

	b, err := bridge.New(config.Config{
		Drain:     config.Drain{Delay: new(config.Duration(0)), Grace: new(config.Duration(0))},
		Upstreams: map[string]config.Upstream{"app": {}},
		Routes: []config.Route{{
			Path:     "/health",
			RPC:      "grpc.health.v1.Health/Watch",
			Upstream: "app",
			Event:    config.Event{Name: config.EventName{Field: "status"}},
		}},
	}, bridge.Options{
		Logger:    slog.New(slog.DiscardHandler),
		Upstreams: map[string]grpc.ClientConnInterface{"app": conn},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	mux := http.NewServeMux()
	mux.Handle("/streams/", http.StripPrefix("/streams", b))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the program's own page") })
	server := httptest.NewServer(withServerName(mux))

	response, err := http.Get(server.URL + "/streams/health")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(response.Header.Get("Content-Type"), "by", response.Header.Get("X-Served-By"))
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), `data: {"status"`) {
	}
	fmt.Println(lines.Text())

	// To stop: tell the clients, shut the server down, close the bridge.
	if err := b.Drain(context.Background()); err != nil {
		fmt.Println(err)
	}
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event: ") {
			fmt.Println(lines.Text())
		}
	}
	_ = response.Body.Close()
	if err := server.Config.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	if err := b.Close(); err != nil {
		fmt.Println(err)
	}
	server.Close()
	// Output:
	// text/event-stream by the program
	// data: {"status":"SERVING"}
	// event: stream-retry
}

// withServerName is a middleware of the program's own.
func withServerName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", "the program")
		next.ServeHTTP(w, r)
	})
}

// inProcess runs a gRPC server whose only listener is a pipe in memory.
func inProcess() (*grpc.Server, *grpc.ClientConn) {
	listener := bufconn.Listen(64 << 10)
	backend := grpc.NewServer()
	healthv1.RegisterHealthServer(backend, health.NewServer())
	reflection.Register(backend)
	go func() { _ = backend.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	return backend, conn
}
