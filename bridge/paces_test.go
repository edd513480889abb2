package bridge_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// narrow is a client's connection that is read at a limited rate, and not at all while it is shut.
// The first bytes are read at once: a handshake, and the response's head.
type narrow struct {
	net.Conn
	link

	gone context.Context // ends the pauses
	read int
}

// link is the rate at which a client's connection is read.
type link struct {
	rate int          // bytes a second; 0 means no limit
	free *atomic.Bool // lifts the rate; may be nil
	shut *atomic.Bool // nothing is read while it is set; may be nil
	// head is the number of bytes that are read at once.
	head int
}

// Read reads as much as the link permits.
func (n *narrow) Read(p []byte) (int, error) {
	slow := func() bool { return n.rate > 0 && (n.free == nil || !n.free.Load()) }
	for n.read > n.head && n.shut != nil && n.shut.Load() && n.gone.Err() == nil {
		waitFor(n.gone, 20*time.Millisecond)
	}
	if slow() || n.shut != nil && n.head > 0 {
		p = p[:min(len(p), 1<<10)]
	}
	read, err := n.Conn.Read(p)
	n.read += read
	if slow() {
		waitFor(n.gone, time.Duration(read)*time.Second/time.Duration(n.rate))
	}
	return read, err
}

// waitFor waits for d, or until ctx ends.
func waitFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// listenNarrow is listen over a narrow connection.
func (w *world) listenNarrow(h2 bool, id string, l link) *ssetest.Client {
	w.Helper()
	gone, leave := context.WithCancel(context.Background())
	transport := w.transport(h2)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := w.front.Dial(ctx)
		return &narrow{Conn: conn, link: l, gone: gone}, err
	}
	w.Cleanup(func() {
		leave()
		transport.CloseIdleConnections()
	})
	return w.connect("/feed", ssetest.Options{LastEventID: id, Transport: transport, H2C: h2})
}

// upstreamHistory is the number of messages that a river begins with.
const upstreamHistory = 1000

// river is a stream with a history that continues at 100 messages a second until it is stopped.
type river struct {
	history int64
	began   time.Time
	last    atomic.Int64 // the seq of the last message; 0 while the river continues
	rate    int64        // messages of the history that an RPC gets in a second; 0 means all at once
}

func (r *river) newest() int64 {
	if last := r.last.Load(); last > 0 {
		return last
	}
	return r.history + int64(time.Since(r.began)/(10*time.Millisecond))
}

// stop ends the messages, and returns the number of the last one.
func (r *river) stop() (last int64) {
	last = r.newest() + 1
	r.last.Store(last)
	return last
}

func (r *river) watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	seq := request.GetAfter()
	if seq == 0 {
		seq = r.newest()
	}
	first, began := seq, time.Now()
	due := func() int64 {
		if r.rate == 0 {
			return r.newest()
		}
		return min(r.newest(), first+int64(time.Since(began).Seconds()*float64(r.rate)))
	}
	for stream.Context().Err() == nil {
		for ; seq < due(); seq++ {
			if err := stream.Send(&testv1.FeedEvent{Seq: seq + 1, Kind: strings.Repeat("x", 200)}); err != nil {
				return err
			}
		}
		waitFor(stream.Context(), 10*time.Millisecond)
	}
	return stream.Context().Err()
}

// Many clients reconnect at one cursor, a thousand messages behind a stream of 100 a second,
// together with a client of 8 KiB/s, one that reads nothing, the dead connection of one of the
// many, and one that is frozen and reconnects. The many are up to date as soon as they would be
// alone, and each of the others gets its messages exactly once and in order. Over HTTP/2 there are
// fewer.
func TestClientsDoNotWaitForSlowOnes(t *testing.T) {
	for _, h2c := range []bool{false, true} {
		clients := 20
		if h2c || raceEnabled {
			clients = 10
		}
		alone := timeOfMany(t, h2c, clients, false)
		took := timeOfMany(t, h2c, clients, true)
		t.Logf("h2c %v: up to date after %v, and after %v alone", h2c, took, alone)
		if took > alone*3/2 && took > alone+time.Second {
			t.Errorf("h2c %v: clients wait for slow ones: %v instead of %v", h2c, took, alone)
		}
	}
}

func timeOfMany(t *testing.T, h2c bool, clients int, slow bool) (took time.Duration) {
	t.Helper()
	keys := "event: {id: seq}, resume: {field: after}, replay: {events: 64}, write_timeout: 10m, heartbeat: {every: 1h}"
	inWorld(t, feedRoute(keys), func(t *testing.T, w *world) {
		r := &river{history: upstreamHistory, began: time.Now()}
		w.Stage.watch = r.watch
		var shut, frozen atomic.Bool
		shut.Store(true)
		var slower, many []*ssetest.Client
		if slow {
			slower = append(slower, w.listenNarrow(h2c, "1", link{rate: 8 << 10}))
			slower = append(slower, w.listenNarrow(h2c, "1", link{shut: &shut}))
			w.listenNarrow(h2c, "1", link{shut: &shut}) // the previous connection of one of the many
			slower = append(slower, w.listenNarrow(h2c, "1", link{shut: &frozen}))
			frozen.Store(true)
		}
		for range clients {
			many = append(many, w.listenNarrow(h2c, "1", link{}))
		}
		for !upToDate(many, r.newest()) && time.Since(r.began) < time.Minute {
			time.Sleep(20 * time.Millisecond)
			synctest.Wait()
		}
		took = time.Since(r.began)
		frozen.Store(false)
		shut.Store(false)
		for n, c := range append(slower, many...) {
			for i := 0; !upToDate([]*ssetest.Client{c}, upstreamHistory) && i < 3000; i++ {
				time.Sleep(100 * time.Millisecond)
			}
			inARow(t, n, c)
		}
	})
	return took
}

// upToDate reports whether all clients have the newest message, or one of a moment ago.
func upToDate(clients []*ssetest.Client, newest int64) bool {
	for _, c := range clients {
		var last int64
		if _, err := fmt.Sscan(c.Snapshot().LastEventID, &last); err != nil || last < newest-5 {
			return false
		}
	}
	return true
}

// inARow checks that clients have all messages from the second on, in order, and no other events.
func inARow(t *testing.T, n int, c *ssetest.Client) {
	t.Helper()
	next := 2
	for _, event := range c.Snapshot().Events {
		if event.Name == "stream-open" {
			continue
		}
		if event.Name != "" || event.ID != strconv.Itoa(next) {
			t.Fatalf("client %d received %q %q, want message %d", n, event.Name, event.ID, next)
		}
		next++
	}
	if next < upstreamHistory-5 {
		t.Fatalf("client %d has come to message %d", n, next)
	}
}
