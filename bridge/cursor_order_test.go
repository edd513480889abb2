package bridge_test

import (
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// Rule 13a of docs/resuming.md: etcd sends `created` and then, for a compacted revision, a refusal.
// It counts as such, by field or by code, before the first message with a cursor. Behind one it
// ends the stream, or is an event.
func TestACursorIsRefusedBehindAGreeting(t *testing.T) {
	greeting := &testv1.FeedEvent{Kind: "created"}
	compacted := &testv1.FeedEvent{Body: &testv1.FeedEvent_Error{Error: "compacted"}}
	for name, refuse := range map[string]func(stream grpc.ServerStreamingServer[testv1.FeedEvent]) error{
		"by a field": func(stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
			if err := stream.Send(compacted); err != nil {
				return err
			}
			<-stream.Context().Done() // the watch has ended, the RPC has not
			return stream.Context().Err()
		},
		"by a code": func(grpc.ServerStreamingServer[testv1.FeedEvent]) error {
			return status.Error(codes.OutOfRange, "compacted")
		},
	} {
		for _, keys := range []string{"share: false", "share: true", "share: true, join: own", "share: true, resume: {ordered: false}"} {
			t.Run(name+", "+keys, func(t *testing.T) {
				route := feedRoute("event: {id: seq}, " + withResume(keys, "field: after, expired: {field: error}"))
				inWorld(t, route, func(t *testing.T, w *world) {
					w.Stage.watch = func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
						if err := stream.Send(greeting); err != nil {
							return err
						}
						if request.GetAfter() != 0 {
							return refuse(stream)
						}
						if err := stream.Send(&testv1.FeedEvent{Seq: 7}); err != nil {
							return err
						}
						<-stream.Context().Done()
						return stream.Context().Err()
					}
					c := w.listen("/feed", ssetest.Options{LastEventID: "3"})
					time.Sleep(time.Second)
					expect(t, c, `open {"kind":"created"} gap:expired {"kind":"created"} 7`)
				})
			})
		}
	}
	t.Run("behind a cursor", func(t *testing.T) {
		inWorld(t, feedRoute("event: {id: seq}, resume: {field: after, expired: {field: error}}"), func(t *testing.T, w *world) {
			c := w.listen("/feed", ssetest.Options{LastEventID: "3"})
			call := w.rpc()
			if call.Request.GetAfter() == 0 {
				call = w.rpc() // the first RPC is main's
			}
			call.send(greeting, &testv1.FeedEvent{Seq: 4}, compacted)
			call.end(status.Error(codes.OutOfRange, "the end"))
			_ = c.AwaitEnd()
			if got, want := story(c.Snapshot()), `open {"kind":"created"} 4 {"error":"compacted"} error:OUT_OF_RANGE`; got != want {
				t.Errorf("the client saw %s, want %s", got, want)
			}
		})
	})
}

// withResume adds keys of resume to the keys of a route.
func withResume(keys, resume string) string {
	const more = "resume: {"
	for i := range len(keys) - len(more) + 1 {
		if keys[i:i+len(more)] == more {
			return keys[:i+len(more)] + resume + ", " + keys[i+len(more):]
		}
	}
	return keys + ", resume: {" + resume + "}"
}

// This holds for integers and timestamps, on routes whose RPCs have one order.
func TestCursorsThatDecreaseAreAGap(t *testing.T) {
	at := func(seconds int64) *testv1.FeedEvent {
		return &testv1.FeedEvent{Seq: seconds, At: &timestamppb.Timestamp{Seconds: 1_700_000_000 + seconds}}
	}
	for name, route := range map[string]string{
		"integers":   "event: {id: seq}, resume: {field: after",
		"timestamps": "event: {id: at}, resume: {field: kinds.timestamp",
	} {
		for ordered, want := range map[string]string{
			"":                 "open 5 gap:restarted 2 3",
			", ordered: false": "open 5 2 3",
		} {
			t.Run(name+ordered, func(t *testing.T) {
				inWorld(t, feedRoute(route+ordered+"}"), func(t *testing.T, w *world) {
					c := w.listen("/feed", ssetest.Options{})
					call := w.rpc()
					call.send(at(5))
					call.end(status.Error(codes.Unavailable, "a deploy"))
					again := w.rpc()
					if after(again.Request) == 0 {
						t.Fatal("the RPC was not reopened at its cursor")
					}
					again.send(at(2), at(3))
					expect(t, c, want)
				})
			})
		}
	}
}

// A backend like Liftbridge wants different start positions, in one field, from new clients and
// from those that reconnect.
func TestResumeSetOverridesRequestSet(t *testing.T) {
	const route = "event: {id: seq}, request: {set: {kinds.color: COLOR_RED, after: 0, history: true}, query: [kinds.string_value]}, " +
		"resume: {field: after, set: {kinds.color: COLOR_GREEN, kinds.string_value: resumed, history: false}}"
	for _, share := range []string{"share: false", "share: true"} {
		t.Run(share, func(t *testing.T) {
			inWorld(t, feedRoute(share+", "+route), func(t *testing.T, w *world) {
				w.listen("/feed?kinds.string_value=new", ssetest.Options{})
				first := w.rpc()
				first.send(&testv1.FeedEvent{Seq: 41})
				if r := first.Request; r.GetKinds().GetColor() != testv1.Color_COLOR_RED || r.GetKinds().GetStringValue() != "new" || !r.GetHistory() || r.GetAfter() != 0 {
					t.Errorf("a new client asks for %v", r)
				}
				first.end(status.Error(codes.Unavailable, "a deploy"))
				again := w.rpc().Request
				if again.GetKinds().GetColor() != testv1.Color_COLOR_GREEN || again.GetKinds().GetStringValue() != "resumed" || again.GetHistory() || again.GetAfter() != 41 {
					t.Errorf("a stream that resumes asks for %v", again)
				}
			})
		})
	}
}

// If RPCs differ in their order, the cursor's own message need not be the first that is sent again.
// It is left out wherever it comes, and nothing before it is lost.
func TestInclusiveCursorsWithoutOrder(t *testing.T) {
	for _, share := range []string{"share: true", "share: false"} {
		t.Run(share, func(t *testing.T) {
			inWorld(t, feedRoute(share+", event: {id: seq}, resume: {field: after, inclusive: true, ordered: false}"), func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{})
				first := w.rpc()
				first.send(&testv1.FeedEvent{Seq: 3}, &testv1.FeedEvent{Seq: 5})
				first.end(status.Error(codes.Unavailable, "the backend restarts"))
				second := w.rpc()
				if second.Request.GetAfter() != 5 {
					t.Fatalf("opened at %d", second.Request.GetAfter())
				}
				for _, seq := range []int64{9, 5, 7, 8} {
					second.send(&testv1.FeedEvent{Seq: seq})
				}
				expect(t, c, "open 3 5 9 7 8")
			})
		})
	}
}
