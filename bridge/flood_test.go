package bridge_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// It opens streams of ever new keys, waits for each to be accepted and resets it. Few RPCs are left
// running, and other clients are served.
func TestAnHTTP2ClientThatResetsAcceptedStreamsIsLimited(t *testing.T) {
	for _, share := range []bool{true, false} {
		t.Run(fmt.Sprintf("share %t", share), func(t *testing.T) {
			inWorld(t, feedRoute(fmt.Sprintf("share: %t, event: {id: seq}, resume: {field: after}, request: {query: true}", share)), func(t *testing.T, w *world) {
				w.Stage.watch = func(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
					if err := stream.Send(&testv1.FeedEvent{Seq: 1}); err != nil {
						return err
					}
					<-stream.Context().Done()
					return stream.Context().Err()
				}
				for i := range 400 {
					ctx, reset := context.WithCancel(t.Context())
					request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://bridge/feed?topic=t%d", i), http.NoBody)
					if err != nil {
						t.Fatal(err)
					}
					response, err := w.http2.RoundTrip(request)
					if err != nil {
						t.Fatal(err)
					}
					if response.StatusCode != http.StatusOK {
						t.Fatalf("answered %d", response.StatusCode)
					}
					reset()
					_ = response.Body.Close()
					synctest.Wait()
				}
				const burst, slack = 100, 2
				if opens := w.Stage.opens.Load(); opens > burst+slack {
					t.Errorf("%d RPCs were opened", opens)
				}
				if running := w.Stage.running.Load(); running > burst+slack {
					t.Errorf("%d RPCs run", running)
				}
				newcomer := w.listen("/feed?topic=new", ssetest.Options{})
				newcomer.AwaitMessages(1)
				time.Sleep(time.Minute)
				if running := w.Stage.running.Load(); running != 1 {
					t.Errorf("%d RPCs run a minute later", running)
				}
			})
		})
	}
}
