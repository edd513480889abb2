package topic

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// The pump stops reading when its client has not got what fills the log, so
// that flow control reaches the backend, and nothing is dropped.
func TestBackPressure(t *testing.T) {
	for name, fill := range map[string]func(*Params){
		"events": func(p *Params) { p.Log.Events = 3 },
		"bytes":  func(p *Params) { p.Log.Bytes = 6 }, // three lines of two
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, anyLimits, func(t *testing.T, w *world) {
				fill(&w.params)
				c := w.join("k", private)
				w.backend.send(t, "1", "2", "3")
				if w.backend.offer(part{wire: "4"}) {
					t.Fatal("the pump reads on though the log is full")
				}
				c.expect("1 2 3")
				w.backend.send(t, "4", "5")
				c.expect("4 5")
				w.backend.send(t, "6", "7", "8")
				if w.backend.offer(part{wire: "9"}) {
					t.Fatal("the pump reads on though the log is full again")
				}
				c.expect("6 7 8")
				w.backend.fail(t, io.EOF)
				c.expect("end:<nil> EOF")
			})
		})
	}
}

// One message may be larger than the log.
func TestBackPressureOfOneLargeMessage(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Log.Bytes = 4
		c := w.join("k", private)
		large := strings.Repeat("x", 100)
		w.backend.send(t, large)
		if w.backend.offer(part{wire: "2"}) {
			t.Fatal("the pump reads on")
		}
		c.expect(large)
		w.backend.send(t, "2")
		c.expect("2")
	})
}

func TestSharedTopicsKnowNoBackPressure(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Log.Events = 3
		slow, fast := w.join("k"), w.join("k")
		for _, wire := range []string{"1", "2", "3", "4", "5"} {
			w.backend.send(t, wire)
			fast.expect(wire)
		}
		slow.expect("lagged")
	})
}

func TestPrivateTopicPerClient(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		a := w.join("k", private)
		w.backend.send(t, "1")
		b := w.join("k", private)
		w.backend.send(t, "x")
		a.expect("1")
		b.expect("x")
		w.expectOpens(2)
		w.expectTopics(2)
		a.leave()
		b.leave()
		time.Sleep(30 * time.Second)
		w.expectTopics(0)
		w.expectRunning(0)
	})
}

// Without a client the pump stops; a returning client finds the topic by its epoch.
func TestThePumpStopsWithoutClients(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c := w.join("k", private)
		w.backend.send(t, "1", "2")
		c.expect("1 2")
		c.leave()
		w.backend.send(t, "3") // it was waiting for this one already
		if w.backend.offer(part{wire: "4"}) {
			t.Fatal("the pump reads without a client")
		}
		time.Sleep(29 * time.Second)
		if w.backend.offer(part{wire: "4"}) {
			t.Fatal("the pump reads without a client")
		}
		w.expectRunning(1)
		back := w.join("k", private, at("e1", 2))
		w.backend.send(t, "4")
		back.expect("3 4")
		back.leave()
		time.Sleep(30 * time.Second)
		w.expectRunning(0)
		w.expectTopics(0)
	})
}

func TestPrivateTopicIsNotFoundByOthers(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c := w.join("alice", private)
		w.backend.send(t, "secret")
		thief := w.join("mallory", private, at("e1", 0))
		if thief.sub.Topic == c.sub.Topic || thief.sub.Start != Missed || thief.sub.Missed != reason.GapRestarted {
			t.Fatalf("start %d %q", thief.sub.Start, thief.sub.Missed)
		}
		thief.expect("")
	})
}

// Frames written to a socket before it was cut need not have arrived: a client that
// comes back further behind is waited for from there.
func TestReturnsFurtherBehind(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Log.Events = 4
		c := w.join("k", private)
		w.backend.send(t, "1", "2", "3", "4")
		c.expect("1 2 3 4") // written; but only 1 arrives
		c.leave()
		back := w.join("k", private, at("e1", 1))
		w.backend.send(t, "5") // in the place of 1
		if w.backend.offer(part{wire: "6"}) {
			t.Fatal("the pump reads over what its client has not got")
		}
		back.expect("2 3 4 5")
	})
}

// Of several clients with one id the newest counts: an older one is a connection
// that is not known to be dead.
func TestNewestReaderCounts(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Log.Events = 2
		dead := w.join("k", private)
		w.backend.send(t, "1", "2")
		alive := w.join("k", private, at("e1", 0))
		alive.expect("1 2")
		w.backend.send(t, "3", "4")
		dead.expect("lagged")
		dead.leave()
		alive.expect("3 4")
	})
}

// A client that comes back to find its log with another one, which came by an equally
// good cursor, does not prove the other's connection dead: both are waited for.
func TestBothReadersCountWhereTheyAreTwoClients(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Log.Events = 2
		w.params.Renderer = &renderer{cursors: true}
		meets := func(j *Join) { j.Private, j.Resumable, j.Ordered = true, true, true }
		opener := w.join("k", meets)
		w.backend.send(t, "c1", "c2")
		opener.leave() // and nothing of it has arrived
		other := w.join("k", meets, after("c1"))
		other.expect("c2")
		if other.sub.Topic != opener.sub.Topic {
			t.Fatal("a log that lingers is found by its cursors")
		}
		back := w.join("k", meets, at("e1", 0))
		back.read()
		w.backend.send(t, "c4", "c5")
		back.expect("c4 c5")
		if w.backend.offer(part{wire: "c6"}) {
			t.Fatal("the pump reads over what the other has not got")
		}
		other.expect("c4 c5")
		w.backend.send(t, "c6")
		other.expect("c6")
		back.expect("c6")
	})
}

// When the newest leaves, the one before it is waited for again, wherever it
// stands.
func TestReaderBeforeTheNewestGoesOn(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Log.Events = 2
		first := w.join("k", private)
		second := w.join("k", private, at("e1", 0))
		w.backend.send(t, "1", "2")
		first.expect("1 2")
		second.leave() // without having read a thing
		w.backend.send(t, "3", "4")
		if w.backend.offer(part{wire: "5"}) {
			t.Fatal("the pump reads over what the first has not got")
		}
		first.expect("3 4")
		w.backend.send(t, "5")
		first.expect("5")
	})
}

// A private stream that ended keeps its tail for the client that was cut.
func TestPrivateTail(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		c := w.join("k", private)
		w.backend.send(t, "1", "2")
		w.backend.fail(t, io.EOF)
		c.leave()
		back := w.join("k", private, at("e1", 1))
		back.expect("2 end:<nil> EOF")
		fresh := w.join("k", private)
		if fresh.sub.Topic == back.sub.Topic {
			t.Fatal("a client without a place gets another's stream")
		}
		w.expectOpens(2)
	})
}

// A place is not too old while it is the newest of a running log, also where that is the log of the client's own old connection, which is
// not known to be dead.
func TestTheNewestPlaceIsNotTooOld(t *testing.T) {
	inWorld(t, anyLimits, func(t *testing.T, w *world) {
		w.params.Renderer, w.params.Dated = &renderer{cursors: true}, true
		resumable := func(j *Join) { j.Resumable, j.Ordered = true, true }
		old := func(j *Join) {
			j.Place = atID("c2")
			j.Place.TooOld = true
		}
		w.join("k", private, resumable)
		first := w.backend.newest
		w.backend.send(t, "c1", "c2")
		back := w.join("k", private, resumable, old)
		if back.sub.Start != Resumed {
			t.Fatalf("start %d %q", back.sub.Start, back.sub.Missed)
		}
		w.backend.send(t, "c3")
		first.offer(part{wire: "c3"})
		if late := w.join("k", private, resumable, old); late.sub.Start != Missed || late.sub.Missed != reason.GapExpired {
			t.Fatalf("with an event missed: start %d %q", late.sub.Start, late.sub.Missed)
		}
		other := w.join("other", private, resumable)
		w.backend.send(t, "c2")
		w.backend.fail(t, errRetry) // the RPC is lost
		if other := w.join("other", private, resumable, old); other.sub.Start != Missed {
			t.Fatalf("without a running RPC: start %d", other.sub.Start)
		}
		other.leave()
	})
}
