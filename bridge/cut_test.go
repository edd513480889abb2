package bridge_test

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// history is a backend that sends each RPC all messages of its topic, beginning with 1. A topic
// begins with three messages.
type history struct {
	changing

	newest map[string]int64 // number of further messages, by topic
}

func newHistory() *history { return &history{newChanging(), map[string]int64{}} }

// publish adds messages and returns the seq of the newest.
func (h *history) publish(topic string, n int64) (newest int64) {
	h.change(func() {
		h.newest[topic] += n
		newest = 3 + h.newest[topic]
	})
	return newest
}

func (h *history) look(topic string) (newest int64, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return 3 + h.newest[topic], h.changed
}

func (h *history) watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	for seq := int64(1); ; {
		newest, changed := h.look(request.GetTopic())
		for ; seq <= newest; seq++ {
			if err := stream.Send(&testv1.FeedEvent{Seq: seq, Body: &testv1.FeedEvent_Error{Error: "x"}}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// A client's first connection is cut after each byte of its first blocks. It reconnects, and has,
// between two gaps, every message exactly once and in order.
func TestCutAtEveryByte(t *testing.T) {
	for _, route := range []struct {
		name, keys string
		live       bool // a client without an id starts after the newest message
	}{
		{"shared", "share: true", true},
		{"shared, held", "join: held", false},
		{"private", "share: false", false},
		{"cursors", "event: {id: seq}", true},
		{"cursors, held, with names", "event: {id: seq, name: {oneof: body}}, join: held", false},
	} {
		for _, away := range []time.Duration{0, time.Minute} {
			t.Run(fmt.Sprintf("%s, away for %v", route.name, away), func(t *testing.T) {
				inWorld(t, feedRoute("request: {query: true}, "+route.keys), func(t *testing.T, w *world) {
					backend := newHistory()
					w.Stage.watch = backend.watch
					whole := w.listen("/feed?topic=whole", ssetest.Options{})
					length := 0
					for _, event := range whole.AwaitEvents(3) {
						length += len(event.Raw)
					}
					for n := range length + 1 {
						topic := strconv.Itoa(n)
						c := w.listen("/feed?topic="+topic, ssetest.Options{CutAfter: new(int64(n))})
						_ = c.AwaitEnd()
						knew := c.Snapshot().LastEventID != ""
						backend.publish(topic, 1)
						time.Sleep(away)
						c.Reconnect()
						c.AwaitStatus()
						synctest.Wait()
						newest := backend.publish(topic, 1)
						synctest.Wait()
						keepsThePromise(t, c.Snapshot(), knew || !route.live || away > 0, newest)
						if gaps := c.Snapshot().Gaps; gaps > 0 != (knew && away > 0) {
							t.Fatalf("cut after %d bytes: %d gaps\n%s", n, gaps, c.Snapshot())
						}
						c.Close()
					}
				})
			})
		}
	}
}

// The client's id is of another bridge, so its first block is a gap.
func TestCutAtEveryByteOfAGap(t *testing.T) {
	const stranger = "ABCDEFGHIJKLMNOPQRSTUVWXYZ-5"
	onBoth(t, "request: {query: true}", func(t *testing.T, w *world) {
		backend := newHistory()
		w.Stage.watch = backend.watch
		whole := w.listen("/feed?topic=whole", ssetest.Options{LastEventID: stranger})
		events := whole.AwaitEvents(2)
		for n := range len(events[0].Raw) + len(events[1].Raw) + 1 {
			topic := strconv.Itoa(n)
			c := w.listen("/feed?topic="+topic, ssetest.Options{LastEventID: stranger, CutAfter: new(int64(n))})
			_ = c.AwaitEnd()
			c.Reconnect()
			c.AwaitStatus()
			newest := backend.publish(topic, 1)
			synctest.Wait()
			keepsThePromise(t, c.Snapshot(), true, newest)
			if c.Snapshot().Gaps != 1 {
				t.Fatalf("cut after %d bytes: %s", n, c.Snapshot())
			}
			c.Close()
		}
	})
}

// keepsThePromise checks a client's events. The backend begins each RPC with 1, so 1 follows a gap,
// and is the first event of a client that has known its position or found no other client on the
// topic.
func keepsThePromise(t *testing.T, s ssetest.Snapshot, fromTheStart bool, newest int64) {
	t.Helper()
	next := int64(0) // 0: any
	if fromTheStart {
		next = 1
	}
	for _, event := range s.Events {
		switch {
		case event.Name == "stream-gap":
			next = 1
		case event.Control():
		default:
			seq, err := strconv.ParseInt(word(event), 10, 64)
			if err != nil || next != 0 && seq != next {
				t.Fatalf("%s came, want %d\n%s", word(event), next, s)
			}
			next = seq + 1
		}
	}
	if next != newest+1 {
		t.Fatalf("the newest message is %d, want %d\n%s", next-1, newest, s)
	}
}
