package bridge_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// endedWell checks that a body has ended cleanly.
func endedWell(t *testing.T, c *ssetest.Client) {
	t.Helper()
	if err := c.AwaitEnd(); err != io.EOF { //nolint:errorlint // exactly that is a clean end
		t.Fatalf("the stream ended with %v\n%s", err, c.Snapshot())
	}
}

// The last block has a final id. A GET with it is answered 204, which makes an EventSource stop.
func TestTheFinalIDIsAnswered204(t *testing.T) {
	for _, test := range []struct {
		name, keys string
		messages   int64
		err        error
		last, id   string
	}{
		{"positions", "retry: 3s", 2, nil, "stream-end", "EPOCH-2~end"},
		{"nothing", "retry: 3s", 0, nil, "stream-end", "EPOCH-0~end"},
		{"cursors", "event: {id: seq}", 2, nil, "stream-end", "2~end"},
		{"no cursor", "event: {id: seq}", 0, nil, "stream-end", "~EPOCH-0~end"},
		{"no ids", `event: {id: ""}`, 2, nil, "stream-end", "~end"},
		{"private", "share: false", 2, nil, "stream-end", "EPOCH-2~end"},
		{"failed", "retry: 3s", 2, status.Error(codes.NotFound, "closed"), "stream-error", "EPOCH-2~end"},
		{"failed, cursors", "event: {id: seq}", 2, status.Error(codes.NotFound, "closed"), "stream-error", "2~end"},
		{"failed, no ids", `event: {id: ""}`, 2, status.Error(codes.Aborted, "closed"), "stream-error", "~end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, feedRoute("methods: [GET, POST], "+test.keys), func(t *testing.T, w *world) {
				noIDs := strings.Contains(test.keys, `id: ""`)
				c := w.listen("/feed", ssetest.Options{NoIDs: noIDs})
				rpc := w.rpc()
				rpc.accept()
				c.AwaitStatus()
				rpc.count(1, test.messages)
				rpc.end(test.err)
				endedWell(t, c)
				seen := c.Snapshot()
				if last := seen.Events[len(seen.Events)-1]; last.Name != test.last || canonical(seen.LastEventID) != test.id {
					t.Errorf("ended by %s with the id %q, want %s and %q", last.Name, seen.LastEventID, test.last, test.id)
				}

				for range 2 { // a browser reconnects once; a client that does so again is answered alike
					c.Reconnect()
					_ = c.AwaitEnd()
					if got := c.Snapshot(); got.Status != http.StatusNoContent || got.Body != "" {
						t.Errorf("the final id is answered %d %q", got.Status, got.Body)
					}
				}
				if got := w.do(http.MethodGet, "/feed?last_event_id="+seen.LastEventID, ""); got.Status != http.StatusNoContent {
					t.Errorf("the final id in the query is answered %d", got.Status)
				}

				// A client that uses fetch has no such rule. It is answered in band.
				post := w.listen("/feed", ssetest.Options{Method: http.MethodPost, NoIDs: noIDs, LastEventID: seen.LastEventID})
				endedWell(t, post)
				want := "open end"
				if noIDs {
					want = "end"
				}
				if got := post.Snapshot(); story(got) != want || canonical(got.LastEventID) != test.id {
					t.Errorf("POST with the final id: %s", got)
				}
				w.noRPC()
			})
		})
	}
}

// An id that only has the suffix of a final one is answered like any other that no bridge wrote.
func TestForgedFinalIDsAreGaps(t *testing.T) {
	for _, id := range []string{
		"~end", "x~end", "%~end", "~0~end", "~end~end", "5~ABC~end", strings.Repeat("y", 8000) + "~end", sse.FinalID(strings.Repeat("y", 8000)), "6" + sse.FinalID("5"),
	} {
		t.Run(id[:min(len(id), 20)], func(t *testing.T) {
			onBoth(t, "methods: [GET, POST]", func(t *testing.T, w *world) {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					c := w.listen("/feed", ssetest.Options{Method: method, LastEventID: id})
					w.Stage.take()
					c.AwaitEvents(1)
					expect(t, c, "gap:forgotten")
				}
			})
		})
	}
}

// A client that has it has seen the end.
func TestDoneFollowsOnlyOK(t *testing.T) {
	inWorld(t, feedRoute(`done: "[DONE]"`), func(t *testing.T, w *world) {
		o := ssetest.Options{Literals: []string{"[DONE]"}}
		c := w.listen("/feed", o)
		rpc := w.rpc()
		rpc.count(1, 1)
		rpc.end(nil)
		endedWell(t, c)
		expect(t, c, "open 1 [DONE] end")
		events := c.Snapshot().Events
		o.LastEventID = events[2].ID
		cut := w.listen("/feed", o)
		if _ = cut.AwaitEnd(); cut.Snapshot().Status != http.StatusNoContent {
			t.Errorf("a client that was cut after the literal is answered %d", cut.Snapshot().Status)
		}
	})
	inWorld(t, feedRoute(`done: "[DONE]"`), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		rpc.end(status.Error(codes.NotFound, "closed"))
		endedWell(t, c)
		expect(t, c, "open 1 error:NOT_FOUND")
	})
}

func TestOnlyAllowedTrailersAreShown(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"end", nil, `{"trailers":{"x-cost":"5, 6 \u0026 more","x-quote":"\"\\"}}`},
		{"error", status.Error(codes.NotFound, "closed"), `{"code":5,"message":"closed","status":"NOT_FOUND","trailers":{"x-cost":"5, 6 \u0026 more","x-quote":"\"\\"}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, feedRoute("trailers: [x-cost, x-quote, x-missing, x-empty]"), func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{})
				rpc := w.rpc()
				rpc.count(1, 1)
				rpc.end(test.err, "x-cost", "5", "x-cost", "6 & more", "x-quote", `"\`, "x-secret", "hunter2")
				endedWell(t, c)
				if last := c.Snapshot().Events[2]; last.Data != test.want {
					t.Errorf("the event has the data %s, want %s", last.Data, test.want)
				}
			})
		})
	}
	t.Run("none are allowed", func(t *testing.T) {
		inWorld(t, feedRoute("retry: 3s"), func(t *testing.T, w *world) {
			c := w.listen("/feed", ssetest.Options{})
			w.rpc().end(nil, "x-cost", "5")
			endedWell(t, c)
			if last := c.Snapshot().Events[1]; last.Data != "{}" {
				t.Errorf("the event has the data %s", last.Data)
			}
		})
	})
}

func TestOnCompleteReopenReportsWhatMayBeMissing(t *testing.T) {
	onBoth(t, "on_complete: reopen", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 2)
		rpc.end(nil)
		rpc = w.rpc()
		rpc.count(7, 7)
		expect(t, c, "open 1 2 gap:upstream 7")
		rpc.end(nil)
		began := time.Now()
		for range 5 { // without a delivered message none is missing, and the pauses grow
			w.rpc().end(nil)
		}
		rpc = w.rpc()
		if waited := time.Since(began); waited < 1500*time.Millisecond || waited > 6500*time.Millisecond {
			t.Errorf("six openings took %v", waited)
		}
		rpc.count(9, 9)
		expect(t, c, "open 1 2 gap:upstream 7 gap:upstream 9")
		if gap := c.Snapshot().Events[3]; !strings.Contains(gap.Data, `"resumedFrom":"`+gap.ID+`"`) {
			t.Errorf("the gap %q says %s", gap.ID, gap.Data)
		}
	})
}

func TestABadMessageIsAGapOrTheEnd(t *testing.T) {
	large := strings.Repeat("x", 2000)
	for _, test := range []struct {
		name string
		bad  *testv1.FeedEvent
		ids  map[string]string // ids of the gap
	}{
		{"an unknown type", unknownAnyAt(2), map[string]string{"positions": "EPOCH-2", "cursors": "2"}},
		{"over message_bytes", &testv1.FeedEvent{Seq: 2, Kind: large}, map[string]string{"positions": "EPOCH-2", "cursors": "2"}},
		{"over message_bytes, no cursor", &testv1.FeedEvent{Kind: large}, map[string]string{"positions": "EPOCH-2", "cursors": "1~1"}},
	} {
		for name, ids := range both {
			t.Run(test.name+", "+name, func(t *testing.T) {
				inWorld(t, "limits: {message_bytes: 1KiB}\n"+feedRoute(strings.TrimPrefix(ids+", retry: 3s", ", ")), func(t *testing.T, w *world) {
					c := w.listen("/feed", ssetest.Options{})
					rpc := w.rpc()
					rpc.send(&testv1.FeedEvent{Seq: 1}, test.bad, &testv1.FeedEvent{Seq: 3})
					expect(t, c, "open 1 gap:untranscodable 3")
					before, gap := c.Snapshot().Events[1], c.Snapshot().Events[2]
					if canonical(gap.ID) != test.ids[name] {
						t.Errorf("the gap has the id %q, want %q", gap.ID, test.ids[name])
					}
					if want := `{"reason":"untranscodable","lastEventId":"` + before.ID + `","resumedFrom":"` + gap.ID + `"}`; gap.Data != want {
						t.Errorf("the gap says %s, want %s", gap.Data, want)
					}
					// Resuming before, at and behind the gap loses nothing.
					expect(t, w.listen("/feed", ssetest.Options{LastEventID: before.ID}), "open gap:untranscodable 3")
					expect(t, w.listen("/feed", ssetest.Options{LastEventID: gap.ID}), "open 3")
					w.noRPC()
					if strings.Contains(w.Logged.String(), "xxxx") || strings.Count(w.Logged.String(), "cannot be shown") != 1 {
						t.Errorf("logged %.2000s", w.Logged)
					}
				})
			})
		}
		t.Run(test.name+", stop", func(t *testing.T) {
			inWorld(t, "limits: {message_bytes: 1KiB}\n"+feedRoute("on_bad_message: stop"), func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{})
				rpc := w.rpc()
				rpc.count(1, 1)
				rpc.send(test.bad)
				endedWell(t, c)
				expect(t, c, "open 1 error:UNKNOWN")
				<-rpc.Gone
			})
		})
	}
}

// It is logged once, under the id that every client gets.
func TestABadMessageThatEndsTheStreamIsOneIncident(t *testing.T) {
	for _, first := range []int64{0, 1} {
		t.Run(fmt.Sprintf("after %d messages", first), func(t *testing.T) {
			inWorld(t, feedRoute("on_bad_message: stop"), func(t *testing.T, w *world) {
				var clients []*ssetest.Client
				for range 3 {
					clients = append(clients, w.listen("/feed", ssetest.Options{}))
				}
				rpc := w.rpc()
				rpc.count(1, first)
				rpc.send(unknownAny(""))
				logged := regexp.MustCompile(`incident=([A-Z2-7]{12})`)
				for _, c := range clients {
					_ = c.AwaitEnd()
					synctest.Wait() // the line may be written after the clients' events
					all := logged.FindAllStringSubmatch(w.Logged.String(), -1)
					if text := c.Snapshot().Body + transcript(c.Snapshot()); len(all) != 1 || !strings.Contains(text, all[0][1]) {
						t.Errorf("the client was sent %s, and the log has %s", text, w.Logged)
					}
				}
			})
		})
	}
}

// An RPC that could not be opened has none.
func TestTrailersAreOfTheLastRPC(t *testing.T) {
	inWorld(t, feedRoute("trailers: [x-cost]"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		rpc.end(status.Error(codes.Aborted, "again"), "x-cost", "5")
		endedWell(t, c)
		c.Reconnect()
		rpc = w.rpc()
		rpc.end(status.Error(codes.NotFound, "closed"))
		endedWell(t, c)
		expect(t, c, "open 1 retry:upstream open gap:upstream error:NOT_FOUND")
		if last := c.Snapshot().Events[5]; strings.Contains(last.Data, "x-cost") {
			t.Errorf("the client was sent %s", last.Data)
		}
	})
}

func unknownAnyAt(seq int64) *testv1.FeedEvent {
	event := unknownAny("")
	event.Seq = seq
	return event
}

// Each further RPC would receive it again.
func TestAMessageOverTheTransportsLimitEndsTheStream(t *testing.T) {
	onLimited := func(t *testing.T, keys string, play func(t *testing.T, w *world)) {
		t.Helper()
		inWorld(t, "limits: {message_bytes: 1KiB}\n"+feedRoute(keys), play)
	}
	huge := &testv1.FeedEvent{Seq: 2, Kind: strings.Repeat("x", 4097)}
	onLimited(t, "event: {id: seq}", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.send(&testv1.FeedEvent{Seq: 1}, huge)
		endedWell(t, c)
		expect(t, c, "open 1 error:RESOURCE_EXHAUSTED")
		if id := canonical(c.Snapshot().LastEventID); id != "1~end" {
			t.Errorf("the final id is %q", id)
		}
	})
	// The backend's own RESOURCE_EXHAUSTED is a transient failure.
	onLimited(t, "event: {id: seq}", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		rpc.end(status.Error(codes.ResourceExhausted, "grpc: received message larger than max (9 vs. 5)"))
		endedWell(t, c)
		expect(t, c, "open 1 retry:upstream")
	})
}

// An id has at most 4 KiB.
func TestAMessageWithATooLongCursorIsAGap(t *testing.T) {
	inWorld(t, feedRoute("event: {id: cursor, data: {field: seq}}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		w.rpc().send(
			&testv1.FeedEvent{Seq: 1, Cursor: "a"}, &testv1.FeedEvent{Seq: 2, Cursor: strings.Repeat("b", 5000)},
			&testv1.FeedEvent{Seq: 3, Cursor: strings.Repeat("\x01", 1400)}, // within the limit, but not when escaped
			&testv1.FeedEvent{Seq: 4, Cursor: strings.Repeat("d", 4000)}, &testv1.FeedEvent{Seq: 5},
		)
		expect(t, c, `open "1" gap:untranscodable gap:untranscodable "4" "5"`)
		for i, want := range []string{"a", "a~1", "a~2", strings.Repeat("d", 4000), strings.Repeat("d", 4000) + "~1"} {
			if got := c.Snapshot().Events[i+1].ID; got != want {
				t.Errorf("block %d has the id %.50q, want %.50q", i, got, want)
			}
		}
		for i, want := range []string{`open gap:untranscodable gap:untranscodable "4" "5"`, `open gap:untranscodable "4" "5"`, `open "4" "5"`, `open "5"`, "open"} {
			expect(t, w.listen("/feed", ssetest.Options{LastEventID: c.Snapshot().Events[i+1].ID}), want)
		}
	})
}

// An RPC without a cursor ends at once, while slow clients are parted at a cursor. No further RPC
// without a cursor replaces it.
func TestACompleteRPCWithoutACursorIsNotRepeated(t *testing.T) {
	for name, end := range map[string]error{"OK": nil, "an error": status.Error(codes.NotFound, "the job is over")} {
		t.Run(name, func(t *testing.T) {
			const keys = "event: {id: seq}, resume: {field: after}, replay: {events: 64}, write_timeout: 10m, heartbeat: {every: 1h}"
			inWorld(t, feedRoute(keys), func(t *testing.T, w *world) {
				const most = 20
				w.Stage.watch = func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
					if w.Stage.opens.Load() > most {
						<-stream.Context().Done()
						return stream.Context().Err()
					}
					if request.GetAfter() == 0 {
						return end
					}
					for seq := request.GetAfter(); seq < 3000; seq++ {
						if err := stream.Send(&testv1.FeedEvent{Seq: seq + 1, Kind: strings.Repeat("x", 200)}); err != nil {
							return err
						}
					}
					return end
				}
				slow := w.listenNarrow(false, "1", link{rate: 8 << 10})
				fast := w.listenNarrow(false, "1", link{})
				time.Sleep(10 * time.Second)
				if n := w.Stage.opens.Load(); n > most {
					t.Errorf("%d RPCs were opened", n)
				}
				if n := len(fast.Snapshot().Messages()); n != 2999 || len(slow.Snapshot().Messages()) >= n {
					t.Errorf("the fast client got %d messages", n)
				}
			})
		})
	}
}
