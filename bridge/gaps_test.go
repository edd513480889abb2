package bridge_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// gapsOf returns the gaps that a bridge has counted: "restarted client/stream" is a reason, its
// receiver, and its cause.
func gapsOf(t *testing.T, b *bridge.Bridge) string {
	t.Helper()
	var found []string
	for _, reason := range []string{"expired", "forgotten", "lagged", "restarted", "untranscodable", "upstream"} {
		for _, receiver := range []string{"client", "log"} {
			for _, cause := range []string{"client", "stream"} {
				name := fmt.Sprintf(`ssebridge_gaps_total{cause=%q,reason=%q,route="/feed",told=%q}`, cause, reason, receiver)
				if n := scrape(t, b)[name]; n > 0 {
					found = append(found, fmt.Sprintf("%s %s/%s %v", reason, receiver, cause, n))
				}
			}
		}
	}
	return strings.Join(found, ", ")
}

// expectGaps checks the gaps that a bridge has counted.
func expectGaps(t *testing.T, b *bridge.Bridge, want string) {
	t.Helper()
	if got := gapsOf(t, b); got != want {
		t.Errorf("counted %q, want %q", got, want)
	}
}

// ways are ways in which a client misses events without a cursor to resume at. Each returns the
// bridge that sends the gap.
var ways = []struct {
	name    string
	play    func(w *world, s *sites, c *ssetest.Client) *bridge.Bridge
	want    string // the reason on the wire
	counted string // as gapsOf returns it
}{
	{"away for longer than linger", func(_ *world, s *sites, c *ssetest.Client) *bridge.Bridge {
		c.Close()
		time.Sleep(31 * time.Second)
		c.Reconnect()
		return s.all[0]
	}, "forgotten", "forgotten client/client 1"},
	{"away for longer than linger, and others were there since", func(w *world, s *sites, c *ssetest.Client) *bridge.Bridge {
		c.Close()
		time.Sleep(31 * time.Second)
		w.listen("/feed", ssetest.Options{Transport: s})
		c.Reconnect()
		return s.all[0]
	}, "forgotten", "forgotten client/client 1"},
	{"the bridge is restarted", func(_ *world, s *sites, c *ssetest.Client) *bridge.Bridge {
		c.Close()
		s.restart(0)
		c.Reconnect()
		return s.all[0]
	}, "restarted", "restarted client/stream 1"},
	{"another replica", func(_ *world, s *sites, c *ssetest.Client) *bridge.Bridge {
		s.to.Store(1)
		c.Reconnect()
		return s.all[1]
	}, "restarted", "restarted client/stream 1"},
	{"the log was too short", func(w *world, s *sites, c *ssetest.Client) *bridge.Bridge {
		w.listen("/feed", ssetest.Options{Transport: s})
		c.Close()
		w.backend().publish(5)
		c.Reconnect()
		return s.all[0]
	}, "expired", "expired client/stream 1"},
	{"the log was long enough for linger", func(w *world, s *sites, c *ssetest.Client) *bridge.Bridge {
		w.listen("/feed", ssetest.Options{Transport: s})
		c.Close()
		w.backend().publish(5)
		time.Sleep(31 * time.Second)
		w.backend().publish(1)
		c.Reconnect()
		return s.all[0]
	}, "expired", "expired client/client 1"},
}

// Alerts fire only for gaps whose cause is the stream.
func TestGapsOfAbsentClientsAreCountedSeparately(t *testing.T) {
	for name, ids := range map[string]string{"positions": "", "cursors": "event: {id: seq}, "} {
		for _, way := range ways {
			t.Run(name+"/"+way.name, func(t *testing.T) {
				inWorld(t, feedRoute(ids+"replay: {events: 3}"), func(t *testing.T, w *world) {
					w.backend()
					s := w.behind(2)
					c := w.listen("/feed", ssetest.Options{Transport: s})
					w.backend().publish(2)
					expect(t, c, "open 1 2")
					b := way.play(w, s, c)
					synctest.Wait()
					c.AwaitEvents(4)
					if got := story(c.Snapshot()); !strings.HasPrefix(got, "open 1 2 gap:"+way.want) {
						t.Errorf("the client saw %s", got)
					}
					expectGaps(t, b, way.counted)
				})
			})
		}
	}
}

// backend returns the ledger that serves the world's RPCs.
func (w *world) backend() *ledger {
	if w.ledger == nil {
		w.ledger = newLedger()
		w.Stage.watch = w.ledger.watch
	}
	return w.ledger
}

// An id that no bridge wrote is answered with forgotten, if a bridge can recognize that.
func TestForgedIDsFireNoAlert(t *testing.T) {
	for _, keys := range []string{"", "event: {id: seq}", "event: {id: seq}, resume: {field: after}", "share: false"} {
		for _, id := range []string{"~ABCDEFGHIJKLMNOPQRSTUVWXYZ-5", "~x", "ABC%zz", "7~x"} {
			t.Run(keys+"/"+id, func(t *testing.T) {
				inWorld(t, feedRoute(keys), func(t *testing.T, w *world) {
					w.backend()
					c := w.listen("/feed", ssetest.Options{LastEventID: id})
					c.AwaitEvents(1)
					expect(t, c, "gap:forgotten")
					expectGaps(t, w.Bridge, "forgotten client/client 1")
				})
			})
		}
	}
}

// It is not if the bridge has just started, or if the bridge reopens an RPC at the cursor.
func TestARefusedCursorIsTheClientsFault(t *testing.T) {
	route := feedRoute("event: {id: seq}, resume: {field: after}, replay: {events: 2}")
	t.Run("a client's", func(t *testing.T) {
		inWorld(t, route, func(t *testing.T, w *world) {
			w.backend().publish(9)
			time.Sleep(time.Minute)
			c := w.listen("/feed", ssetest.Options{LastEventID: "999"})
			c.AwaitEvents(2)
			expect(t, c, "open gap:expired")
			expectGaps(t, w.Bridge, "expired log/client 1")
		})
	})
	t.Run("after a restart", func(t *testing.T) {
		inWorld(t, route, func(t *testing.T, w *world) {
			w.backend().publish(9)
			w.backend().trim(8)
			c := w.listen("/feed", ssetest.Options{LastEventID: "5"})
			c.AwaitEvents(2)
			expect(t, c, "open gap:expired")
			expectGaps(t, w.Bridge, "expired log/stream 1")
		})
	})
	t.Run("an RPC's that broke", func(t *testing.T) {
		inWorld(t, route, func(t *testing.T, w *world) {
			l := w.backend()
			l.publish(9)
			time.Sleep(time.Minute)
			c := w.listen("/feed", ssetest.Options{LastEventID: "9"})
			l.publish(1)
			l.fails(status.Error(codes.Unavailable, "a deploy"))
			synctest.Wait()
			l.publish(2)
			l.trim(12)
			l.fails(nil)
			time.Sleep(time.Minute)
			c.AwaitEvents(3)
			expect(t, c, "open 10 gap:expired")
			expectGaps(t, w.Bridge, "expired log/stream 1")
		})
	})
}

// A gap in a log is one gap, and reaches each client of the log, on every transport.
func TestGapsAreCountedForEachClientToo(t *testing.T) {
	inWorld(t, feedRoute("event: {id: seq}"), func(t *testing.T, w *world) {
		var all []*ssetest.Client
		for i := range 6 {
			all = append(all, w.listen("/feed", ssetest.Options{H2C: i%2 == 0}))
		}
		rpc := w.rpc()
		rpc.count(1, 1)
		rpc.end(status.Error(codes.Unavailable, "the backend is away"))
		w.rpc().count(3, 3)
		for _, c := range all {
			expect(t, c, "open 1 gap:upstream 3")
		}
		sent := scrape(t, w.Bridge)[`ssebridge_gaps_told_total{reason="upstream",route="/feed"}`]
		if got := gapsOf(t, w.Bridge); got != "upstream log/stream 1" || sent != 6 {
			t.Errorf("counted %s, sent %v times; want one gap, sent six times", got, sent)
		}
		all[0].Close()
		w.listen("/feed", ssetest.Options{LastEventID: all[0].Snapshot().Events[1].ID}) // it is sent the gap again
		if sent := scrape(t, w.Bridge)[`ssebridge_gaps_told_total{reason="upstream",route="/feed"}`]; sent != 7 {
			t.Errorf("sent %v times, want 7", sent)
		}
	})
}
