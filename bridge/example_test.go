package bridge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/test/bufconn"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
)

// A bridge is an http.Handler. Here it shares a mux, and a middleware, with the program's own
// pages, and runs in the same process as the gRPC server that it bridges.
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

	// To stop: ask the clients to reconnect, shut the server down, close the bridge.
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

// A reload replaces the whole configuration, or nothing if there is an error in it.
func ExampleBridge_Reload() {
	backend, conn := inProcess()
	defer backend.Stop()
	defer func() { _ = conn.Close() }()

	cfg := config.Config{
		Upstreams: map[string]config.Upstream{"app": {}},
		Routes:    []config.Route{{Path: "/health", RPC: "grpc.health.v1.Health/Watch", Upstream: "app"}},
	}
	b, err := bridge.New(cfg, bridge.Options{
		Logger:    slog.New(slog.DiscardHandler),
		Upstreams: map[string]grpc.ClientConnInterface{"app": conn},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = b.Close() }()

	cfg.Routes = append(cfg.Routes, config.Route{Path: "/check", RPC: "grpc.health.v1.Health/Check", Upstream: "missing", Safe: true})
	var wrong config.Errors
	if err := b.Reload(cfg); errors.As(err, &wrong) {
		fmt.Println("refused because of", wrong[0].Path)
	}
	cfg.Routes[1].Upstream = "app"
	if err := b.Reload(cfg); err != nil {
		fmt.Println(err)
	}

	answer := httptest.NewRecorder()
	b.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/check", http.NoBody))
	fmt.Print(answer.Body)
	fmt.Println(b.Reloads().OK, "ok,", b.Reloads().Failed, "failed")
	// Output:
	// refused because of routes[1].upstream
	// {"status":"SERVING"}
	// 1 ok, 1 failed
}

// A program with one bridge registers the collector itself; with several it adds a label for
// each.
func ExampleBridge_Collector() {
	b, err := bridge.New(config.Config{
		Upstreams: map[string]config.Upstream{"app": {Target: "localhost:50051"}},
		Routes:    []config.Route{{Path: "/health", RPC: "grpc.health.v1.Health/Watch", Upstream: "app"}},
	}, bridge.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = b.Close() }()

	registry := prometheus.NewRegistry()
	prometheus.WrapRegistererWith(prometheus.Labels{"bridge": "public"}, registry).MustRegister(b.Collector())
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})

	answer := httptest.NewRecorder()
	metrics.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "ssebridge_clients_limit") {
			fmt.Print(line)
		}
	}
	// Output:
	// ssebridge_clients_limit{bridge="public"} 10000
}

// A ready connection replaces an upstream's target. This one leads to a gRPC server in the
// same process.
func ExampleOptions_upstreams() {
	backend := grpc.NewServer()
	defer backend.Stop()
	healthv1.RegisterHealthServer(backend, health.NewServer())
	reflection.Register(backend) // the bridge reads the schema by reflection
	listener := bufconn.Listen(64 << 10)
	go func() { _ = backend.Serve(listener) }()

	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }() // the bridge does not close it

	b, err := bridge.New(config.Config{
		Upstreams: map[string]config.Upstream{"app": {}},
		Routes:    []config.Route{{Path: "/check", RPC: "grpc.health.v1.Health/Check", Upstream: "app", Safe: true}},
	}, bridge.Options{
		Logger:    slog.New(slog.DiscardHandler),
		Upstreams: map[string]grpc.ClientConnInterface{"app": conn},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = b.Close() }()

	answer := httptest.NewRecorder()
	b.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/check", http.NoBody))
	fmt.Print(answer.Code, " ", answer.Body)
	// Output:
	// 200 {"status":"SERVING"}
}

// withServerName is a middleware.
func withServerName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", "the program")
		next.ServeHTTP(w, r)
	})
}

// inProcess runs a gRPC server that listens in memory, and returns a connection to it.
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
