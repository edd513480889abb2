package bridge_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// The rules of docs/resuming.md that package bridge implements. bridge/internal/topic tests the others.

// The gap has the cursor of the frame before the next one. A position could be served by this log only.
func TestRule2TheGapOfALaggingClient(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, slow_client: skip, replay: {events: 3}"), func(t *testing.T, w *world) {
		w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.accept()
		open := make(chan struct{})
		slow := w.listenShut("/feed", ssetest.Options{}, open)
		for seq := range int64(40) {
			rpc.send(&testv1.FeedEvent{Seq: seq + 1, Kind: strings.Repeat("x", 32<<10)})
			synctest.Wait()
		}
		close(open)
		synctest.Wait()
		seen := slow.Snapshot()
		if got := story(seen); !strings.HasSuffix(got, " gap:lagged 38 39 40") {
			t.Fatalf("the slow client saw %s", got)
		}
		if gap := seen.Events[len(seen.Events)-4]; gap.ID != "37" {
			t.Errorf("the gap has the id %q", gap.ID)
		}
	})
}

// A catch-up's log is full of frames that its client already has and is not sent.
func TestRule10FramesThatTheClientHasAreNotRetained(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}, replay: {events: 3}"), func(t *testing.T, w *world) {
		w.Stage.watch = func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
			if request.GetAfter() == 1 {
				for _, seq := range []int64{0, 0, 0, 0, 2, 0, 3} {
					if err := stream.Send(&testv1.FeedEvent{Seq: seq, Kind: "k"}); err != nil {
						return err
					}
				}
			}
			<-stream.Context().Done()
			return stream.Context().Err()
		}
		c := w.listen("/feed", ssetest.Options{LastEventID: "1~4"})
		expect(t, c, `open 2 {"kind":"k"} 3`)
	})
}
