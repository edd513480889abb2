package bridge_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// Live messages would wait for the messages of a replay. An RPC that is reopened after a failure is not a replay.
func TestReplaysUseAnotherConnectionThanLiveRPCs(t *testing.T) {
	b := backend(t)
	fails := make(chan struct{})
	b.OnWatch(func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
		p, _ := peer.FromContext(stream.Context())
		if err := stream.Send(&testv1.FeedEvent{Seq: request.GetAfter() + 1, Kind: p.Addr.String()}); err != nil {
			return err
		}
		select {
		case <-fails:
			return status.Error(codes.Unavailable, "away")
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	})
	keys := ", rpc: " + watch + ", upstream: app, request: {query: true}, event: {id: seq}, resume: {field: after}}\n"
	g := start(t, b.Target(), "  - {path: /shared, share: true"+keys+"  - {path: /private"+keys)

	kind := func(c *ssetest.Client, n int) string {
		t.Helper()
		_, after, _ := strings.Cut(c.AwaitMessages(n)[n-1].Data, `"kind":"`)
		addr, _, _ := strings.Cut(after, `"`)
		return addr
	}
	live := ssetest.Connect(t, g.URL+"/shared", ssetest.Options{})
	shared := kind(live, 1)
	private := ssetest.Connect(t, g.URL+"/private?topic=new", ssetest.Options{})
	if kind(private, 1) != shared {
		t.Error("two RPCs that are live have two connections")
	}
	b.AwaitRunning(2)
	caught := ssetest.Connect(t, g.URL+"/shared", ssetest.Options{LastEventID: "1000"})
	back := ssetest.Connect(t, g.URL+"/private?topic=back", ssetest.Options{LastEventID: "500"})
	own := kind(caught, 1)
	if own == shared {
		t.Error("a catch-up shares a connection with live RPCs")
	}
	if kind(back, 1) != own {
		t.Error("a private replay does not share the connection of other replays")
	}
	b.AwaitRunning(4)
	for range 4 {
		fails <- struct{}{}
	}
	for name, c := range map[string]*ssetest.Client{"main": live, "a private stream": private, "a private stream that was a replay": back} {
		if kind(c, 2) != shared {
			t.Errorf("%s is reopened on the connection of replays", name)
		}
	}
	if kind(caught, 2) != own {
		t.Error("a catch-up is reopened on the connection of live RPCs")
	}
}
