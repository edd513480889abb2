package bridge_test

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// The RPC at a client's cursor is accepted and sends nothing, and main, which has opened meanwhile,
// has the cursor in its log. The client is answered from main at once, and does not wait for
// open_grace.
func TestAClientOfAMergedCatchUpIsAnsweredAtOnce(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}, open_grace: 20s"), func(t *testing.T, w *world) {
		begin := make(chan struct{})
		w.Stage.watch = func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
			if err := stream.SendHeader(nil); err != nil {
				return err
			}
			if request.GetAfter() == 0 {
				<-begin
				for seq := range int64(3) {
					if err := stream.Send(&testv1.FeedEvent{Seq: seq + 1}); err != nil {
						return err
					}
				}
			}
			<-stream.Context().Done()
			return stream.Context().Err()
		}
		c := w.listen("/feed", ssetest.Options{LastEventID: "1"})
		time.Sleep(time.Second)
		close(begin)
		synctest.Wait()
		time.Sleep(time.Second)
		expect(t, c, "open 2 3")
	})
}
