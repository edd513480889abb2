package topic

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// room is a backend whose stream has some messages and then falls silent. It
// accepts cursors that it has never given out, and waits at them.
type room struct {
	messages []string
	headers  bool // it sends headers at once, not with the first message
}

// Open opens an RPC behind the cursor, or at the end.
func (r *room) Open(ctx context.Context, cursor []byte) (Stream, error) {
	c := &roomCall{ctx: ctx, headers: r.headers}
	if at := slices.Index(r.messages, string(cursor)); at >= 0 {
		c.rest = r.messages[at+1:]
	}
	return c, nil
}

type roomCall struct {
	ctx     context.Context // an RPC is bound to it
	headers bool
	rest    []string
}

// Accepted waits where the backend would.
func (c *roomCall) Accepted() error {
	if !c.headers && len(c.rest) == 0 {
		<-c.ctx.Done()
	}
	return c.ctx.Err()
}

// Next hands over the rest of the messages.
func (c *roomCall) Next(message func([]byte) error) error {
	if len(c.rest) == 0 {
		<-c.ctx.Done()
		return c.ctx.Err()
	}
	next := []byte(c.rest[0])
	c.rest = c.rest[1:]
	return message(next)
}

// Close does nothing: the context ends what waits.
func (*roomCall) Close() {}

// house is a registry with many rooms behind one upstream.
type house struct {
	t        *testing.T
	registry *Registry
	slots    *Slots
	headers  bool
	opened   int
}

func inHouse(t *testing.T, headers bool, test func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, slots: NewSlots(256), headers: headers}
		h.registry = NewRegistry(Limits{Topics: 100_000, Idle: 1000, Bytes: 1 << 30})
		defer h.registry.Close()
		test(h)
		if running, waiting := h.slots.Usage(); running+waiting > 0 {
			t.Errorf("in the end %d RPCs have a slot, and %d wait for one", running, waiting)
		}
	})
}

// comes brings a client to a room, with a cursor.
func (h *house) comes(key, cursor string) *client {
	h.t.Helper()
	sub, err := h.registry.Join(Join{
		Key: key, Resumable: true, Ordered: true, Place: Place{ID: cursor, Cursor: []byte(cursor), Base: cursor},
		Open: func(after []byte, _ bool) (string, Params) {
			h.opened++
			return "e" + strconv.Itoa(h.opened), Params{
				Source:   &room{[]string{"c1", "c2", "c3", "c4"}, h.headers},
				Renderer: &follows{renderer{cursors: true}, after}, Judge: judge, Slots: h.slots,
				Cursors: &Cursors{Expired: func(error) bool { return false }},
				Log:     replay.Params{Events: 10, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
			}
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	sub.Opened()
	return &client{t: h.t, sub: sub, position: sub.Position}
}

// gets returns how many of the clients have got what they missed, or fails where
// one is told that it is stale.
func (h *house) gets(clients []*client, want string) (got int) {
	synctest.Wait()
	for i, c := range clients {
		if c.sub.Topic.Status().Stale {
			h.t.Fatalf("client %d is told that its stream is stale, and the backend is well", i)
		}
		if c.position == c.sub.Position+uint64(len(want)/3+1) {
			got++
			continue
		}
		if c.read() == want {
			got++
		}
	}
	return got
}

// A bridge is restarted, and its rooms are silent. Clients that have everything
// come back first, and delay no client that has missed something.
func TestQuietRoomsStarveNoClient(t *testing.T) {
	for _, headers := range []bool{true, false} {
		for _, rooms := range []int{300, 3000} {
			t.Run(fmt.Sprintf("%d rooms, headers %t", rooms, headers), func(t *testing.T) {
				inHouse(t, headers, func(h *house) {
					var clients []*client
					for i := range rooms {
						clients = append(clients, h.comes(strconv.Itoa(i), "c4"))
					}
					time.Sleep(3 * time.Second)
					var missed []*client
					for i := range rooms {
						missed = append(missed, h.comes(strconv.Itoa(i), "c1"))
					}
					began, within := time.Now(), max(3*time.Second, time.Duration(rooms)*3*time.Millisecond)
					for h.gets(missed, "c2 c3 c4") < rooms {
						if time.Since(began) > within {
							t.Fatalf("after %v only %d of %d rooms have what they missed", within, h.gets(missed, "c2 c3 c4"), rooms)
						}
						time.Sleep(100 * time.Millisecond)
					}
					t.Logf("up to date after %v", time.Since(began))
					for range 10 {
						time.Sleep(time.Second)
						h.gets(slices.Concat(clients, missed), "")
					}
					for _, c := range slices.Concat(clients, missed) {
						c.sub.Leave()
					}
					synctest.Wait()
				})
			})
		}
	}
}

// Cursors that clients have made up wait for messages, and hold no slots.
func TestFutureCursorsHoldNoTurns(t *testing.T) {
	for _, headers := range []bool{true, false} {
		t.Run(fmt.Sprintf("headers %t", headers), func(t *testing.T) {
			inHouse(t, headers, func(h *house) {
				var clients, honest []*client
				for i := range 1000 {
					clients = append(clients, h.comes("room", "f"+strconv.Itoa(i)))
				}
				for i := range 50 {
					honest = append(honest, h.comes([]string{"room", "other"}[i%2], "c1"))
				}
				began := time.Now()
				for h.gets(honest, "c2 c3 c4") < len(honest) {
					if time.Since(began) > 2*time.Second {
						t.Fatal("clients with cursors that exist wait for those that do not")
					}
					time.Sleep(50 * time.Millisecond)
				}
				t.Logf("up to date after %v", time.Since(began))
				for _, c := range slices.Concat(clients, honest) {
					c.sub.Leave()
				}
				synctest.Wait()
			})
		})
	}
}

// Waiting for a slot says nothing about the backend: clients are not told that
// they are stale, and the time before it goes on after it.
func TestWaitingForATurnIsNotStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, anyLimits)
		defer w.registry.Close()
		w.params.Slots = NewSlots(0)
		resumes := func(j *Join) {
			j.Resumable, j.Ordered, j.Place = true, false, Place{ID: "c1", Cursor: []byte("c1"), Base: "c1"}
		}
		blocker, err := w.params.Slots.take(t.Context(), &family{})
		if err != nil {
			t.Fatal(err)
		}
		defer blocker.giveBack()
		w.backend.then(answer{slow: time.Minute})
		w.join("k", resumes) // has the slot that a family always gets, and no place
		c := w.join("k", func(j *Join) { resumes(j); j.Place.ID, j.Place.Base, j.Place.Cursor = "c2", "c2", []byte("c2") })
		w.backend.then(answer{slow: 10 * time.Second})
		time.Sleep(50 * time.Second)
		w.expectStale(c, false)
		time.Sleep(10 * time.Second) // the first is accepted, and its slot is the second's
		time.Sleep(5*time.Second - time.Millisecond)
		w.expectStale(c, false)
		time.Sleep(time.Millisecond)
		w.expectStale(c, true)
	})
}

// A replay at the pace of a slow client gives its slot to the next one.
func TestASlowClientHoldsNoTurn(t *testing.T) {
	inScriptOfTurns(t, func(h *house, c *client) {
		c.sub.Sending(1)
		synctest.Wait() // the pump waits for the client, which is being written to
		c.sub.Topic.wakePump()
		time.Sleep(200 * time.Millisecond)
		c.sub.Progress(1)
		c.sub.Sending(2)
		c.sub.Topic.wakePump() // which may have looked between the two
		synctest.Wait()
		if running, _ := h.slots.Usage(); running != 1 {
			t.Fatalf("%d RPCs have a slot while the first replays", running)
		}
		time.Sleep(60 * time.Millisecond)
		c.sub.Progress(2)
		synctest.Wait()
		if running, _ := h.slots.Usage(); running != 0 {
			t.Error("an RPC that has waited for its client for 260 ms has a slot")
		}
	})
}

// The slot stays where the pump waits for a client that the bridge has not come round to, on a machine that is busy: the next RPC would
// make it busier.
func TestAReplayKeepsItsTurnWhileTheBridgeIsLate(t *testing.T) {
	inScriptOfTurns(t, func(h *house, c *client) {
		time.Sleep(10 * silence)
		if running, _ := h.slots.Usage(); running != 1 {
			t.Errorf("%d RPCs have a slot", running)
		}
		c.sub.Sending(0) // its first block
		time.Sleep(3 * silence)
		if running, _ := h.slots.Usage(); running != 0 {
			t.Errorf("%d RPCs have a slot while their client takes nothing", running)
		}
	})
}

// The slot of a replay whose last client has left is the next one's at once, while the topic lingers.
func TestALingeringReplayHoldsNoTurn(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Slots = NewSlots(1)
		own := func(j *Join) { j.Own, j.Resumable, j.Ordered = true, true, true }
		w.join("k", own)
		c := w.join("k", own)
		w.backend.send(t, "1")
		if running, _ := w.params.Slots.Usage(); running != 1 {
			t.Fatalf("%d RPCs have a slot", running)
		}
		c.leave()
		w.expectTopics(2)
		if running, _ := w.params.Slots.Usage(); running != 0 {
			t.Errorf("%d RPCs have a slot, of a topic without clients", running)
		}
	})
}

// inScriptOfTurns has a client whose log is full after one message.
func inScriptOfTurns(t *testing.T, test func(h *house, c *client)) {
	t.Helper()
	inHouse(t, true, func(h *house) {
		sub, err := h.registry.Join(Join{
			Key: "k", Resumable: true, Ordered: true, Place: Place{ID: "c1", Cursor: []byte("c1"), Base: "c1"},
			Open: func(after []byte, catchUp bool) (string, Params) {
				params := Params{
					Source: &room{[]string{"c1", "c2", "c3", "c4"}, true}, Slots: h.slots, Judge: judge,
					Renderer: &follows{renderer{cursors: true}, after}, Cursors: &Cursors{Expired: func(error) bool { return false }},
					Log: replay.Params{Events: 1, Bytes: 1 << 20}, Backoff: Backoff{Initial: time.Second, Max: time.Second},
				}
				return strconv.FormatBool(catchUp), params
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Leave()
		synctest.Wait()
		test(h, &client{t: t, sub: sub})
		sub.Leave()
		synctest.Wait()
	})
}

// A slot goes to the next RPC when its own has been silent, but not by a timer that was
// late, nor while a message of the RPC is being taken.
func TestSilenceIsTheBackends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots, home := NewSlots(1), &family{}
		begun := func() *slot {
			slot := slots.try(home)
			slot.placed()
			return slot
		}
		expect := func(slot *slot, returned bool, when string) {
			t.Helper()
			synctest.Wait()
			slot.mu.Lock()
			defer slot.mu.Unlock()
			if slot.returned != returned {
				t.Errorf("returned %s: %t", when, slot.returned)
			}
		}

		late := begun()
		late.mu.Lock()
		late.due = late.due.Add(-silence) // so the timer is late
		late.mu.Unlock()
		time.Sleep(silence)
		expect(late, false, "by a late timer")
		time.Sleep(silence)
		expect(late, true, "after another silence")

		slow := begun()
		slow.moved()
		slow.mu.Lock()
		slow.due = time.Now()
		slow.mu.Unlock()
		slow.silent() // its timer had fired before the message came
		time.Sleep(10 * silence)
		expect(slow, false, "while a message is taken")
		slow.asks()
		time.Sleep(silence - time.Millisecond)
		expect(slow, false, "before a silence")
		time.Sleep(time.Millisecond)
		expect(slow, true, "after a silence")

		busy := begun()
		for began := time.Now(); time.Since(began) < longestSilence-silence; time.Sleep(silence) {
			synctest.Wait() // quiet is set again
			busy.mu.Lock()
			busy.due = busy.due.Add(-silence)
			busy.mu.Unlock()
		}
		expect(busy, false, "on a busy machine")
		for range 2 {
			busy.mu.Lock()
			busy.due = busy.due.Add(-silence)
			busy.mu.Unlock()
			time.Sleep(silence)
			synctest.Wait()
		}
		expect(busy, true, "after the longest silence")
	})
}
