package replay

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A log that holds its frames loses none that its reader has not got; it makes
// its writer wait, but never for ever.
func TestHoldUnderABudget(t *testing.T) {
	budget := NewBudget(10 << 10)
	l := New(Params{Events: 1000, Bytes: 1 << 30, Hold: true, Budget: budget})
	defer l.Discard()
	frame := strings.Repeat("x", 1000)
	for !budget.HeldFull(l.pinnedCounted.Load()) {
		if l.Full() {
			t.Fatal("full within the share of kept frames")
		}
		fill(l, frame)
	}
	_, head := l.Bounds()
	if !l.Full() || budget.Over() || budget.Trim() {
		t.Fatal("frames are taken that no reader has read")
	}
	expectBounds(t, l, 0, head)
	l.Release(head)
	if l.Full() || budget.Held() != 0 {
		t.Fatal("full with nothing to be read: its writer waits for ever")
	}
	var floor uint64
	for range 40 { // what was released goes when the budget would be exceeded
		fill(l, frame)
		floor, head = l.Bounds()
		if l.Release(head); budget.Over() {
			t.Fatalf("%d bytes from %d", budget.Used(), floor)
		}
	}
	if floor == 0 || budget.Used() == 0 {
		t.Fatalf("%d bytes from %d", budget.Used(), floor)
	}
	l.Release(head)
	if !budget.Trim() {
		t.Fatal("what is released is not to be had")
	}
	audit(t, l)
}

// Frames that one reader leaves unread use up their own share of the budget. They
// cost other logs no frame, whatever the order in which the logs grow.
func TestKeptFramesLeaveOtherLogsAlone(t *testing.T) {
	const limit = 4 << 20
	budget := NewBudget(limit)
	shared := ticking(1000, Params{Events: 10_000, Bytes: 1 << 30, Budget: budget})
	defer shared.Discard()
	for range 3 {
		l := New(Params{Events: 10_000, Bytes: 1 << 30, Hold: true, Budget: budget})
		t.Cleanup(l.Discard)
		for !l.Full() {
			fill(l, strings.Repeat("x", 10_000))
		}
	}
	if budget.Over() || budget.HeldOver() || budget.Held() < limit/16 {
		t.Fatalf("%d bytes are used, of them %d for frames that are kept", budget.Used(), budget.Held())
	}
	expectBounds(t, shared, 0, 1000)
}

// Many logs whose readers are always some frames behind are not full because they are
// many: the bridge would read each message of each stream by itself, at twice the cost.
func TestManyLogsKeepFramesTogether(t *testing.T) {
	budget := NewBudget(8 << 20)
	frame := strings.Repeat("x", 300)
	logs := make([]*Log, 50)
	for i := range logs {
		logs[i] = New(Params{Events: 10_000, Bytes: 1 << 20, Hold: true, Budget: budget})
		t.Cleanup(logs[i].Discard)
	}
	for round := range 300 {
		for _, l := range logs {
			_, head := l.Bounds()
			l.Release(head)
			taken := 0
			for ; !l.Full(); taken += len(frame) {
				fill(l, frame)
			}
			if round > 250 && taken < 10_000 { // the first logs had large segments
				t.Fatalf("round %d: full with %d bytes, while %d of %d are kept", round, taken, budget.Held(), budget.HeldLimit())
			}
		}
	}
	if budget.HeldOver() {
		t.Fatalf("%d bytes are kept, of %d", budget.Held(), budget.HeldLimit())
	}
}

// Where stuck readers have used the share up, a log still keeps some small frames, so that its
// reader need not take them one at a time; but no more than if all kept the same.
func TestALogKeepsALittleWhereOthersKeepAll(t *testing.T) {
	kept := func(others int) (bytes int64) {
		budget := NewBudget(16 << 20)
		large := strings.Repeat("x", int(budget.HeldLimit())/others)
		for range others {
			stuck := New(Params{Events: 10, Bytes: 1 << 30, Hold: true, Budget: budget})
			t.Cleanup(stuck.Discard)
			fill(stuck, large)
		}
		l := New(Params{Events: 10_000, Bytes: 1 << 30, Hold: true, Budget: budget})
		t.Cleanup(l.Discard)
		for !l.Full() {
			fill(l, strings.Repeat("x", 40))
		}
		return l.Kept()
	}
	if few := kept(4); few <= heldAnyway || few > 2*heldAnyway {
		t.Errorf("beside a few logs it is full with %d bytes", few)
	}
	if many := kept(2000); many > heldAnyway/4 {
		t.Errorf("beside many logs it is full with %d bytes", many)
	}
}

// Room for large frames is reserved before they are read, so that many logs which
// look at once do not all find the same room.
func TestReserve(t *testing.T) {
	budget := NewBudget(4 << 20) // kept frames have 1 MiB, and stop growing at 7/8
	const large = 300 << 10
	keeping := int64(1 << 20) // the log has more than its part
	reserve := func(bytes int64) bool {
		ok, _ := budget.Reserve(keeping, bytes)
		return ok
	}
	reserved := 0
	for reserve(large) {
		reserved++
	}
	if reserved != 2 {
		t.Fatalf("there is room for %d frames", reserved)
	}
	_, freed := budget.Reserve(keeping, large)
	budget.Unreserve(large)
	if !closed(freed) || !reserve(large) {
		t.Fatal("what is given back is not to be had")
	}
	l := New(Params{Events: 100, Bytes: 1 << 30, Hold: true, Budget: budget})
	defer l.Discard()
	fill(l, strings.Repeat("x", large))
	budget.Unreserve(large)
	ok, freed := budget.Reserve(keeping, large)
	if ok {
		t.Fatal("a frame that is kept takes no room")
	}
	l.Release(1)
	if !closed(freed) || !reserve(large) {
		t.Fatal("a reader that has read gives no room back")
	}
	budget.Unreserve(large)
	budget.Unreserve(large)
	if !reserve(10<<20) || reserve(1) {
		t.Fatal("a frame larger than the share is to be let in, and alone")
	}
	if _, freed = budget.Reserve(keeping, 10<<20); closed(freed) {
		t.Fatal("another one is let in beside it")
	}
	budget.Unreserve(10 << 20)
	if !closed(freed) {
		t.Fatal("and the next one after it")
	}
}

// Logs that wait for room are woken when there is enough for one of them, and not by
// each frame that a reader takes.
func TestLogsThatWaitAreWokenWhenThereIsEnough(t *testing.T) {
	budget := NewBudget(4 << 20)
	log := func(frames ...string) *Log {
		l := New(Params{Events: 1000, Bytes: 1 << 30, Hold: true, Budget: budget})
		t.Cleanup(l.Discard)
		return fill(l, frames...)
	}
	frame := strings.Repeat("x", 280<<10)
	large, small := log(frame, frame, frame), log("a")
	wait := func(bytes int64) <-chan struct{} {
		ok, freed := budget.Reserve(1<<20, bytes)
		if ok {
			t.Fatal("there is room")
		}
		return freed
	}
	freed := wait(300 << 10)
	small.Release(1)
	if closed(freed) {
		t.Error("woken by a frame of a byte")
	}
	if wait(200<<10) != freed {
		t.Error("those that wait are not woken together")
	}
	large.Release(1)
	if !closed(freed) {
		t.Error("not woken though there is room")
	}
	freed = wait(600 << 10)
	budget.SetLimit(8 << 20)
	if !closed(freed) {
		t.Error("not woken by a higher limit")
	}
}

// The last part of the share is for logs that keep no more than their equal part.
func TestReserveOfAnEqualPart(t *testing.T) {
	budget := NewBudget(4 << 20)
	for range 3 {
		l := New(Params{Events: 1000, Bytes: 1 << 30, Hold: true, Budget: budget})
		t.Cleanup(l.Discard)
		fill(l, strings.Repeat("x", 280<<10))
	}
	const part = 200 << 10 // of 7/8 of 1 MiB, among three and the one that asks
	if ok, _ := budget.Reserve(0, 100<<10); !ok {
		t.Error("there is no room for a log that keeps nothing")
	}
	if ok, _ := budget.Reserve(part, 100<<10); ok {
		t.Error("there is for one that has its part")
	}
	if ok, _ := budget.Reserve(0, 100<<10); ok {
		t.Error("the share is exceeded")
	}
	done := budget.Wait()
	defer done()
	if before := budget.Share(); before != budget.heldPace()/5 {
		t.Errorf("the part is %d bytes while another log waits", before)
	}
}

func TestPinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Params{Events: 100, Bytes: 1 << 30, Hold: true})
		fill(l, strings.Repeat("x", 100_000), "a")
		time.Sleep(time.Second)
		if memory, since := l.Pinned(); memory < 100_000 || since != time.Second {
			t.Fatal(memory, since)
		}
		l.Release(1)
		if memory, since := l.Pinned(); memory != smallestSegment || since != 0 {
			t.Fatal(memory, since)
		}
		l.Release(2)
		if memory, _ := l.Pinned(); memory != 0 {
			t.Fatal(memory)
		}
	})
}

// No more of what was released goes than the budget asks for.
func TestHoldGivesNoMoreThanIsAskedFor(t *testing.T) {
	const limit = 512 << 10
	budget := NewBudget(limit)
	l := ticking(3000, Params{Events: 10_000, Bytes: 1 << 30, Hold: true, Budget: budget})
	defer l.Discard()
	if budget.Held() <= limit || budget.Over() || budget.Trim() {
		t.Fatalf("%d bytes, of them %d kept", budget.Used(), budget.Held())
	}
	l.Release(3000)
	used := budget.Used()
	if !budget.Trim() || budget.Used() >= used {
		t.Fatal("what is released after a trim that found nothing is not to be had")
	}
	fill(l, "a")
	const ordinary = limit - limit/4
	if used := budget.Used(); used > ordinary+largestSegment || used <= ordinary-2*largestSegment || used != audit(t, l) {
		t.Fatalf("%d bytes are left of %d", used, limit)
	}
}
