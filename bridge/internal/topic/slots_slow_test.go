package topic

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// slowStart is a backend whose RPCs take a while to their first message. Then they
// wait.
type slowStart struct {
	takes time.Duration

	mu          sync.Mutex
	begin, most int // RPCs that have not sent a message yet; how many at once since it was set to 0
}

// Open opens an RPC.
func (b *slowStart) Open(ctx context.Context, _ []byte) (Stream, error) {
	b.note(1)
	return &slowStartCall{backend: b, ctx: ctx}, nil
}

func (b *slowStart) note(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begin += n
	b.most = max(b.most, b.begin)
}

// reset returns the most RPCs that began at once since the last time.
func (b *slowStart) reset() (most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	most, b.most = b.most, b.begin
	return most
}

type slowStartCall struct {
	backend *slowStart
	ctx     context.Context // an RPC is bound to it
	sent    bool
}

// Accepted answers at once.
func (c *slowStartCall) Accepted() error { return c.ctx.Err() }

// Next sends one message when its time has come.
func (c *slowStartCall) Next(message func([]byte) error) error {
	if c.sent {
		<-c.ctx.Done()
		return c.ctx.Err()
	}
	c.sent = true
	defer c.backend.note(-1)
	timer := time.NewTimer(c.backend.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		return message([]byte("m"))
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// Close does nothing: the context ends what waits.
func (*slowStartCall) Close() {}

// Where RPCs are slow to begin, slots are kept for longer: else ever more RPCs would be
// opened at a backend that is slow because it has so many.
func TestTurnsOfASlowBackendAreKept(t *testing.T) {
	const slots, clients = 16, 2000
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Limits{Topics: 100_000, Idle: 1000, Bytes: 1 << 30})
		defer r.Close()
		bound, backend := NewSlots(slots), &slowStart{takes: 2 * time.Second}
		var all []*Subscription
		for i := range clients {
			id := "c" + strconv.Itoa(i)
			sub, err := r.Join(Join{
				Key: "k", Resumable: true, Ordered: true, Place: atID(id),
				Open: func(after []byte, _ bool) (string, Params) {
					return "e" + string(after), Params{
						Source: backend, Renderer: &follows{renderer{cursors: true}, after}, Judge: judge, Slots: bound,
						Cursors: &Cursors{Expired: func(error) bool { return false }},
						Log:     replay.Params{Events: 10, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, sub)
		}
		time.Sleep(10 * time.Second) // until the first RPCs have begun nothing is known of them
		backend.reset()
		time.Sleep(20 * time.Second)
		if most := backend.reset(); most > 2*slots {
			t.Errorf("%d RPCs began at once, with %d slots", most, slots)
		}
		for _, sub := range all {
			sub.Leave()
		}
		synctest.Wait()
	})
}

// begins has an RPC take a slot and send its first message after a while.
func begins(t *testing.T, slots *Slots, took time.Duration) {
	t.Helper()
	slot := slots.try(&family{})
	slot.placed()
	time.Sleep(took)
	slot.moved()
	slot.giveBack()
}

// keeps wants an RPC that brings nothing to keep its slot for so long.
func keeps(t *testing.T, slots *Slots, want time.Duration) {
	t.Helper()
	slot := slots.try(&family{})
	defer slot.giveBack()
	slot.placed()
	began := time.Now()
	for running, _ := slots.Usage(); running > 0; running, _ = slots.Usage() {
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	if kept := time.Since(began); kept < want-want/10 || kept > want+want/10 {
		t.Errorf("a silent RPC keeps its slot for %v, want %v", kept, want)
	}
}

// The silence that ends a slot is four times what RPCs take to their first message,
// from 250 ms to 5 s, and follows them down again.
func TestASilenceIsMeasuredByTheUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := NewSlots(10)
		keeps(t, slots, 250*time.Millisecond)
		for range 40 {
			begins(t, slots, 500*time.Millisecond)
		}
		keeps(t, slots, 2*time.Second)
		for range 40 {
			begins(t, slots, 10*time.Second)
		}
		keeps(t, slots, 5*time.Second)
		for range 60 {
			begins(t, slots, 10*time.Millisecond)
		}
		keeps(t, slots, 250*time.Millisecond)
	})
}

// An RPC whose backend is slow keeps its slot between two messages, and while its
// client is being written to, for as long as before the first one.
func TestASlowBackendsTurnLastsBetweenMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := NewSlots(10)
		for range 40 {
			begins(t, slots, 500*time.Millisecond)
		}
		slot := slots.try(&family{})
		slot.placed()
		for range 5 {
			time.Sleep(time.Second)
			slot.moved()
		}
		slot.wait(1500 * time.Millisecond)
		if running, _ := slots.Usage(); running != 1 {
			t.Error("the slot was given back")
		}
		slot.wait(time.Second)
		if running, _ := slots.Usage(); running != 0 {
			t.Error("a client that takes nothing for longer than that keeps its RPC's slot")
		}
		slot.giveBack()
	})
}
