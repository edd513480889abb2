package bridge_test

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/bridge"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// silent accepts RPCs and says nothing, not even headers.
type silent struct {
	testv1.UnimplementedFeedServiceServer
	opens atomic.Int32
}

func (s *silent) Watch(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	s.opens.Add(1)
	<-stream.Context().Done()
	return stream.Context().Err()
}

// TestSilentBackendKeepsItsOneRPC runs a real gRPC server and a real HTTP
// server over pipes in memory, so that the minute is one of synctest's.
func TestSilentBackendKeepsItsOneRPC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &silent{}
		pipe := bufconn.Listen(64 << 10)
		server := grpc.NewServer()
		testv1.RegisterFeedServiceServer(server, service)
		go func() { _ = server.Serve(pipe) }()
		conn, err := grpc.NewClient("passthrough:///memory",
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		b, err := bridge.New(parse(t, `
upstreams: {app: {target: "passthrough:///memory"}}
routes: [{path: /feed, rpc: `+watch+`, upstream: app, heartbeat: {every: 7s}}]
`), bridge.Options{
			Logger:      slog.New(slog.DiscardHandler),
			Upstreams:   map[string]grpc.ClientConnInterface{"app": conn},
			Descriptors: map[string]*protoregistry.Files{"app": protoregistry.GlobalFiles},
		})
		if err != nil {
			t.Fatal(err)
		}
		front := bufconn.Listen(64 << 10)
		web := &http.Server{Handler: b}
		go func() { _ = web.Serve(front) }()
		client := &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return front.DialContext(ctx) },
		}}

		began := time.Now()
		response, err := client.Get("http://bridge/feed")
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != 250*time.Millisecond {
			t.Errorf("the first bytes came after %v, want open_grace", waited)
		}
		beats := 0
		lines := bufio.NewScanner(response.Body)
		for time.Since(began) < time.Minute && lines.Scan() {
			if line := lines.Text(); line == ":" {
				beats++
			} else if strings.HasPrefix(line, "event: ") && line != "event: stream-open" {
				t.Errorf("a silent stream said %q", line)
			}
		}
		if opens := service.opens.Load(); opens != 1 || beats < 8 {
			t.Errorf("%d opens and %d heartbeats in a silent minute, want 1 and at least 8", opens, beats)
		}

		_ = response.Body.Close()
		client.CloseIdleConnections()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		_ = web.Close()
		_ = conn.Close()
		server.Stop()
	})
}
