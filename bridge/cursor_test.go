package bridge_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// cursorRoutes are the ways in which a backend may take its cursors. id is the id of event 3.
var cursorRoutes = []struct {
	name, keys, id string
	origin         origin
}{
	{"integer", "event: {id: seq}, resume: {field: after}", "3", afterCursor},
	{"integer, start at", "event: {id: seq}, resume: {field: after, offset: 1}", "3", atCursor},
	{"integer, inclusive", "event: {id: seq}, resume: {field: after, inclusive: true}", "3", atCursor},
	{"string", "event: {id: cursor}, resume: {field: kinds.string_value}", "%7E3%25", afterCursor},
	{"string, inclusive", "event: {id: cursor}, resume: {field: kinds.string_value, inclusive: true}", "%7E3%25", atCursor},
	{"bytes", "event: {id: token}, resume: {field: kinds.bytes_value}", "_wAD", afterCursor},
	{"bytes, inclusive", "event: {id: token}, resume: {field: kinds.bytes_value, inclusive: true}", "_wAD", atCursor},
	{"timestamp", "event: {id: at}, resume: {field: kinds.timestamp}", "1970-01-01T00:00:03.000005Z", afterCursor},
	{"with more fields", "event: {id: seq}, resume: {field: after, set: {limit: 7, kinds.string_list: [a]}}", "3", afterCursor},
	{"repeats", "event: {id: seq, cursor: repeats}, resume: {field: after}", "", afterCursor},
	{"own", "event: {id: seq}, resume: {field: after}, join: own, request: {set: {history: true}}", "3", afterCursor},
	{"private", "event: {id: seq}, resume: {field: after}, share: false", "3", afterCursor},
	{"unordered", "event: {id: seq}, resume: {field: after, ordered: false}", "3", afterCursor},
}

// onCursors runs a test on each kind of cursor route.
func onCursors(t *testing.T, keys string, play func(t *testing.T, w *world, l *ledger, id string)) {
	t.Helper()
	for _, route := range cursorRoutes {
		t.Run(route.name, func(t *testing.T) {
			inWorld(t, feedRoute(strings.Trim(route.keys+", "+keys, ", ")), func(t *testing.T, w *world) {
				l := newLedger()
				l.origin = route.origin
				w.Stage.watch = l.watch
				play(t, w, l, route.id)
			})
		})
	}
}

// The bridge needs no state besides a client's id, however the backend takes its cursors. Failures
// of the backend are hidden.
func TestResumingIsExactOverARestart(t *testing.T) {
	onCursors(t, "", func(t *testing.T, w *world, l *ledger, id string) {
		s := w.behind(1)
		c := w.listen("/feed", ssetest.Options{Transport: s})
		l.publish(3)
		expect(t, c, "open 1 2 3")
		if got := c.Snapshot().LastEventID; id != "" && got != id {
			t.Errorf("the id of event 3 is %q, want %q", got, id)
		}
		c.Close()
		s.restart(0)
		l.publish(2)
		c.Reconnect()
		expect(t, c, "open 1 2 3 open 4 5")

		l.fails(status.Error(codes.Unavailable, "a deploy"))
		synctest.Wait()
		l.fails(nil)
		l.publish(2)
		time.Sleep(time.Second)
		expect(t, c, "open 1 2 3 open 4 5 6 7")

		l.publish(3)
		expect(t, c, "open 1 2 3 open 4 5 6 7 8 9 10")
		if running, _ := l.now(); running != 1 && !strings.Contains(t.Name(), "unordered") {
			t.Errorf("%d RPCs run in the end", running)
		}
	})
}

func TestResumeSetAppliesOnlyWhenResuming(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after, offset: 1, set: {limit: 7, kinds.string_value: x}}, request: {set: {topic: t}}"),
		func(t *testing.T, w *world) {
			c := w.listen("/feed", ssetest.Options{LastEventID: "41"})
			requests := map[int64]string{}
			for range 2 { // the catch-up and the main log, in either order
				r := w.rpc().Request
				requests[r.GetAfter()] = fmt.Sprint(r.GetTopic(), r.GetLimit(), r.GetKinds().GetStringValue())
			}
			if len(requests) != 2 || requests[42] != "t7x" || requests[0] != "t0" {
				t.Errorf("the backend was asked for %v", requests)
			}
			_ = c.AwaitEvents(1)
		})
}

// A balancer sends it to the other bridge every second for a minute. The bridges share no state.
// The client gets every event once.
func TestAClientAlternatesBetweenTwoBridges(t *testing.T) {
	onCursors(t, "", func(t *testing.T, w *world, l *ledger, _ string) {
		s := w.behind(2)
		c := w.listen("/feed", ssetest.Options{Transport: s})
		for second := range 60 {
			for range 10 {
				l.publish(1)
				time.Sleep(100 * time.Millisecond)
			}
			if second%7 == 3 {
				c.CutNext(int64(second * 11 % 200)) // in the middle of an event
			}
			s.to.Store(int32(1 - second%2))
			c.Reconnect()
			synctest.Wait()
		}
		c.Reconnect()
		synctest.Wait()
		counts(t, c, 1, 600)
	})
}

// counts checks that a client has the events from first to last, each once and in order, and no gap.
func counts(t *testing.T, c *ssetest.Client, first, last int64) {
	t.Helper()
	seen := c.Snapshot()
	if seen.Gaps > 0 {
		t.Fatalf("%d gaps\n%s", seen.Gaps, story(seen))
	}
	next := first
	for _, message := range seen.Messages() {
		if got := word(message); got != strconv.FormatInt(next, 10) {
			t.Fatalf("%s came, want %d\n%s", got, next, story(seen))
		}
		next++
	}
	if next != last+1 {
		t.Fatalf("the last is %d, want %d\n%s", next-1, last, seen)
	}
}

// A client with a cursor that the backend no longer knows is sent a gap, and continues; so is one whose RPC breaks.
func TestARefusedCursorIsAGap(t *testing.T) {
	for _, test := range []struct {
		name, keys string
		inBand     bool
		code       codes.Code
	}{
		{"by code", "resume: {field: after}", false, codes.OutOfRange},
		{"by a code of its own", "resume: {field: after, expired: {codes: [DATA_LOSS]}}", false, codes.DataLoss},
		{"in band", "resume: {field: after, expired: {field: error}}", true, codes.OK},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, feedRoute("event: {id: seq}, "+test.keys), func(t *testing.T, w *world) {
				l := newLedger()
				l.inBand, l.refusal = test.inBand, test.code
				w.Stage.watch = l.watch
				l.publish(9)
				l.trim(5)
				c := w.listen("/feed", ssetest.Options{LastEventID: "3"})
				expect(t, c, "open gap:expired")
				l.publish(2)
				expect(t, c, "open gap:expired 10 11")
				gap := c.Snapshot().Events[1]
				if want := `{"reason":"expired","lastEventId":"3","resumedFrom":"` + gap.ID + `"}`; gap.Data != want || c.Snapshot().Events[0].ID != "3" {
					t.Errorf("the client was sent %s, want %s", gap.Data, want)
				}

				// A cursor that the backend still knows is resumed at.
				at := w.listen("/feed", ssetest.Options{LastEventID: "5"})
				expect(t, at, "open 6 7 8 9 10 11")

				// The same for the RPC of a running stream.
				l.fails(status.Error(codes.Unavailable, "a deploy"))
				synctest.Wait()
				l.trim(13)
				l.change(func() { l.newest = 13 })
				l.fails(nil)
				time.Sleep(time.Second)
				l.publish(1)
				expect(t, at, "open 6 7 8 9 10 11 gap:expired 14")
				expect(t, c, "open gap:expired 10 11 gap:expired 14")
			})
		})
	}
}

// Hardening: the backend is not asked about ids that it cannot have sent.
func TestForgedCursorsAreGaps(t *testing.T) {
	for _, id := range []string{
		"x", "1x", "0x10", "1.5", "1e3", "-", "+1", "01", "9223372036854775808", "-9223372036854775809", "1%20", "%31%00", "1~2~3x", "NaN",
		strings.Repeat("9", 4000), "%0d%0adata: forged",
	} {
		t.Run(id[:min(len(id), 20)], func(t *testing.T) {
			inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}"), func(t *testing.T, w *world) {
				l := newLedger()
				w.Stage.watch = l.watch
				c := w.listen("/feed", ssetest.Options{LastEventID: id})
				l.publish(1)
				synctest.Wait()
				if seen := c.Snapshot(); seen.Gaps != 1 || len(seen.Messages()) != 1 {
					t.Fatalf("the client saw %s", seen)
				}
				for _, request := range l.opened() {
					if request.GetAfter() != 0 {
						t.Errorf("the backend was asked for %d", request.GetAfter())
					}
				}
				if running, _ := l.now(); running != 1 {
					t.Errorf("%d RPCs run", running)
				}
				if logged := w.Logged.String(); strings.Contains(logged, "forged") || len(logged) > 5000 {
					t.Errorf("an id was logged: %.1000q", logged)
				}
			})
		})
	}
}

// Each client without an id gets the snapshot by an RPC of its own, and then shares the log. Its
// first block has no position.
func TestJoinOwnBeginsWithTheSnapshot(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}, join: own, request: {set: {history: true}}"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		l.publish(4)
		var clients []*ssetest.Client
		for range 3 {
			c := w.listen("/feed", ssetest.Options{})
			expect(t, c, "open 1 2 3 4")
			if id := c.Snapshot().Events[0].ID; id != "~0" {
				t.Errorf("stream-open has the id %q", id)
			}
			if running, _ := l.now(); running != 1 {
				t.Errorf("%d RPCs run", running)
			}
			clients = append(clients, c)
		}
		l.publish(1)
		for _, c := range clients {
			expect(t, c, "open 1 2 3 4 5")
		}
	})
}

// The log retains its frames for the client that opened it with an RPC of its own, and for later clients.
func TestALongSnapshotIsCompleteForEachClient(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}, join: own, request: {set: {history: true}}, replay: {events: 3}"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		l.publish(40)
		want := []string{"open"}
		for seq := range 40 {
			want = append(want, strconv.Itoa(seq+1))
		}
		for range 2 {
			expect(t, w.listen("/feed", ssetest.Options{}), strings.Join(want, " "))
		}
	})
}

// Rule 5: a client without an id gets none.
func TestAClientThatIsAskedToReconnectFromAnOwnRouteKeepsNoID(t *testing.T) {
	inWorld(t, "limits: {topics: 1}\n"+feedRoute("event: {id: seq}, resume: {field: after}, join: own, request: {query: true, set: {history: true}}"),
		func(t *testing.T, w *world) {
			l := newLedger()
			w.Stage.watch = l.watch
			l.publish(1)
			first := w.listen("/feed?topic=a", ssetest.Options{})
			expect(t, first, "open 1")
			c := w.listen("/feed?topic=b", ssetest.Options{})
			expect(t, c, "open retry:shed")
			if id := c.Snapshot().LastEventID; id != "~0" {
				t.Errorf("the client has the id %q", id)
			}
			kept := w.listen("/feed?topic=b", ssetest.Options{LastEventID: "1"})
			expect(t, kept, "open retry:shed")
			if id := kept.Snapshot().LastEventID; id != "1" {
				t.Errorf("the client has the id %q", id)
			}
		})
}

// It also decides how often.
func TestTheRoutesReconnectDecidesWhichCodesAreHidden(t *testing.T) {
	play := func(name, keys string, code codes.Code, want string, attempts int) {
		t.Run(name, func(t *testing.T) {
			inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}, reconnect: {"+keys+"}"), func(t *testing.T, w *world) {
				l := newLedger()
				w.Stage.watch = l.watch
				c := w.listen("/feed", ssetest.Options{})
				l.publish(1)
				expect(t, c, "open 1")
				before := len(l.opened())
				l.fails(status.Error(code, "why it failed"))
				time.Sleep(4 * time.Second)
				expect(t, c, want)
				if got := len(l.opened()) - before; got != attempts && attempts >= 0 {
					t.Errorf("%d attempts, want %d", got, attempts)
				}
				l.fails(nil)
				l.publish(1)
				time.Sleep(time.Minute)
				if c.Snapshot().Ended != nil {
					c.Reconnect()
				}
				synctest.Wait()
				if seen := c.Snapshot(); seen.Gaps > 0 || len(seen.Messages()) != 2 {
					t.Errorf("in the end the client saw %s", seen)
				}
			})
		})
	}
	play("hidden", "codes: [ABORTED, INTERNAL]", codes.Internal, "open 1", -1)
	play("not hidden", "codes: [ABORTED]", codes.Unavailable, "open 1 retry:upstream", 0)
	play("used up", "attempts: 3", codes.Unavailable, "open 1 retry:upstream", 3)
	play("without a bound", "attempts: 0", codes.Unavailable, "open 1", -1)
}

// After 5 s without an RPC clients are sent stream-stale, new clients at once, and later stream-live.
func TestStaleWhileReconnecting(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		c := w.listen("/feed", ssetest.Options{})
		l.publish(2)
		l.fails(status.Error(codes.Unavailable, "a deploy"))
		if err := w.Cable.Close(); err != nil {
			t.Error(err)
		}
		w.back.refuse.Store(true)
		time.Sleep(4900 * time.Millisecond)
		expect(t, c, "open 1 2")
		time.Sleep(time.Second)
		expect(t, c, "open 1 2 stale")
		late := w.listen("/feed", ssetest.Options{LastEventID: "1"})
		time.Sleep(time.Second)
		expect(t, late, "open 2 stale")
		w.back.refuse.Store(false)
		l.fails(nil)
		l.publish(1)
		time.Sleep(3 * time.Minute)
		expect(t, c, "open 1 2 stale live 3")
		expect(t, late, "open 2 stale live 3")
	})
}

// A cursor is not part of the sharing key, and clients cannot set its field.
func TestClientsWithDifferentCursorsShareAnRPC(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after, set: {limit: 7}}, request: {query: true}"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		l.publish(5)
		var clients []*ssetest.Client
		for _, id := range []string{"1", "3", "", "5", "2"} {
			clients = append(clients, w.listen("/feed?topic=a", ssetest.Options{LastEventID: id}))
		}
		l.publish(1)
		for i, want := range []string{"open 2 3 4 5 6", "open 4 5 6", "open 6", "open 6", "open 3 4 5 6"} {
			expect(t, clients[i], want)
		}
		if running, _ := l.now(); running != 1 {
			t.Errorf("%d RPCs run in the end", running)
		}
		if got := w.do(http.MethodGet, "/feed?after=5", ""); got.Status != http.StatusBadRequest {
			t.Errorf("after=5 is answered %d", got.Status)
		}
		// A field of resume.set is open to clients until they resume.
		for id, want := range map[string]int32{"": 1, "3": 7} {
			before := len(l.opened())
			w.listen("/feed?topic=b"+id+"&limit=1", ssetest.Options{LastEventID: id})
			synctest.Wait()
			for _, request := range l.opened()[before:] {
				if resumes := request.GetAfter() > 0; resumes == (id != "") && request.GetLimit() != want {
					t.Errorf("limit=1 with the id %q: an RPC is opened with %v", id, request)
				}
			}
			if len(l.opened()) == before {
				t.Errorf("limit=1 with the id %q: no RPC is opened", id)
			}
		}
	})
}

// Hardening: the backend gets the cursor with the metadata of the client that sends it, and decides.
func TestACursorOfAnotherIdentityRevealsNothing(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}, resume: {field: after}, request: {metadata: [authorization]}"), func(t *testing.T, w *world) {
		mine := w.listen("/feed", ssetest.Options{Header: http.Header{"Authorization": {"Bearer a"}}})
		rpc := w.rpc()
		rpc.count(1, 3)
		expect(t, mine, "open 1 2 3")
		other := w.listen("/feed", ssetest.Options{LastEventID: "1", Header: http.Header{"Authorization": {"Bearer b"}}})
		for range 2 { // one at the cursor, and one of the other identity's main log
			theirs := w.rpc()
			if got := theirs.Metadata.Get("authorization"); len(got) != 1 || got[0] != "Bearer b" {
				t.Errorf("the backend was asked as %v", got)
			}
			theirs.end(status.Error(codes.PermissionDenied, "not yours"))
		}
		synctest.Wait()
		if seen := other.Snapshot(); len(seen.Messages()) > 0 || seen.Status == http.StatusOK {
			t.Errorf("the other saw %s", seen)
		}
		rpc.count(4, 4)
		expect(t, mine, "open 1 2 3 4")
	})
}

// A client's first connection is cut after each byte of its first blocks. It reconnects to a bridge
// that has never seen it.
func TestCutAtEveryByteOnRoutesWithCursors(t *testing.T) {
	for _, keys := range []string{
		"event: {id: seq}, resume: {field: after}, join: own", "event: {id: cursor, name: {oneof: body}}, resume: {field: kinds.string_value}, join: own",
	} {
		t.Run(keys, func(t *testing.T) {
			inWorld(t, feedRoute(keys+", request: {query: [topic], set: {history: true}}"), func(t *testing.T, w *world) {
				l := newLedger()
				w.Stage.watch = l.watch
				l.publish(3)
				s := w.behind(2)
				whole := w.listen("/feed?topic=whole", ssetest.Options{Transport: s})
				length := 0
				for _, event := range whole.AwaitEvents(4) {
					length += len(event.Raw)
				}
				whole.Close()
				for n := range length + 1 {
					s.to.Store(0)
					c := w.listen("/feed?topic="+strconv.Itoa(n), ssetest.Options{Transport: s, CutAfter: new(int64(n))})
					_ = c.AwaitEnd()
					s.to.Store(1)
					c.Reconnect()
					c.AwaitMessages(3)
					synctest.Wait()
					counts(t, c, 1, 3)
					c.Close()
				}
			})
		})
	}
}
