package topic

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func of(owner *Owner) func(*Join) { return func(j *Join) { j.Owner = owner } }

// Topics of a retired owner that linger end at once, and those with clients when the last has left; others do not.
func TestRetire(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		gone, kept := &Owner{}, &Owner{}
		w.join("idle", of(gone)).leave()
		w.join("idle of another", of(kept)).leave()
		w.join("without an address").leave()
		c := w.join("busy", of(gone))
		w.expectTopics(4)
		w.registry.Retire(gone)
		w.expectTopics(2)
		w.expectRunning(3)
		w.backend.send(t, "1")
		c.expect("1")
		other := w.join("busy", of(gone)) // it was on its way
		c.leave()
		w.expectRunning(3)
		other.leave()
		w.expectRunning(2)
		w.registry.Retire(gone) // again does nothing
		w.expectTopics(2)
		w.join("late", of(gone)).leave() // it was on its way for long
		w.expectTopics(2)
		w.expectRunning(2)
		if n := len(w.registry.families); n != 2 {
			t.Errorf("%d families are left", n)
		}
	})
}

// A client that is asked to reconnect from a retired owner's topics finds room, though the limit of topics was
// reached.
func TestRetiredTopicsDoNotCount(t *testing.T) {
	inWorld(t, Limits{Topics: 2, Idle: 2, Bytes: 1 << 30}, func(t *testing.T, w *world) {
		gone := &Owner{}
		a, b := w.join("a", of(gone)), w.join("b", of(gone))
		if _, err := w.tryJoin("c"); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		w.registry.Retire(gone)
		w.join("c")
		w.join("d")
		if _, err := w.tryJoin("e"); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		a.leave()
		b.leave()
		w.expectTopics(2)
		if _, err := w.tryJoin("e"); !errors.Is(err, ErrFull) {
			t.Fatal("retired topics made room for others", err)
		}
	})
}

// A retired topic whose stream has ended does not wait for clients that could come back to its
// tail.
func TestRetiredTail(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		gone := &Owner{}
		c := w.join("k", of(gone))
		w.backend.send(t, "1")
		w.backend.fail(t, io.EOF)
		c.expect("1 end:<nil> EOF")
		c.leave()
		w.expectTopics(1)
		before := w.registry.Bytes()
		w.registry.Retire(gone)
		w.expectTopics(0)
		if now := w.registry.Bytes(); before == 0 || now != 0 {
			t.Errorf("%d bytes before, %d now", before, now)
		}
	})
}

// New limits hold at once: idle topics beyond them go, the longest idle one first.
func TestSetLimits(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		for _, key := range []string{"a", "b", "c", "d"} {
			w.join(key).leave()
			time.Sleep(time.Second)
		}
		w.registry.SetLimits(Limits{Topics: 100, Idle: 3, Bytes: 1 << 30})
		w.expectTopics(3)
		w.registry.SetLimits(Limits{Topics: 2, Idle: 3, Bytes: 1 << 30})
		w.expectTopics(2)
		c := w.join("c", at("e3", 0))
		if c.sub.Start != Resumed {
			t.Fatal("the one that was used last went first")
		}
		e := w.join("e") // d goes
		if _, err := w.tryJoin("f"); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		w.registry.SetLimits(Limits{Topics: 1, Idle: 3, Bytes: 1 << 30})
		w.expectTopics(2) // none ends under its clients
		e.leave()
		w.expectTopics(2)
		w.registry.SetLimits(anyLimits)
		for _, key := range []string{"g", "h", "i", "j", "k"} { // more may linger than before
			w.join(key).leave()
		}
		w.expectTopics(7)
		c.leave()
		w.expectTopics(7)
	})
}

// A lowered limit of bytes takes what is too much at once; a raised one lets a topic read on that it had held.
func TestSetBytes(t *testing.T) {
	inWorld(t, Limits{Topics: 100, Idle: 100, Bytes: 1 << 30}, func(t *testing.T, w *world) {
		w.params.Log.Events = 1000
		c := w.join("k")
		w.sendBytes(400)
		w.registry.SetLimits(smallBytes)
		w.expectBytesWithin(smallBytes)
		if got := c.read(); got != "lagged" {
			t.Errorf("read %.20q", got)
		}
		c.leave()

		w.registry.SetLimits(anyLimits)
		held := w.join("private", private)
		w.sendBytes(100)
		w.registry.SetLimits(Limits{Topics: 100, Idle: 100, Bytes: 1})
		w.sendBytes(1) // the pump had begun to wait for it
		if w.backend.offer(part{wire: "x"}) {
			t.Fatal("the pump reads on beyond the limit")
		}
		w.registry.SetLimits(anyLimits)
		w.backend.send(t, "x")
		if got := strings.Count(held.read(), "x"); got < 102 {
			t.Errorf("%d", got)
		}
	})
}

// Turns come and go with their limit, and no waiter is forgotten.
func TestSetTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := NewSlots(2)
		busy := &family{} // has the slot that a family always gets, so that others are counted
		first, err := slots.take(t.Context(), busy)
		if err != nil {
			t.Fatal(err)
		}
		second, _ := slots.take(t.Context(), busy)
		got := make(chan *slot, 10)
		for range 5 {
			go func() {
				slot, err := slots.take(context.Background(), busy)
				if err != nil {
					t.Error(err)
				}
				got <- slot
			}()
		}
		expect := func(want int) {
			t.Helper()
			synctest.Wait()
			if len(got) != want {
				t.Fatalf("%d of the clients that wait have a slot, want %d", len(got), want)
			}
		}
		expect(0)
		slots.SetLimit(4)
		expect(2)
		slots.SetLimit(1)
		first.giveBack()
		second.giveBack()
		expect(2)
		(<-got).giveBack()
		expect(1)
		(<-got).giveBack()
		expect(1) // there is one slot again
		slots.SetLimit(100)
		expect(3)
		for range 3 {
			(<-got).giveBack()
		}
		if running, waiting := slots.Usage(); slots.free != 100 || running+waiting+len(slots.lines) > 0 {
			t.Errorf("in the end %+v", slots)
		}
	})
}
