package bridge_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// Rule 5a of docs/resuming.md: a client is cut anywhere in a snapshot that is longer than the log,
// and reconnects to the same bridge. It continues without a loss, or is sent a gap and the snapshot
// from its beginning.
func TestASnapshotIsNeverResumedInItsMiddle(t *testing.T) {
	const snapshot = 40
	for _, keys := range []string{"share: true, join: own", "share: false"} {
		for _, h2c := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, h2c %v", keys, h2c), func(t *testing.T) {
				restarted := 0
				inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}, replay: {events: 3}, "+keys), func(t *testing.T, w *world) {
					w.Stage.watch = func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
						for i := range snapshot {
							if request.GetAfter() != 0 {
								break
							}
							if err := stream.Send(&testv1.FeedEvent{Kind: strconv.Itoa(i)}); err != nil {
								return err
							}
						}
						for seq := max(request.GetAfter(), snapshot-1) + 1; seq < snapshot+5; seq++ {
							if err := stream.Send(&testv1.FeedEvent{Seq: seq, Kind: strconv.FormatInt(seq, 10)}); err != nil {
								return err
							}
						}
						<-stream.Context().Done()
						return stream.Context().Err()
					}
					for cut := 50; cut < 2000; cut += 97 {
						c := w.listen("/feed", ssetest.Options{H2C: h2c, CutAfter: new(int64(cut))})
						_ = c.AwaitEnd()
						c.Reconnect()
						time.Sleep(time.Second)
						synctest.Wait()
						restarted += checkSnapshot(t, c.Snapshot(), snapshot+5)
						c.Close()
						time.Sleep(time.Minute) // its topics have ended
					}
				})
				// On HTTP/1.1 the buffers between bridge and client are small, so few events can be lost.
				if restarted == 0 && h2c {
					t.Error("no written byte was lost, so the test shows nothing")
				}
			})
		}
	}
}

// checkSnapshot checks that a client has the numbers up to last, in order, and from 0 again behind
// a gap. It returns the number of gaps.
func checkSnapshot(t *testing.T, seen ssetest.Snapshot, last int) int {
	t.Helper()
	next, gaps := 0, 0
	for _, event := range seen.Events {
		if event.Name == "stream-gap" {
			next = 0
			gaps++
		}
		_, rest, isMessage := strings.Cut(event.Data, `"kind":"`)
		if !isMessage {
			continue
		}
		if kind, _, _ := strings.Cut(rest, `"`); kind != strconv.Itoa(next) {
			t.Fatalf("got %s, want %d\n%s", kind, next, seen)
		}
		next++
	}
	if next != last {
		t.Fatalf("got all up to %d\n%s", next-1, seen)
	}
	return gaps
}
