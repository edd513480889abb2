package topic

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// torrent is a backend that has the next message at hand at once, without an end.
type torrent struct{}

// Open opens an RPC.
func (torrent) Open(ctx context.Context, cursor []byte) (Stream, error) {
	return &torrentCall{ctx: ctx, cursor: string(cursor)}, nil
}

type torrentCall struct {
	ctx    context.Context // an RPC is bound to it
	cursor string          // no two logs hold one id
	n      int
}

// Accepted answers at once.
func (c *torrentCall) Accepted() error { return c.ctx.Err() }

// Next hands over a message.
func (c *torrentCall) Next(message func([]byte) error) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.n++
	return message([]byte(c.cursor + "-" + strconv.Itoa(c.n)))
}

// Close does nothing.
func (*torrentCall) Close() {}

// drip is a backend that sends a message every few milliseconds.
type drip struct{ every time.Duration }

// Open opens an RPC.
func (d drip) Open(ctx context.Context, _ []byte) (Stream, error) {
	return &dripCall{ctx, d.every}, nil
}

type dripCall struct {
	ctx   context.Context // an RPC is bound to it
	every time.Duration
}

// Accepted answers at once.
func (c *dripCall) Accepted() error { return c.ctx.Err() }

// Next hands over a message that says when it was due.
func (c *dripCall) Next(message func([]byte) error) error {
	due := time.Now().Add(c.every)
	timer := time.NewTimer(c.every)
	defer timer.Stop()
	select {
	case <-timer.C:
		return message([]byte(strconv.FormatInt(due.UnixNano(), 10)))
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// Close does nothing.
func (*dripCall) Close() {}

// busyRenderer takes as long for a message as JSON does.
type busyRenderer struct{ follows }

// Read reads a message.
func (r *busyRenderer) Read(ctx context.Context, wire []byte) (Message, error) {
	spin(20 * time.Microsecond)
	return r.follows.Read(ctx, wire)
}

func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
		_ = began
	}
}

// lateRenderer notes how late messages are.
type lateRenderer struct {
	renderer

	mu   sync.Mutex
	late []time.Duration
}

// Read reads a message.
func (r *lateRenderer) Read(ctx context.Context, wire []byte) (Message, error) {
	due, _ := strconv.ParseInt(string(wire), 10, 64)
	r.mu.Lock()
	r.late = append(r.late, time.Since(time.Unix(0, due)))
	r.mu.Unlock()
	return r.renderer.Read(ctx, wire)
}

// latest returns how late all but the hundredth part of the messages were.
func (r *lateRenderer) latest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.late)
	return r.late[len(r.late)*99/100]
}

// Hundreds of replays take processors from each other, and not from what is live: its
// messages are no later than beside as many threads as replays may use.
func TestReplaysLeaveProcessorsToLiveEvents(t *testing.T) {
	const replays, lasts = 300, 2 * time.Second
	beside := func(replays, threads int) time.Duration {
		r := NewRegistry(Limits{Topics: 100_000, Idle: 10, Bytes: 1 << 40})
		defer r.Close()
		var over atomic.Bool
		var all sync.WaitGroup
		defer all.Wait()
		defer over.Store(true)
		for range threads {
			all.Go(func() {
				for !over.Load() {
					spin(20 * time.Microsecond)
				}
			})
		}
		join := func(key, cursor string, source Source, renders Renderer) *Subscription {
			j := Join{Key: key, Resumable: true, Ordered: true, Open: func(after []byte, catchUp bool) (string, Params) {
				params := Params{
					Source: source, Renderer: renders, Judge: judge,
					Cursors: &Cursors{Expired: func(error) bool { return false }},
					Log:     replay.Params{Events: 1 << 30, Bytes: 1 << 40}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
				}
				if catchUp {
					params.Renderer = &busyRenderer{follows{renderer{cursors: true}, after}}
				} else if cursor != "" {
					params.Source = &room{headers: true} // main is silent
				}
				return "e" + key + cursor + strconv.FormatBool(catchUp), params
			}}
			if cursor != "" {
				j.Place = atID(cursor)
			}
			sub, err := r.Join(j)
			if err != nil {
				t.Fatal(err)
			}
			return sub
		}
		late := &lateRenderer{}
		subs := []*Subscription{join("live", "", drip{5 * time.Millisecond}, late)}
		for i := range replays {
			subs = append(subs, join("k", "f"+strconv.Itoa(i), torrent{}, &renderer{}))
		}
		time.Sleep(lasts)
		for _, sub := range subs {
			sub.Leave()
		}
		return late.latest()
	}
	threads := max(runtime.GOMAXPROCS(0)/2, 1)
	usual := beside(0, threads)
	took := beside(replays, 0)
	usual = max(usual, beside(0, threads))
	t.Logf("beside %d replays messages are up to %v late, and %v beside %d busy threads", replays, took, usual, threads)
	if took > max(3*usual, 20*time.Millisecond) {
		t.Error("replays hold up what is live")
	}
}

// askingRenderer asks the backend for something before it reads a message.
type askingRenderer struct{ follows }

// Read waits for the answer.
func (r *askingRenderer) Read(ctx context.Context, wire []byte) (Message, error) {
	OutOfLane(ctx, func() { time.Sleep(time.Second) })
	return r.follows.Read(ctx, wire)
}

// A replay whose message waits for an answer of the backend holds up no other one.
func TestAMessageThatWaitsHoldsNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(anyLimits)
		defer r.Close()
		join := func(key string, asks bool) *client {
			sub, err := r.Join(Join{
				Key: key, Resumable: true, Ordered: true, Place: atID("c1"),
				Open: func(after []byte, _ bool) (string, Params) {
					params := Params{
						Source: &room{[]string{"c1", "c2", "c3", "c4"}, true}, Renderer: &follows{renderer{cursors: true}, after}, Judge: judge,
						Cursors: &Cursors{Expired: func(error) bool { return false }},
						Log:     replay.Params{Events: 10, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
					}
					if asks {
						params.Renderer = &askingRenderer{follows{renderer{cursors: true}, after}}
					}
					return "e" + key + string(after), params
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			return &client{t: t, sub: sub}
		}
		var asking []*client
		for i := range cap(r.lanes) {
			asking = append(asking, join("asks"+strconv.Itoa(i), true))
		}
		synctest.Wait()
		other := join("other", false)
		defer other.leave()
		other.expect("c2 c3 c4")
		time.Sleep(3 * time.Second)
		for _, c := range asking {
			c.expect("c2 c3 c4")
			c.leave()
		}
	})
}
