package topic

import (
	"context"
	"runtime"
	"time"
)

// lanes are the processors that replays may use at once: half of those that the program has. A
// replay always has its next message at hand and never waits, and Go's scheduler lets such a
// goroutine run for 10 ms at a time: beside hundreds of replays, a message that has just come would
// wait for all of them. So replays enter a lane for each message, one after another, and live
// messages are rendered beside them.
type lanes chan struct{}

func newLanes() lanes { return make(lanes, max(runtime.GOMAXPROCS(0)/2, 1)) }

// enter waits for a lane. The goroutine that has waited longest gets it.
func (l lanes) enter(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	default:
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l lanes) leave() { <-l }

// backlog is the part of an RPC that sends what its backend had when the RPC was opened. It ends
// when the RPC has been silent for a while. It belongs to the pump. A nil backlog has ended from
// the beginning.
type backlog struct {
	lanes lanes     // nil once the backlog has ended
	asked time.Time // when the pump began to wait for the next message
}

type backlogKey struct{}

// backlog returns a new backlog for a catch-up's RPC, and the context in which its messages are
// rendered. Other RPCs have none: main's is reopened for live clients, and a private stream might
// never be silent, so that its backlog would never end.
func (t *Topic) backlog(ctx context.Context) (context.Context, *backlog) {
	if t.role() != catchUpRole {
		return ctx, nil
	}
	b := &backlog{lanes: t.registry.lanes}
	return context.WithValue(ctx, backlogKey{}, b), b
}

// asks notes that the pump waits for a message.
func (b *backlog) asks() {
	if b != nil && b.lanes != nil {
		b.asked = time.Now()
	}
}

// takes calls take for a message, in a lane while there is a backlog.
func (b *backlog) takes(ctx context.Context, take func() error) error {
	if b == nil || b.lanes == nil {
		return take()
	}
	if time.Since(b.asked) >= silence {
		b.lanes = nil
		return take()
	}
	if err := b.lanes.enter(ctx); err != nil {
		return err
	}
	defer b.lanes.leave()
	return take()
}

// OutOfLane calls a function that waits for something other than a processor. A Renderer reads a
// message with the context; the lane in which it does so is left meanwhile, so that other replays
// continue.
func OutOfLane(ctx context.Context, wait func()) {
	b, _ := ctx.Value(backlogKey{}).(*backlog)
	if b == nil || b.lanes == nil {
		wait()
		return
	}
	b.lanes.leave()
	defer func() { b.lanes <- struct{}{} }()
	wait()
}
