package replay

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestARetainedLogStopsItsWriterAndLosesNothing(t *testing.T) {
	budget := NewBudget(10 << 10)
	l := New(Params{Events: 1000, Bytes: 1 << 30, Retain: true, Budget: budget})
	defer l.Discard()
	frame := strings.Repeat("x", 1000)
	for !budget.RetainedFull(l.pinnedReported.Load()) {
		if l.Full() {
			t.Fatal("full with memory left for retained frames")
		}
		fill(l, frame)
	}
	_, head := l.Bounds()
	if !l.Full() || budget.Over() || budget.Trim() {
		t.Fatal("unread frames are dropped, or the log is not full")
	}
	expectBounds(t, l, 0, head)
	l.Release(head)
	if l.Full() || budget.Retained() != 0 {
		t.Fatal("full without retained frames: its writer waits forever")
	}
	var floor uint64
	for range 40 { // Release drops frames that would exceed the budget
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
		t.Fatal("released frames cannot be trimmed")
	}
	audit(t, l)
}

// The order in which the logs grow does not matter.
func TestRetainedFramesCostOtherLogsNothing(t *testing.T) {
	const limit = 4 << 20
	budget := NewBudget(limit)
	shared := newTickLog(1000, Params{Events: 10_000, Bytes: 1 << 30, Budget: budget})
	defer shared.Discard()
	for range 3 {
		l := New(Params{Events: 10_000, Bytes: 1 << 30, Retain: true, Budget: budget})
		t.Cleanup(l.Discard)
		for !l.Full() {
			fill(l, strings.Repeat("x", 10_000))
		}
	}
	if budget.Over() || budget.RetainedOver() || budget.Retained() < limit/16 {
		t.Fatalf("%d bytes are used, %d of them by retained frames", budget.Used(), budget.Retained())
	}
	expectBounds(t, shared, 0, 1000)
}

// Each reader is always some frames behind. If the number of logs alone made them full, the bridge
// would read the messages of each stream one by one, at twice the cost.
func TestManyLogsMayRetainFramesAtOnce(t *testing.T) {
	budget := NewBudget(8 << 20)
	frame := strings.Repeat("x", 300)
	logs := make([]*Log, 50)
	for i := range logs {
		logs[i] = New(Params{Events: 10_000, Bytes: 1 << 20, Retain: true, Budget: budget})
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
			if round > 250 && taken < 10_000 { // the first logs have large segments
				t.Fatalf("round %d: full with %d bytes, while %d of %d bytes are retained", round, taken, budget.Retained(), budget.RetainedLimit())
			}
		}
	}
	if budget.RetainedOver() {
		t.Fatalf("%d bytes are retained, of %d", budget.Retained(), budget.RetainedLimit())
	}
}

// Its reader need not take small frames one at a time. With many logs, it is no more than the log's
// equal share.
func TestALogRetainsALittleWhenOthersHaveUsedTheMemory(t *testing.T) {
	pinned := func(others int) (bytes int64) {
		budget := NewBudget(16 << 20)
		large := strings.Repeat("x", int(budget.RetainedLimit())/others)
		for range others {
			stuck := New(Params{Events: 10, Bytes: 1 << 30, Retain: true, Budget: budget})
			t.Cleanup(stuck.Discard)
			fill(stuck, large)
		}
		l := New(Params{Events: 10_000, Bytes: 1 << 30, Retain: true, Budget: budget})
		t.Cleanup(l.Discard)
		for !l.Full() {
			fill(l, strings.Repeat("x", 40))
		}
		return l.Pinned()
	}
	if few := pinned(4); few <= minRetained || few > 2*minRetained {
		t.Errorf("among a few logs it is full with %d bytes", few)
	}
	if many := pinned(2000); many > minRetained/4 {
		t.Errorf("among many logs it is full with %d bytes", many)
	}
}

// Without it, many logs that check at once would all find the same memory free.
func TestReserveSetsMemoryAside(t *testing.T) {
	budget := NewBudget(4 << 20) // retained frames may take 1 MiB, and writers wait from 7/8 of it
	const large = 300 << 10
	pinned := int64(1 << 20) // pinned by the log: more than its share
	reserve := func(bytes int64) bool {
		ok, _ := budget.Reserve(pinned, bytes)
		return ok
	}
	reserved := 0
	for reserve(large) {
		reserved++
	}
	if reserved != 2 {
		t.Fatalf("%d frames can be reserved", reserved)
	}
	_, freed := budget.Reserve(pinned, large)
	budget.Unreserve(large)
	if !isClosed(freed) || !reserve(large) {
		t.Fatal("unreserved memory cannot be reserved")
	}
	l := New(Params{Events: 100, Bytes: 1 << 30, Retain: true, Budget: budget})
	defer l.Discard()
	fill(l, strings.Repeat("x", large))
	budget.Unreserve(large)
	ok, freed := budget.Reserve(pinned, large)
	if ok {
		t.Fatal("a retained frame takes no memory")
	}
	l.Release(1)
	if !isClosed(freed) || !reserve(large) {
		t.Fatal("a released frame frees no memory")
	}
	budget.Unreserve(large)
	budget.Unreserve(large)
	if !reserve(10<<20) || reserve(1) {
		t.Fatal("a frame larger than the limit is not let in, or not alone")
	}
	if _, freed = budget.Reserve(pinned, 10<<20); isClosed(freed) {
		t.Fatal("a second one is let in with it")
	}
	budget.Unreserve(10 << 20)
	if !isClosed(freed) {
		t.Fatal("the next one is not let in after it")
	}
}

// A small frame that a reader takes wakes none of them.
func TestWaitersWakeWhenThereIsEnoughMemory(t *testing.T) {
	budget := NewBudget(4 << 20)
	log := func(frames ...string) *Log {
		l := New(Params{Events: 1000, Bytes: 1 << 30, Retain: true, Budget: budget})
		t.Cleanup(l.Discard)
		return fill(l, frames...)
	}
	frame := strings.Repeat("x", 280<<10)
	large, small := log(frame, frame, frame), log("a")
	wait := func(bytes int64) <-chan struct{} {
		ok, freed := budget.Reserve(1<<20, bytes)
		if ok {
			t.Fatal("the memory can be reserved")
		}
		return freed
	}
	freed := wait(300 << 10)
	small.Release(1)
	if isClosed(freed) {
		t.Error("woken by a frame of a byte")
	}
	if wait(200<<10) != freed {
		t.Error("waiters do not share one channel")
	}
	large.Release(1)
	if !isClosed(freed) {
		t.Error("not woken though there is enough memory")
	}
	freed = wait(600 << 10)
	budget.SetLimit(8 << 20)
	if !isClosed(freed) {
		t.Error("not woken by a higher limit")
	}
}

func TestTheLastPartIsForLogsWithinTheirShare(t *testing.T) {
	budget := NewBudget(4 << 20)
	for range 3 {
		l := New(Params{Events: 1000, Bytes: 1 << 30, Retain: true, Budget: budget})
		t.Cleanup(l.Discard)
		fill(l, strings.Repeat("x", 280<<10))
	}
	const share = 200 << 10 // of 7/8 of 1 MiB, among three logs and the caller
	if ok, _ := budget.Reserve(0, 100<<10); !ok {
		t.Error("a log without pinned memory cannot reserve")
	}
	if ok, _ := budget.Reserve(share, 100<<10); ok {
		t.Error("a log that has its share can reserve")
	}
	if ok, _ := budget.Reserve(0, 100<<10); ok {
		t.Error("the limit can be exceeded")
	}
	done := budget.AddWaiter()
	defer done()
	if before := budget.Share(); before != budget.retainedSoftLimit()/5 {
		t.Errorf("the share is %d bytes while another log waits", before)
	}
}

func TestPinnedIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Params{Events: 100, Bytes: 1 << 30, Retain: true})
		fill(l, strings.Repeat("x", 100_000), "a")
		time.Sleep(time.Second)
		if memory, since := l.PinnedIdle(); memory < 100_000 || since != time.Second {
			t.Fatal(memory, since)
		}
		l.Release(1)
		if memory, since := l.PinnedIdle(); memory != smallestSegment || since != 0 {
			t.Fatal(memory, since)
		}
		l.Release(2)
		if memory, _ := l.PinnedIdle(); memory != 0 {
			t.Fatal(memory)
		}
	})
}

func TestARetainedLogDropsNoMoreThanTheBudgetRequires(t *testing.T) {
	const limit = 512 << 10
	budget := NewBudget(limit)
	l := newTickLog(3000, Params{Events: 10_000, Bytes: 1 << 30, Retain: true, Budget: budget})
	defer l.Discard()
	if budget.Retained() <= limit || budget.Over() || budget.Trim() {
		t.Fatalf("%d bytes, %d of them retained", budget.Used(), budget.Retained())
	}
	l.Release(3000)
	used := budget.Used()
	if !budget.Trim() || budget.Used() >= used {
		t.Fatal("frames released after a Trim without success cannot be trimmed")
	}
	fill(l, "a")
	const ordinary = limit - limit/4
	if used := budget.Used(); used > ordinary+largestSegment || used <= ordinary-2*largestSegment || used != audit(t, l) {
		t.Fatalf("%d bytes are left of %d", used, limit)
	}
}
