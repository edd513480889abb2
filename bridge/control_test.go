package bridge_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

func TestHeartbeatsAreSentOnlyInSilence(t *testing.T) {
	t.Run("comments", func(t *testing.T) {
		inWorld(t, feedRoute("heartbeat: {every: 10s}"), func(t *testing.T, w *world) {
			c := w.listen("/feed", ssetest.Options{})
			rpc := w.rpc()
			rpc.accept()
			c.AwaitEvents(1)
			for want := range 2 {
				synctest.Wait()
				if beats := c.Snapshot().Heartbeats; beats != want {
					t.Errorf("%d heartbeats, want %d", beats, want)
				}
				time.Sleep(10*time.Second - time.Duration(want))
			}
			rpc.count(1, 1) // a message ends the silence, and another one begins
			time.Sleep(9 * time.Second)
			synctest.Wait()
			if beats := c.Snapshot().Heartbeats; beats != 1 {
				t.Errorf("%d heartbeats, though there was no silence", beats)
			}
			time.Sleep(31 * time.Second)
			synctest.Wait()
			if beats := c.Snapshot().Heartbeats; beats != 5 {
				t.Errorf("%d heartbeats, want 5", beats)
			}
			expect(t, c, "open 1")
		})
	})
	t.Run("events", func(t *testing.T) {
		inWorld(t, feedRoute("heartbeat: {every: 10s, as: event}"), func(t *testing.T, w *world) {
			c := w.listen("/feed", ssetest.Options{})
			rpc := w.rpc()
			rpc.count(1, 1)
			time.Sleep(25 * time.Second)
			expect(t, c, "open 1 heartbeat heartbeat")
			if beat := c.Snapshot().Events[2]; string(beat.Raw) != "event: heartbeat\ndata: {}\n\n" {
				t.Errorf("a heartbeat is %q", beat.Raw)
			}
		})
	})
	t.Run("without ids", func(t *testing.T) {
		inWorld(t, feedRoute(`heartbeat: {every: 10s, as: event}, event: {id: ""}`), func(t *testing.T, w *world) {
			c := w.listen("/feed", ssetest.Options{NoIDs: true})
			time.Sleep(25 * time.Second)
			expect(t, c, "heartbeat heartbeat")
		})
	})
	t.Run("off", func(t *testing.T) {
		inWorld(t, feedRoute("heartbeat: {every: 0s}"), func(t *testing.T, w *world) {
			c := w.listen("/feed", ssetest.Options{})
			w.rpc().accept()
			time.Sleep(24 * time.Hour)
			expect(t, c, "open")
			if beats := c.Snapshot().Heartbeats; beats != 0 {
				t.Errorf("%d heartbeats", beats)
			}
		})
	})
}

// Two clients of eight buffer comments, so no client gets more than 16 KiB of them in a row.
func TestIdleStreamsAreAskedToReconnect(t *testing.T) {
	onBoth(t, "heartbeat: {every: 1s}", func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		expect(t, c, "open 1")
		time.Sleep(8192 * time.Second)
		synctest.Wait()
		if beats := c.Snapshot().Heartbeats; beats != 8192 {
			t.Errorf("%d heartbeats", beats)
		}
		time.Sleep(time.Second)
		expect(t, c, "open 1 retry:idle")
		endedWell(t, c)
		c.Reconnect()
		rpc.count(2, 2)
		expect(t, c, "open 1 retry:idle open 2")
	})
}

// They are asked at different moments, and lose nothing.
func TestMaxAgeAsksClientsToReconnect(t *testing.T) {
	onBoth(t, "max_age: 1h, replay: {linger: 10m}", func(t *testing.T, w *world) {
		began := time.Now()
		var clients []*ssetest.Client
		for range 20 {
			clients = append(clients, w.listen("/feed", ssetest.Options{}))
		}
		rpc := w.rpc()
		rpc.count(1, 1)
		time.Sleep(54*time.Minute - time.Second)
		for _, c := range clients {
			expect(t, c, "open 1")
		}
		left := map[string]int{}
		for time.Since(began) < time.Hour {
			time.Sleep(time.Minute)
			synctest.Wait()
			ended := 0
			for _, c := range clients {
				if c.Snapshot().Ended != nil {
					ended++
				}
			}
			left[time.Since(began).String()] = ended
		}
		if len(left) < 4 {
			t.Errorf("they left at %v", left)
		}
		rpc.count(2, 2)
		for _, c := range clients {
			endedWell(t, c)
			expect(t, c, "open 1 retry:max_age")
			if retry := c.Snapshot().Retry; retry > time.Second {
				t.Errorf("asked to reconnect after %v", retry)
			}
			c.Reconnect()
			expect(t, c, "open 1 retry:max_age open 2")
		}
		w.noRPC()
	})
}

func TestMaxAgeHoldsForAStreamThatIsNeverSilent(t *testing.T) {
	inWorld(t, feedRoute("max_age: 10s"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		seq := int64(0)
		for c.Snapshot().Ended == nil && seq < 2000 {
			seq++
			rpc.count(seq, seq)
			time.Sleep(10 * time.Millisecond)
		}
		if seen := story(c.Snapshot()); !strings.HasSuffix(seen, " retry:max_age") || seq > 1001 {
			t.Errorf("after %d messages: …%s", seq, seen[max(0, len(seen)-50):])
		}
	})
}

// They are notified again when an RPC works. A backend that is silent is not stale.
func TestClientsAreNotifiedAfterFiveSecondsWithoutAnRPC(t *testing.T) {
	onBoth(t, "heartbeat: {every: 0s}, open_grace: 1ms", func(t *testing.T, w *world) {
		refuse := status.Error(codes.Unavailable, "starting")
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		time.Sleep(time.Hour) // the backend is silent, but has accepted the RPC
		expect(t, c, "open")
		before, after := make(chan string, 1), make(chan string, 1)
		time.AfterFunc(5*time.Second-time.Millisecond, func() { before <- story(c.Snapshot()) })
		time.AfterFunc(5*time.Second+time.Millisecond, func() { after <- story(c.Snapshot()) })
		for range 8 { // the pauses between them add up to 11 seconds at least
			rpc.end(refuse)
			rpc = w.rpc()
		}
		rpc.end(refuse)
		if seen := <-before; seen != "open" {
			t.Errorf("within five seconds the client saw %s", seen)
		}
		if seen := <-after; seen != "open stale" {
			t.Errorf("after five seconds the client saw %s", seen)
		}
		expect(t, c, "open stale")
		seen := c.Snapshot()
		if stale := seen.Events[len(seen.Events)-1]; stale.Data != `{"code":14,"status":"UNAVAILABLE"}` || stale.HasID {
			t.Errorf("the client was sent %s", stale.Raw)
		}
		late := w.listen("/feed", ssetest.Options{})
		expect(t, late, "open stale")
		w.rpc().count(1, 1)
		expect(t, late, "open stale live 1")
	})
}

// An ingress whose backend is away accepts each RPC and fails it. Clients are notified once that
// the backend is away, after five seconds, and once that it is back.
func TestABackendThatFailsEachRPCIsStale(t *testing.T) {
	for name, headers := range map[string]bool{"without headers": false, "behind headers": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, feedRoute("heartbeat: {every: 0s}, open_grace: 1ms"), func(t *testing.T, w *world) {
				var away atomic.Bool
				away.Store(true)
				w.Stage.watch = func(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
					if headers {
						if err := stream.SendHeader(nil); err != nil {
							return err
						}
					}
					if away.Load() {
						return status.Error(codes.Unavailable, "no healthy upstream")
					}
					<-stream.Context().Done()
					return stream.Context().Err()
				}
				c := w.listen("/feed", ssetest.Options{})
				time.Sleep(4900 * time.Millisecond)
				expect(t, c, "open")
				time.Sleep(5 * time.Second) // the current attempt may end some seconds later
				expect(t, c, "open stale")
				time.Sleep(10 * time.Minute)
				expect(t, c, "open stale")
				away.Store(false)
				time.Sleep(time.Minute)
				expect(t, c, "open stale live")
			})
		})
	}
}

// valve is a connection that is read only up to a shut moment, until it is opened.
type valve struct {
	net.Conn
	shut func() bool   // called before each read, by the one goroutine that reads
	open chan struct{} // closed when the valve is opened; it is not shut again
}

func (v *valve) Read(p []byte) (int, error) {
	if v.shut() {
		<-v.open
	}
	return v.Conn.Read(p)
}

// listenShut is listen for a client that reads only the response's head until open is closed.
func (w *world) listenShut(path string, o ssetest.Options, open chan struct{}) *ssetest.Client {
	w.Helper()
	used := false
	return w.listenBehind(path, o, &valve{open: open, shut: func() bool {
		defer func() { used = true }()
		return used
	}})
}

// listenBehind is listen for a client that reads through a valve.
func (w *world) listenBehind(path string, o ssetest.Options, v *valve) *ssetest.Client {
	w.Helper()
	transport := w.transport(false)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := w.front.Dial(ctx)
		return &valve{Conn: conn, shut: v.shut, open: v.open}, err
	}
	o.Transport = transport
	w.Cleanup(transport.CloseIdleConnections)
	return w.listen(path, o)
}

// listenStuck connects a client of /feed that reads only the response's head until end is called.
// end returns how its stream ended.
func (w *world) listenStuck() (rpc *rpc, end func() error) {
	w.Helper()
	open := make(chan struct{})
	client := w.listenShut("/feed", ssetest.Options{}, open)
	rpc = w.rpc()
	rpc.accept()
	return rpc, func() error {
		close(open)
		return client.AwaitEnd()
	}
}

// flood sends more than fits between the bridge and a client that does not read.
func (c *rpc) flood() {
	c.tb.Helper()
	for range 20 {
		c.send(&testv1.FeedEvent{Seq: 1, Kind: strings.Repeat("x", 32<<10)})
	}
}

// It is sent stream-gap or stream-retry, and does not disturb another client.
func TestAClientTooSlowForTheLog(t *testing.T) {
	for _, test := range []struct{ slow, want string }{
		{"disconnect", "retry:lagged"}, {"skip", "gap:lagged 38 39 40 41"},
	} {
		t.Run(test.slow, func(t *testing.T) {
			onBoth(t, "slow_client: "+test.slow+", replay: {events: 3}", func(t *testing.T, w *world) {
				open := make(chan struct{})
				fast := w.listen("/feed", ssetest.Options{})
				rpc := w.rpc()
				rpc.accept()
				var shut atomic.Bool
				slow := w.listenBehind("/feed", ssetest.Options{}, &valve{shut: shut.Load, open: open})
				var want []string
				for seq := range int64(40) {
					shut.Store(seq > 1)
					rpc.send(&testv1.FeedEvent{Seq: seq + 1, Kind: strings.Repeat("x", 32<<10)})
					synctest.Wait()
					want = append(want, strconv.FormatInt(seq+1, 10))
				}
				expect(t, fast, "open "+strings.Join(want, " "))
				close(open)
				synctest.Wait()
				rpc.count(41, 41)
				seen := story(slow.Snapshot())
				before, ok := strings.CutSuffix(seen, " "+test.want)
				if !ok || !strings.HasPrefix(before, "open 1 2") || !strings.HasPrefix("open "+strings.Join(want, " "), before) {
					t.Fatalf("the slow client saw %s, want the beginning and then %s", seen, test.want)
				}
				if test.slow == "disconnect" {
					endedWell(t, slow)
					slow.Reconnect()
					expect(t, slow, seen+" gap:expired 39 40 41")
				} else {
					events := slow.Snapshot().Events
					gap, last := events[len(events)-5], events[len(events)-6]
					if want := `{"reason":"lagged","lastEventId":"` + last.ID + `","resumedFrom":"` + gap.ID + `"}`; gap.Data != want {
						t.Errorf("the gap %q says %s, want %s", gap.ID, gap.Data, want)
					}
					again := w.listen("/feed", ssetest.Options{LastEventID: events[len(events)-3].ID})
					expect(t, again, "open 40 41")
				}
			})
		})
	}
}

// Its socket accepts nothing for write_timeout. The response has no last chunk.
func TestAStuckClientIsCut(t *testing.T) {
	inWorld(t, feedRoute("write_timeout: 20s, replay: {linger: 0s}"), func(t *testing.T, w *world) {
		rpc, end := w.listenStuck()
		rpc.flood()
		synctest.Wait()
		began := time.Now()
		<-rpc.Gone // its last client has left
		if waited := time.Since(began); waited != 20*time.Second {
			t.Errorf("given up after %v, want write_timeout", waited)
		}
		if err := end(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the stream ended with %v, want a cut", err)
		}
	})
}

func TestTheServersWriteTimeoutEndsNoStream(t *testing.T) {
	inWorld(t, feedRoute("heartbeat: {every: 10s}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		w.rpc().accept()
		time.Sleep(10 * time.Minute)
		expect(t, c, "open")
		if seen := c.Snapshot(); seen.Status != http.StatusOK || seen.Heartbeats < 59 {
			t.Errorf("got %s", seen)
		}
	})
}
