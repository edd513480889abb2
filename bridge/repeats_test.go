package bridge_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// batches is a backend whose messages share cursors. The cursor of a message is its batch, and its kind is its number.
type batches struct {
	changing

	cursors []int64 // the cursors of the messages so far
	down    bool
}

// publish adds messages, each with a cursor.
func (b *batches) publish(cursors ...int64) {
	for _, cursor := range cursors {
		b.change(func() { b.cursors = append(b.cursors, cursor) })
		synctest.Wait()
	}
}

// watch sends the messages after a cursor, or all messages without one.
func (b *batches) watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for next := 0; ; {
		b.mu.Lock()
		cursors, down, changed := b.cursors, b.down, b.changed
		b.mu.Unlock()
		switch {
		case down:
			return status.Error(codes.Unavailable, "a deploy")
		case next == len(cursors):
			select {
			case <-changed:
			case <-stream.Context().Done():
				return stream.Context().Err()
			}
		case cursors[next] <= request.GetAfter():
			next++
		default:
			if err := stream.Send(&testv1.FeedEvent{Seq: cursors[next], Kind: strconv.Itoa(next)}); err != nil {
				return err
			}
			next++
		}
	}
}

// kinds returns the numbers of a client's messages.
func kinds(seen ssetest.Snapshot) string {
	var all []string
	for _, event := range seen.Messages() {
		_, rest, _ := strings.Cut(event.Data, `"kind":"`)
		kind, _, _ := strings.Cut(rest, `"`)
		all = append(all, kind)
	}
	return strings.Join(all, " ")
}

// With `cursor: unique`, a client that is cut between two messages of one cursor loses the second.
// The bridge logs the first such pair, and from then on nothing is lost, whatever fails.
func TestRepeatedCursorsAreDetected(t *testing.T) {
	for _, keys := range []string{"share: true", "share: false", "share: true, join: own", "share: true, resume: {ordered: false}", "share: true, resume: {inclusive: true}"} {
		for seed := range uint64(6) {
			t.Run(keys+"/"+strconv.FormatUint(seed, 10), func(t *testing.T) {
				route := feedRoute("event: {id: seq}, replay: {events: 2, linger: 5s}, " + withResume(keys, "field: after"))
				inWorld(t, route, func(t *testing.T, w *world) {
					random := rand.New(rand.NewPCG(seed, 1))
					b := &batches{changing: newChanging()}
					w.Stage.watch = b.watch
					if strings.Contains(keys, "inclusive") {
						w.Stage.watch = func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
							request.After--
							return b.watch(request, stream)
						}
					}
					c := w.listen("/feed", ssetest.Options{})
					b.publish(1, 1, 2)
					want := []string{"0", "1", "2"}
					open := true
					for cursor := int64(2); len(want) < 60; {
						switch random.IntN(6) {
						case 0:
							if open {
								c.Close()
								open = false
							}
						case 1:
							if random.IntN(2) == 0 {
								time.Sleep(time.Duration(random.IntN(8)) * time.Second) // its topic may have ended
							}
							if !open || c.Snapshot().Ended != nil { // a burst makes the client lag
								c.Reconnect()
								open = true
							}
						case 2:
							b.change(func() { b.down = true })
							synctest.Wait()
							b.change(func() { b.down = false })
							time.Sleep(time.Second)
						default:
							cursor += random.Int64N(2)
							b.publish(cursor)
							want = append(want, strconv.Itoa(len(want)))
						}
						synctest.Wait()
					}
					for range 10 {
						if !open || c.Snapshot().Ended != nil {
							c.Reconnect()
							open = true
						}
						time.Sleep(10 * time.Second)
						synctest.Wait()
					}
					if got := kinds(c.Snapshot()); got != strings.Join(want, " ") || c.Snapshot().Gaps > 0 {
						t.Fatalf("got %s\n%s", got, c.Snapshot())
					}
					if n := strings.Count(w.Logged.String(), "write event.cursor: repeats"); n != 1 {
						t.Errorf("the warning was logged %d times", n)
					}
					if n := scrape(t, w.Bridge)[`ssebridge_repeated_cursors_total{route="/feed"}`]; n < 1 {
						t.Errorf("%v cursors are counted", n)
					}
				})
			})
		}
	}
}
