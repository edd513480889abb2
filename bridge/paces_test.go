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

// narrow is a connection that takes so many bytes a second, and behind the head none while it is shut.
type narrow struct {
	net.Conn
	rate int // 0 is without a bound
	shut *atomic.Bool
	gone context.Context // ends the waiting
	head bool            // the response's head has been read
}

func (n *narrow) Read(p []byte) (int, error) {
	for n.head && n.shut != nil && n.shut.Load() && n.gone.Err() == nil {
		waitFor(n.gone, 20*time.Millisecond)
	}
	if n.rate > 0 {
		p = p[:min(len(p), 1<<10)]
	}
	read, err := n.Conn.Read(p)
	n.head = true
	if n.rate > 0 {
		waitFor(n.gone, time.Duration(read)*time.Second/time.Duration(n.rate))
	}
	return read, err
}

// waitFor waits, but not longer than ctx lasts.
func waitFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// listenNarrow is listen over a connection of the client's own.
func (w *world) listenNarrow(h2 bool, id string, rate int, shut *atomic.Bool) *ssetest.Client {
	w.Helper()
	gone, leave := context.WithCancel(context.Background())
	transport := w.transport(h2)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := w.front.Dial(ctx)
		return &narrow{Conn: conn, rate: rate, shut: shut, gone: gone}, err
	}
	w.Cleanup(func() {
		leave()
		transport.CloseIdleConnections()
	})
	return w.connect("/feed", ssetest.Options{LastEventID: id, Transport: transport, H2C: h2})
}

// upstreamHistory is how many messages a river begins with.
const upstreamHistory = 1000

// river is a stream with a history that goes on at 100 messages a second.
type river struct {
	history int64
	began   time.Time
}

func (r *river) newest() int64 { return r.history + int64(time.Since(r.began)/(10*time.Millisecond)) }

func (r *river) watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	seq := request.GetAfter()
	if seq == 0 {
		seq = r.newest()
	}
	for stream.Context().Err() == nil {
		for ; seq < r.newest(); seq++ {
			if err := stream.Send(&testv1.FeedEvent{Seq: seq + 1, Kind: strings.Repeat("x", 200)}); err != nil {
				return err
			}
		}
		waitFor(stream.Context(), 10*time.Millisecond)
	}
	return stream.Context().Err()
}

// TestClientsDoNotWaitForSlowOnes: many clients return at one cursor, a thousand messages behind a stream of 100 a second, beside one
// of 8 KiB/s, one that reads nothing, a dead connection of one of the many, and one that is frozen and comes back. The
// many are up to date as soon as without the others, and each of these gets its messages exactly once and in order.
// Over HTTP/2 they are fewer.
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
		r := &river{upstreamHistory, time.Now()}
		w.Stage.watch = r.watch
		var shut, frozen atomic.Bool
		shut.Store(true)
		var slower, many []*ssetest.Client
		if slow {
			slower = append(slower, w.listenNarrow(h2c, "1", 8<<10, nil))
			slower = append(slower, w.listenNarrow(h2c, "1", 0, &shut))
			w.listenNarrow(h2c, "1", 0, &shut) // the connection before of one of the many
			slower = append(slower, w.listenNarrow(h2c, "1", 0, &frozen))
			frozen.Store(true)
		}
		for range clients {
			many = append(many, w.listenNarrow(h2c, "1", 0, nil))
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

// upToDate reports whether all have the newest message, or one of a moment ago.
func upToDate(clients []*ssetest.Client, newest int64) bool {
	for _, c := range clients {
		var last int64
		if _, err := fmt.Sscan(c.Snapshot().LastEventID, &last); err != nil || last < newest-5 {
			return false
		}
	}
	return true
}

// inARow wants the messages from the second on without a hole, and nothing but those.
func inARow(t *testing.T, n int, c *ssetest.Client) {
	t.Helper()
	next := 2
	for _, event := range c.Snapshot().Events {
		if event.Name == "stream-open" {
			continue
		}
		if event.Name != "" || event.ID != strconv.Itoa(next) {
			t.Fatalf("client %d heard %q %q where message %d was to come", n, event.Name, event.ID, next)
		}
		next++
	}
	if next < upstreamHistory-5 {
		t.Fatalf("client %d has come to message %d", n, next)
	}
}
