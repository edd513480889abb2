package bridge_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

func TestWithoutShareEachClientHasItsOwnRPC(t *testing.T) {
	inWorld(t, feedRoute("share: false"), func(t *testing.T, w *world) {
		one := w.listen("/feed", ssetest.Options{})
		first := w.rpc()
		two := w.listen("/feed", ssetest.Options{})
		second := w.rpc()
		first.count(1, 2)
		second.count(7, 7)
		expect(t, one, "open 1 2")
		expect(t, two, "open 7")
	})
}

// Without an id the client cannot return to it.
func TestAPrivateRPCWithoutIDsEndsWithItsClient(t *testing.T) {
	inWorld(t, feedRoute(`share: false, event: {id: ""}`), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{NoIDs: true})
		rpc := w.rpc()
		rpc.count(1, 2)
		expect(t, c, "1 2")
		c.Close()
		left := time.Now()
		<-rpc.Gone
		if waited := time.Since(left); waited != 0 {
			t.Errorf("the RPC was cancelled after %v, want at once", waited)
		}
	})
}

// It finds the topic by the epoch in its id, and misses nothing. A client with another id, or none, does not find it.
func TestAClientReturnsToItsPrivateTopic(t *testing.T) {
	inWorld(t, feedRoute("share: false, request: {query: true}, methods: [GET, POST], replay: {linger: 30s}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 2)
		expect(t, c, "open 1 2")
		c.Close()
		time.Sleep(29 * time.Second)
		rpc.count(3, 3)
		c.Reconnect()
		expect(t, c, "open 1 2 open 3")
		w.noRPC()

		// The same position by POST is the same request, so it is the same client.
		post := w.listen("/feed", ssetest.Options{Method: http.MethodPost, LastEventID: c.Snapshot().Events[1].ID})
		expect(t, post, "open 2 3")
		w.noRPC()

		other := w.listen("/feed?topic=x", ssetest.Options{LastEventID: c.Snapshot().LastEventID})
		w.rpc().count(9, 9)
		expect(t, other, "gap:forgotten 9")

		c.Close()
		post.Close()
		<-rpc.Gone
		c.Reconnect()
		w.rpc().count(1, 1)
		expect(t, c, "open 1 2 open 3 gap:forgotten 1")
	})
}

// flood is a backend that sends as fast as it can.
type flood struct{ sent atomic.Int64 }

const floodBytes = 8 << 10 // size of each message

func (f *flood) watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	ballast := strings.Repeat("x", floodBytes)
	for seq := int64(1); seq <= int64(request.GetLimit()); seq++ {
		if err := stream.Send(&testv1.FeedEvent{Seq: seq, Kind: ballast}); err != nil {
			return err
		}
		f.sent.Store(seq)
	}
	return nil
}

// Memory is bounded, and no message is dropped.
func TestASlowPrivateClientStopsItsBackendByFlowControl(t *testing.T) {
	for _, replay := range []string{"bytes: 64KiB", "events: 8"} {
		t.Run(replay, func(t *testing.T) {
			inWorld(t, feedRoute("share: false, write_timeout: 1h, request: {set: {limit: 400}}, replay: {"+replay+"}"), func(t *testing.T, w *world) {
				backend := &flood{}
				w.Stage.watch = backend.watch
				open := make(chan struct{})
				c := w.listenShut("/feed", ssetest.Options{}, open)
				time.Sleep(time.Second)
				synctest.Wait()
				stopped := backend.sent.Load()
				// The log, HTTP/2's window and grpc-go's queue have 64 KiB each; the rest are the
				// buffers of both transports. The backend has 3 MiB to send.
				if most := int64((512 << 10) / floodBytes); stopped > most || stopped < 10 {
					t.Errorf("the backend sent %d messages, want it stopped before %d", stopped, most)
				}
				time.Sleep(50 * time.Minute)
				if sent := backend.sent.Load(); sent != stopped {
					t.Errorf("the backend went on from %d to %d", stopped, sent)
				}
				close(open)
				endedWell(t, c)
				messages := c.Snapshot().Messages()
				if len(messages) != 400 || c.Snapshot().Gaps > 0 {
					t.Fatalf("%d of 400 messages and %d gaps", len(messages), c.Snapshot().Gaps)
				}
				for i, message := range messages {
					if got := "EPOCH-" + word(message); canonical(message.ID) != got || !strings.HasPrefix(message.Data, `{"seq":"`+word(messages[i])+`"`) {
						t.Fatalf("message %d is %s %s", i, message.ID, word(message))
					}
				}
			})
		})
	}
}

// The client misses nothing.
func TestThePumpOfAPrivateTopicStopsWhileItsClientIsAway(t *testing.T) {
	inWorld(t, feedRoute("share: false, request: {set: {limit: 1000}}, replay: {events: 8}"), func(t *testing.T, w *world) {
		backend := &flood{}
		gone := make(chan struct{})
		w.Stage.watch = func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
			if err := stream.SendHeader(nil); err != nil {
				return err
			}
			<-gone
			return backend.watch(request, stream)
		}
		c := w.listen("/feed", ssetest.Options{})
		expect(t, c, "open")
		c.Close()
		synctest.Wait()
		close(gone)
		synctest.Wait()
		stopped := backend.sent.Load()
		time.Sleep(29 * time.Second)
		if sent := backend.sent.Load(); sent != stopped || sent > 512<<10/floodBytes {
			t.Errorf("without a client the backend sent %d messages, and then %d", stopped, sent)
		}
		c.Reconnect()
		endedWell(t, c)
		if seen := c.Snapshot(); len(seen.Messages()) != 1000 || seen.Gaps > 0 {
			t.Errorf("%d of 1000 messages and %d gaps", len(seen.Messages()), seen.Gaps)
		}
		keepsThePromise(t, c.Snapshot(), true, 1000)
	})
}

// It has every message, or a gap.
func TestAPrivateClientIsCutUnderLoad(t *testing.T) {
	for _, replay := range []string{"events: 10", "events: 300", "bytes: 16KiB"} {
		t.Run(replay, func(t *testing.T) {
			inWorld(t, feedRoute("share: false, request: {set: {limit: 500}}, replay: {"+replay+"}"), func(t *testing.T, w *world) {
				w.Stage.watch = (&flood{}).watch
				c := w.listen("/feed", ssetest.Options{CutAfter: new(int64(123_456))})
				for i := range int64(20) {
					_ = c.AwaitEnd()
					c.CutNext(100_003 + 777*i)
					c.Reconnect()
				}
				_ = c.AwaitEnd()
				if c.Snapshot().Status == http.StatusOK {
					c.Reconnect()
					_ = c.AwaitEnd()
				}
				last, exact := 0, true
				for _, event := range c.Snapshot().Events {
					var seq int
					switch _, err := fmt.Sscan(word(event), &seq); {
					case event.Name == "stream-gap":
						exact = false
					case event.Control():
					case err != nil || exact && seq != last+1 || seq <= last:
						t.Fatalf("%s came after %d", word(event), last)
					default:
						last, exact = seq, true
					}
				}
				if last != 500 || !strings.HasSuffix(c.Snapshot().LastEventID, "~end") {
					t.Errorf("the newest message is %d of 500, the id %q", last, c.Snapshot().LastEventID)
				}
			})
		})
	}
}

func TestAStalledClientDoesNotDisturbOthers(t *testing.T) {
	inWorld(t, feedRoute("request: {set: {limit: 300}}"), func(t *testing.T, w *world) {
		backend := &flood{}
		w.Stage.watch = backend.watch
		open := make(chan struct{})
		stalled := w.listenShut("/feed", ssetest.Options{}, open)
		began := time.Now()
		c := w.listen("/feed?last_event_id=", ssetest.Options{})
		endedWell(t, c)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the other clients waited %v", took)
		}
		close(open)
		endedWell(t, stalled) // within write_timeout the log still has all frames
		keepsThePromise(t, stalled.Snapshot(), true, 300)
	})
}
