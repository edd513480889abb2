package bridge_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// broadcast is a backend that sends each RPC the messages that are published while it runs, and no earlier ones.
type broadcast struct {
	changing

	newest int64
	broken map[int]error // the errors of failed RPCs, by the RPC's number
	opens  int
}

// publish adds messages.
func (b *broadcast) publish(n int64) { b.change(func() { b.newest += n }) }

// fail ends all running RPCs.
func (b *broadcast) fail(err error) {
	b.change(func() {
		for i := range b.opens {
			if b.broken[i] == nil {
				b.broken[i] = err
			}
		}
	})
}

func (b *broadcast) watch(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	b.mu.Lock()
	number, sent := b.opens, b.newest
	b.opens++
	b.mu.Unlock()
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		b.mu.Lock()
		newest, broken, changed := b.newest, b.broken[number], b.changed
		b.mu.Unlock()
		for ; sent < newest; sent++ {
			if err := stream.Send(&testv1.FeedEvent{Seq: sent + 1}); err != nil {
				return err
			}
		}
		if broken != nil {
			return broken
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// Random schedules of cuts, failures, pauses and messages are played. Between two gaps each client
// has every message exactly once and in order.
func TestRandomFaultsLoseNothingBetweenGaps(t *testing.T) {
	for _, keys := range []string{
		"share: true", "join: held", "share: false", "event: {id: seq}", "event: {id: seq}, join: held", "on_complete: reopen",
		"slow_client: skip", "max_age: 20s, heartbeat: {every: 3s, as: event}",
	} {
		for seed := range uint64(12) {
			t.Run(fmt.Sprintf("%s, seed %d", keys, seed), func(t *testing.T) {
				inWorld(t, feedRoute("replay: {events: 6, linger: 10s}, "+keys), func(t *testing.T, w *world) {
					playFaults(t, w, rand.New(rand.NewPCG(seed, 7)))
				})
			})
		}
	}
}

func playFaults(t *testing.T, w *world, random *rand.Rand) {
	t.Helper()
	backend := &broadcast{changing: newChanging(), broken: map[int]error{}}
	w.Stage.watch = backend.watch
	var clients []*ssetest.Client
	for range 3 {
		clients = append(clients, w.listen("/feed", ssetest.Options{}))
	}
	comeBack := func() {
		for _, c := range clients {
			if c.Snapshot().Ended != nil {
				c.Reconnect()
			}
		}
		synctest.Wait()
	}
	for range 60 {
		one := clients[random.IntN(len(clients))]
		switch random.IntN(8) {
		case 0, 1:
			for range random.Int64N(4) + 1 {
				backend.publish(1)
				synctest.Wait()
			}
		case 2:
			backend.publish(random.Int64N(3)) // in a burst
		case 3:
			one.CutNext(random.Int64N(400))
			one.Reconnect()
		case 4:
			one.Close()
		case 5:
			backend.fail([]error{
				status.Error(codes.Unavailable, "a"), status.Error(codes.Aborted, "b"), status.Error(codes.ResourceExhausted, "c"),
			}[random.IntN(3)])
		case 6:
			time.Sleep([]time.Duration{time.Millisecond, 300 * time.Millisecond, 4 * time.Second, 11 * time.Second}[random.IntN(4)])
		case 7:
			comeBack()
		}
		if random.IntN(2) == 0 {
			synctest.Wait()
		}
	}
	for _, c := range clients {
		c.Reconnect() // the last connection is not cut
	}
	time.Sleep(11 * time.Second) // the longest pause between two attempts at the backend
	comeBack()
	for range 3 {
		backend.publish(1)
		synctest.Wait()
	}
	for i, c := range clients {
		exactlyOnce(t, i, c.Snapshot(), backend.newest)
	}
}

// exactlyOnce checks a client's events. The first may be any: the client may have been cut before it knew its position.
func exactlyOnce(t *testing.T, i int, s ssetest.Snapshot, newest int64) {
	t.Helper()
	last, exact := int64(0), false
	for _, event := range s.Events {
		switch {
		case event.Name == "stream-gap":
			exact = false
		case event.Control():
		default:
			seq, err := strconv.ParseInt(word(event), 10, 64)
			if err != nil || seq <= last || exact && seq != last+1 {
				t.Fatalf("client %d: %s came after %d\n%s\n%s", i, word(event), last, story(s), s)
			}
			last, exact = seq, true
		}
	}
	if last != newest {
		t.Fatalf("client %d: the newest message is %d, want %d\n%s\n%s", i, last, newest, story(s), s)
	}
}
