package bridge_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// A page that reconnects after hours is sent max_events of the missed events, from the log or by an
// RPC at its cursor, and then a gap and live events. No alert fires.
func TestResumeMaxEvents(t *testing.T) {
	for _, test := range []struct {
		name, keys, id, want string
	}{
		{"within the bound", "", "37", "open 38 39 40"},
		{"by an RPC", "", "1", "open 2 3 4 5 6 gap:expired"},
		{"by an RPC, and then a snapshot", "join: own, request: {set: {history: true}}, ", "1", "open 2 3 4 5 6 gap:expired 31 32 33 34 35 36 37 38 39 40"},
	} {
		t.Run(test.name, func(t *testing.T) {
			route := "share: true, " + test.keys + "event: {id: seq}, resume: {field: after, max_events: 5}"
			inWorld(t, feedRoute(route), func(t *testing.T, w *world) {
				time.Sleep(time.Hour)
				w.backend().snapshot = 10
				w.backend().publish(40)
				c := w.listen("/feed", ssetest.Options{LastEventID: test.id})
				time.Sleep(time.Second)
				expect(t, c, test.want)
				if gaps := gapsOf(t, w.Bridge); strings.Contains(gaps, "stream") {
					t.Errorf("counted %q", gaps)
				}
				before := len(c.Snapshot().Messages())
				w.backend().publish(8) // a client that is connected has no such bound
				time.Sleep(time.Second)
				if n := len(c.Snapshot().Messages()) - before; n != 8 || c.Snapshot().Gaps > 1 {
					t.Errorf("of 8 more events the client got %d: %s", n, story(c.Snapshot()))
				}
			})
		})
	}
	t.Run("by log", func(t *testing.T) {
		inWorld(t, feedRoute("share: true, event: {id: seq}, resume: {field: after, max_events: 5}"), func(t *testing.T, w *world) {
			w.backend()
			w.listen("/feed", ssetest.Options{})
			w.backend().publish(40)
			near, far := w.listen("/feed", ssetest.Options{LastEventID: "35"}), w.listen("/feed", ssetest.Options{LastEventID: "34"})
			w.backend().publish(1)
			expect(t, near, "open 36 37 38 39 40 41")
			expect(t, far, "gap:expired 41")
			expectGaps(t, w.Bridge, "expired client/client 1")
		})
	})
}

// A cursor older than max_age is not resumed at, on any kind of route. Cursors other than
// timestamps have no age, so the key is refused for them.
func TestResumeMaxAge(t *testing.T) {
	for _, share := range []string{"share: true", "share: false", "share: true, join: own"} {
		t.Run(share, func(t *testing.T) {
			inWorld(t, feedRoute(share+", event: {id: at}, resume: {field: kinds.timestamp, max_age: 1h}"), func(t *testing.T, w *world) {
				asked := make(chan *testv1.WatchRequest, 100)
				w.Stage.watch = func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
					asked <- request
					for seq := int64(1); ; seq++ {
						if err := stream.Send(&testv1.FeedEvent{Seq: seq, At: timestamppb.Now()}); err != nil {
							return err
						}
						waitFor(stream.Context(), time.Hour)
						if err := stream.Context().Err(); err != nil {
							return err
						}
					}
				}
				c := w.listen("/feed", ssetest.Options{})
				expect(t, c, "open 1")
				id := c.Snapshot().LastEventID
				time.Sleep(61 * time.Minute)
				old := w.listen("/feed", ssetest.Options{LastEventID: id})
				synctest.Wait()
				if got := story(old.Snapshot()); !strings.HasPrefix(got, "gap:expired") {
					t.Errorf("the client saw %s", got)
				}
				for range len(asked) {
					if request := <-asked; request.GetKinds().GetTimestamp() != nil {
						t.Errorf("the backend was asked for %v", request)
					}
				}
				recent := w.listen("/feed", ssetest.Options{LastEventID: time.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano)})
				synctest.Wait()
				if got := story(recent.Snapshot()); !strings.HasPrefix(got, "open") {
					t.Errorf("within the bound the client saw %s", got)
				}
			})
		})
	}
	for _, share := range []string{"share: true", "share: false", "share: true, join: own"} {
		t.Run("a quiet stream, "+share, func(t *testing.T) {
			inWorld(t, feedRoute(share+", event: {id: at}, resume: {field: kinds.timestamp, max_age: 1h}"), func(t *testing.T, w *world) {
				w.Stage.watch = func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
					if request.GetKinds().GetTimestamp() == nil {
						if err := stream.Send(&testv1.FeedEvent{Seq: 1, At: timestamppb.Now()}); err != nil {
							return err
						}
					}
					<-stream.Context().Done()
					return stream.Context().Err()
				}
				c := w.listen("/feed", ssetest.Options{})
				expect(t, c, "open 1")
				time.Sleep(2 * time.Hour)
				id := c.Snapshot().LastEventID
				early := w.listen("/feed", ssetest.Options{LastEventID: id})
				synctest.Wait()
				expect(t, early, "open") // its last event is old, but it has missed none; its old connection may still seem alive
				early.Close()
				c.Close()
				synctest.Wait() // both clients have left
				back := w.listen("/feed", ssetest.Options{LastEventID: id})
				synctest.Wait()
				expect(t, back, "open")
			})
		})
	}
	t.Run("integers", func(t *testing.T) {
		_, err := bridge.New(parse(t, "upstreams: {app: {target: 'localhost:1'}}\n"+feedRoute("event: {id: seq}, resume: {field: after, max_age: 1h}")),
			bridge.Options{Descriptors: map[string]*protoregistry.Files{"app": protoregistry.GlobalFiles}})
		if !errors.As(err, new(config.Errors)) || !strings.Contains(err.Error(), "resume.max_age: needs cursors that are google.protobuf.Timestamp, and after is an integer; write max_events instead") {
			t.Errorf("got %v", err)
		}
	})
}

func TestIDsThatCannotBeCursorsAreRefusedWhenLoading(t *testing.T) {
	for _, test := range []struct{ id, field, want string }{
		{"at", "after", "resume.field: after is an integer, and event.id at is a google.protobuf.Timestamp, which is never a value of it"},
		{"seq", "kinds.timestamp", "kinds.timestamp is a google.protobuf.Timestamp, and event.id seq is an integer"},
		{"token", "after", "after is an integer, and event.id token is bytes"},
		{"seq", "kinds.string_value", ""},
		{"cursor", "after", ""},
		{"token", "kinds.bytes_value", ""},
	} {
		b, err := bridge.New(parse(t, "upstreams: {app: {target: 'localhost:1'}}\n"+feedRoute("event: {id: "+test.id+"}, resume: {field: "+test.field+"}")),
			bridge.Options{Descriptors: map[string]*protoregistry.Files{"app": protoregistry.GlobalFiles}})
		if b != nil {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, %s: got %v", test.id, test.field, err)
		}
	}
}
