package topic

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const largeText = 100 << 10

// crowdLimits leave frames that are kept for readers 16 MiB, of which logs fill three quarters by themselves.
var crowdLimits = Limits{Topics: 1000, Idle: 100, Bytes: 64 << 20}

// crowd joins so many private clients, each with an RPC of its own that has large messages to send.
func (w *world) crowd(clients, size int, change ...func(*Join)) []*client {
	all := make([]*client, clients)
	for i := range all {
		all[i] = w.join("stalled", append(change, private)...)
		time.Sleep(2 * nextMessage) // until room that others had set aside is given back
		for w.backend.offer(part{wire: strings.Repeat("x", size)}) {
		}
	}
	return all
}

// Clients of private topics that take nothing cost a shared log no frame, and keep no more than their share.
func TestStalledPrivateClientsStarveNoOthers(t *testing.T) {
	inWorld(t, crowdLimits, func(t *testing.T, w *world) {
		w.params.Log.Events = 10_000
		shared := w.join("shared")
		w.sendBytes(1000)
		if w.registry.budget.Over() {
			t.Fatal("the shared log alone is over the limit")
		}
		w.crowd(300, largeText)
		if held := w.registry.budget.Retained(); held > w.registry.budget.RetainedLimit() || held < w.registry.budget.RetainedLimit()/2 {
			t.Fatalf("stalled clients keep %d bytes of their share of %d", held, w.registry.budget.RetainedLimit())
		}
		w.expectBytesWithin(crowdLimits)
		if got := shared.read(); strings.Contains(got, "lagged") || strings.Count(got, "x") < 1000<<10 {
			t.Fatal("the shared log has been trimmed for what private clients do not take")
		}
	})
}

// A private client that reads gets its messages within moments while others that take nothing use up the share: small
// messages at once, large ones when clients that have been stuck for long are cut.
func TestStuckClientsMakeRoom(t *testing.T) {
	inWorld(t, crowdLimits, func(t *testing.T, w *world) {
		var cuts atomic.Int64
		for _, c := range w.crowd(300, largeText) {
			c.sub.SetCut(func() { cuts.Add(1) })
		}
		before := cuts.Load()
		honest := w.join("honest", private)
		time.Sleep(2 * nextMessage)
		w.backend.send(t, "small")
		honest.expect("small")
		if cuts.Load() > before {
			t.Fatalf("%d clients were cut for a small message", cuts.Load()-before)
		}
		large := strings.Repeat("x", largeText)
		w.backend.send(t, large) // it was being waited for
		honest.expect(large)
		if w.backend.offer(part{wire: large}) {
			t.Fatal("a large message is read that there is no room for")
		}
		time.Sleep(stuckAfter + 2*patience)
		w.backend.send(t, large)
		honest.expect(large)
		if cuts.Load() == before {
			t.Fatal("no client is cut that has been stuck for long")
		}
		if held := w.registry.budget.Retained(); held > w.registry.budget.RetainedLimit() {
			t.Fatalf("%d bytes are kept for clients, over their share", held)
		}
	})
}

// Messages that come at once to RPCs that have been silent cannot be waited for. The kept memory is then brought back by
// cutting clients, those first that have taken nothing for longest.
func TestMessagesOutOfSilence(t *testing.T) {
	inWorld(t, crowdLimits, func(t *testing.T, w *world) {
		var cuts atomic.Int64
		var rpcs []*call
		for range 500 {
			c := w.join("silent", private)
			c.sub.SetCut(func() { cuts.Add(1) })
			rpcs = append(rpcs, w.backend.newest)
		}
		time.Sleep(time.Second) // the room that was set aside is given back
		for _, rpc := range rpcs {
			rpc.offer(part{wire: strings.Repeat("x", largeText)})
			time.Sleep(relieveAgain)
		}
		far := w.registry.budget.RetainedLimit() + 16<<20
		if held := w.registry.budget.Retained(); held > far+2*largeText || cuts.Load() == 0 {
			t.Fatalf("%d bytes are kept, with %d clients cut", held, cuts.Load())
		}
		time.Sleep(2 * patience)
		w.join("next", private)
		w.backend.send(t, "x")
		if held := w.registry.budget.Retained(); held > w.registry.budget.RetainedLimit() {
			t.Fatalf("%d bytes are kept for clients that take nothing", held)
		}
	})
}

// Room for a large message is set aside for the first message of an RPC, whose size is not known, and not for small ones that
// follow, whether the route has cursors or not: else one large message would slow down all private streams of its route.
func TestSmallMessagesNeedNoRoom(t *testing.T) {
	inWorld(t, crowdLimits, func(t *testing.T, w *world) {
		owner := &Owner{}
		sender := w.join("sender", private, of(owner))
		large := strings.Repeat("x", 4<<20)
		w.backend.send(t, large)
		sender.expect(large)
		const clients, messages = 100, 20
		var rpcs []*call
		var all []*client
		for range clients {
			all = append(all, w.join("receiver", private, of(owner)))
			rpcs = append(rpcs, w.backend.newest)
			time.Sleep(2 * nextMessage)
		}
		began := time.Now()
		for range messages {
			for i, rpc := range rpcs {
				for !rpc.offer(part{wire: "small"}) {
					time.Sleep(time.Millisecond)
				}
				all[i].expect("small")
			}
		}
		if took := time.Since(began); took > nextMessage {
			t.Errorf("%d small messages took %v", clients*messages, took)
		}
	})
}

// A client whose messages are smaller than an equal part of the share does not wait for clients that take nothing of larger ones.
func TestAClientDoesNotWaitForLargerOnesThatAreStuck(t *testing.T) {
	inWorld(t, crowdLimits, func(t *testing.T, w *world) {
		w.crowd(120, 256<<10, of(&Owner{}))
		if held := w.registry.budget.Retained(); held < w.registry.budget.RetainedLimit()*3/4 {
			t.Fatalf("only %d bytes are kept", held)
		}
		honest := w.join("honest", private)
		rpc, wire := w.backend.newest, strings.Repeat("x", largeText)
		for range 40 {
			due := time.Now()
			for !rpc.offer(part{wire: wire}) {
				time.Sleep(10 * time.Millisecond)
			}
			if waited := time.Since(due); waited > 100*time.Millisecond {
				t.Fatalf("a message has waited for %v", waited)
			}
			honest.expect(wire)
			time.Sleep(200 * time.Millisecond)
		}
		if held := w.registry.budget.Retained(); held > w.registry.budget.RetainedLimit() {
			t.Fatalf("%d bytes are kept for clients, over their share", held)
		}
	})
}

// Where nothing is left for such a client either, one that keeps more than its part is cut after a second.
func TestAStuckClientAboveItsPartIsCutSooner(t *testing.T) {
	inWorld(t, crowdLimits, func(t *testing.T, w *world) {
		var cuts atomic.Int64
		for _, c := range w.crowd(30, 256<<10, of(&Owner{})) {
			c.sub.SetCut(func() { cuts.Add(1) })
		}
		time.Sleep(patience + 2*nextMessage) // then no pump waits, or has room set aside
		before := cuts.Load()
		w.registry.relief.relieveFor(0, w.registry.budget.Share()+1)
		if n := cuts.Load() - before; n > 0 {
			t.Errorf("%d clients were cut after %v for one that wants more than its part", n, stuckLarge)
		}
		honest, wire := w.join("honest", private), strings.Repeat("x", largeText)
		w.backend.send(t, wire)
		honest.expect(wire)
		time.Sleep(2 * nextMessage)
		for taken := true; taken; {
			taken, _ = w.registry.budget.Reserve(0, 16<<10)
		}
		before = cuts.Load()
		w.backend.send(t, wire) // it was being waited for
		honest.expect(wire)
		if w.backend.offer(part{wire: wire}) {
			t.Fatal("a message is read that there is no room for")
		}
		time.Sleep(patience)
		w.backend.send(t, wire)
		honest.expect(wire)
		if n := cuts.Load() - before; n != 1 {
			t.Errorf("%d clients were cut for it", n)
		}
	})
}

// A client that takes a large message slowly is not cut as one that takes nothing.
func TestAClientThatTakesSlowlyIsNotStuck(t *testing.T) {
	inWorld(t, crowdLimits, func(t *testing.T, w *world) {
		var slow *Subscription
		var cuts atomic.Int64
		slowCut := false
		for _, c := range w.crowd(60, 256<<10, of(&Owner{})) {
			if slow == nil && c.sub.Topic.log.Pinned() > 0 {
				slow = c.sub
				slow.SetCut(func() { slowCut = true })
				continue
			}
			c.sub.SetCut(func() { cuts.Add(1) })
		}
		for range 20 {
			slow.Taking()
			time.Sleep(time.Second)
			w.registry.relief.relieveFor(0, 13<<20)
		}
		if slowCut {
			t.Error("it is cut")
		}
		if cuts.Load() == 0 || !w.registry.budget.CanReserve(0, 12<<20) {
			t.Errorf("%d of those are cut that take nothing", cuts.Load())
		}
		slow.Topic.wakePump()
		time.Sleep(stuckAfter)
		w.registry.relief.relieveFor(0, 13<<20)
		if !slowCut {
			t.Error("it is not cut though it takes nothing any more")
		}
	})
}
