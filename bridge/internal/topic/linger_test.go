package topic

import (
	"errors"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

func TestLinger(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c := w.join("k")
		w.backend.send(t, "1")
		c.leave()
		time.Sleep(29 * time.Second)
		w.backend.send(t, "2") // the RPC goes on
		back := w.join("k", at("e1", 1))
		back.expect("2")
		time.Sleep(time.Minute)
		w.expectTopics(1)
		back.leave()
		time.Sleep(30*time.Second - time.Nanosecond)
		w.expectTopics(1)
		w.expectRunning(1)
		time.Sleep(time.Nanosecond)
		w.expectTopics(0)
		w.expectRunning(0)
		late := w.join("k", at("e1", 2))
		if late.sub.Start != Missed || late.sub.Missed != reason.GapRestarted {
			t.Fatalf("start %d %q", late.sub.Start, late.sub.Missed)
		}
		w.expectOpens(2)
	})
}

// Rule 15: a client cannot come back to a topic that never sent a stream-open.
func TestNeverOpenedDoesNotLinger(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c, err := w.tryJoin("k")
		if err != nil {
			t.Fatal(err)
		}
		c.leave()
		w.expectTopics(0)
		w.expectRunning(0)
	})
}

// A stream may be over before its first client has been sent a stream-open;
// the client is sent it then, and must find the tail when it is cut.
func TestOverBeforeOpenedLingers(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c, err := w.tryJoin("k")
		if err != nil {
			t.Fatal(err)
		}
		w.backend.send(t, "1", "2")
		w.backend.fail(t, io.EOF)
		c.sub.Opened()
		c.leave() // cut after its first event
		back := w.join("k", at("e1", 1))
		if back.sub.Start != Resumed {
			t.Fatalf("start %d %q", back.sub.Start, back.sub.Missed)
		}
		back.expect("2 end:<nil> EOF")
		w.expectOpens(1)
	})
}

// A refusal that becomes an HTTP status leaves nothing behind.
func TestRefusedLeavesNothing(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.backend.then(answer{openErr: errFatal})
		c, err := w.tryJoin("k")
		if err != nil {
			t.Fatal(err)
		}
		w.expectPhase(c, Finished)
		if status := c.sub.Topic.Status(); !errors.Is(status.Err, errFatal) || status.Messages {
			t.Fatalf("status %+v", status)
		}
		next := w.join("k") // while the first still holds the failed one
		w.expectPhase(next, Live)
		c.leave()
		w.expectTopics(1)
		w.expectOpens(2)
	})
}

// The time of an earlier rest must not end a later one: its timer may have
// fired, and have waited for the lock, while a client came and left.
func TestAnEarlierRestIsOver(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c := w.join("k")
		c.leave()
		early := c.sub.Topic.reg.rests
		w.join("k").leave()
		w.registry.idle.over(c.sub.Topic, early)
		w.expectTopics(1)
		time.Sleep(30 * time.Second)
		w.expectTopics(0)
	})
}

func TestIdleGoLeastRecentlyUsedFirst(t *testing.T) {
	inWorld(t, Limits{Topics: 100, Idle: 2, Bytes: 1 << 30}, func(t *testing.T, w *world) {
		w.join("a").leave()
		time.Sleep(time.Second)
		w.join("b").leave()
		w.join("a", at("e1", 0)).leave() // used again
		w.join("c").leave()
		w.expectTopics(2)
		for key, want := range map[string]Start{"a": Resumed, "b": Missed} {
			epoch := map[string]string{"a": "e1", "b": "e2"}[key]
			if got := w.join(key, at(epoch, 0)).sub.Start; got != want {
				t.Errorf("%s: start %d, want %d", key, got, want)
			}
		}
	})
}

func TestLimitOfTopics(t *testing.T) {
	inWorld(t, Limits{Topics: 2, Idle: 100, Bytes: 1 << 30}, func(t *testing.T, w *world) {
		a, b := w.join("a"), w.join("b")
		if _, err := w.tryJoin("c"); !errors.Is(err, ErrFull) {
			t.Fatalf("err %v", err)
		}
		w.join("a").leave() // a client that shares needs no room
		w.expectTopics(2)
		a.leave()
		w.join("c") // room is made of the idle one
		w.expectTopics(2)
		w.expectRunning(2)
		if _, err := w.tryJoin("a"); !errors.Is(err, ErrFull) {
			t.Fatalf("err %v", err)
		}
		b.leave()
		w.join("b", at("e2", 0))
		w.expectTopics(2)
	})
}

// Room may be made by ending the only topic of the family that needs it.
func TestRoomFromTheSameFamily(t *testing.T) {
	inWorld(t, Limits{Topics: 1, Idle: 1, Bytes: 1 << 30}, func(t *testing.T, w *world) {
		c := w.join("k")
		w.backend.fail(t, io.EOF)
		c.leave()
		again := w.join("k")
		w.backend.send(t, "1")
		again.expect("1")
		w.expectTopics(1)
		w.join("k").expect("")
		w.expectOpens(2)
	})
}

// With nothing to come back to, nothing waits: the RPC ends with its client.
func TestAbandon(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Abandon = true
		c := w.join("k", private)
		w.expectRunning(1)
		c.leave()
		w.expectRunning(0)
		w.expectTopics(0)
	})
}

func TestNoLinger(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Linger = 0
		w.join("k").leave()
		w.expectTopics(0)
		w.expectRunning(0)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, anyLimits)
		w.backend.then(answer{slow: time.Hour}, answer{silent: true}, answer{openErr: errHold}, answer{}, answer{})
		var clients []*client
		for i := range 5 { // one of each kind, and one that waits for its client
			clients = append(clients, w.join(strconv.Itoa(i), func(j *Join) { j.Private = i == 4 }))
		}
		w.join("idle").leave()
		clients[4].sub.Leave()
		w.registry.Close()
		w.expectRunning(0)
		if _, err := w.tryJoin("k"); !errors.Is(err, ErrClosed) {
			t.Fatalf("err %v", err)
		}
		for _, c := range clients[:4] {
			c.leave() // after Close: nothing lingers, no timer is left
		}
		w.expectTopics(2) // those that lingered already
		w.registry.Close()
	})
}

// An RPC that is lost while its topic lingers is opened again by the first client
// to come back, and not before.
func TestALostRPCIsNotReopenedWithoutClients(t *testing.T) {
	for name, play := range map[string]func(leave, lose func()){
		"lost after the client left":  func(leave, lose func()) { leave(); lose() },
		"lost before the client left": func(leave, lose func()) { lose(); leave() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, anyLimits, func(t *testing.T, w *world) {
				c := w.join("k")
				w.backend.send(t, "1")
				play(c.leave, func() { w.backend.fail(t, errHold) })
				time.Sleep(20 * time.Second)
				w.expectOpens(1)
				w.expectTopics(1)
				back := w.join("k", at("e1", 1))
				time.Sleep(time.Second)
				w.expectOpens(2)
				w.backend.send(t, "2")
				back.expect("gap:upstream 2")
				if back.toldToLeave() {
					t.Error("the client is asked to reconnect for what was before")
				}
			})
		})
	}
}
