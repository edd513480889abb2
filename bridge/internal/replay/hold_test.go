package replay

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestHold(t *testing.T) {
	l := New(Params{Events: 2, Bytes: 1 << 20, Hold: true})
	fill(l, "a")
	if l.Full() {
		t.Fatal("full with one frame of two")
	}
	fill(l, "b")
	if !l.Full() {
		t.Fatal("not full")
	}
	fill(l, "c", "d") // a writer that does not wait loses nothing
	expectBounds(t, l, 0, 4)
	l.Release(1)
	if !l.Full() {
		t.Fatal("three frames are to be held")
	}
	l.Release(3)
	if l.Full() {
		t.Fatal("full with one to be held")
	}
	expectBounds(t, l, 2, 4)
	if got := rest(t, l, 2); got != "c d" {
		t.Fatal(got)
	}
	l.Release(99) // as far as there is
	fill(l, "e")
	if l.Full() {
		t.Fatal("full with one to be held")
	}
	expectBounds(t, l, 3, 5)
}

func TestHoldCountsBytes(t *testing.T) {
	l := New(Params{Events: 100, Bytes: 10, Hold: true})
	fill(l, "aaaa", "bbbb")
	if l.Full() {
		t.Fatal("full with 8 of 10 bytes")
	}
	fill(l, "cccc")
	if !l.Full() {
		t.Fatal("not full with 12")
	}
	l.Release(1)
	if l.Full() {
		t.Fatal("full with 8 to be held")
	}
	l.Release(0) // a reader comes back that has got nothing
	if !l.Full() {
		t.Fatal("not full with 12 to be held again")
	}
	l.Release(3)
	expectBounds(t, l, 1, 3) // 8 bytes fit
	l.Release(0)             // what has gone cannot be held
	if l.Full() {
		t.Fatal("full with what has gone")
	}
	fill(l, "dddd")
	expectBounds(t, l, 1, 4)
}

func TestHoldAgainstAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Params{Events: 100, Bytes: 1 << 20, Age: time.Second, Hold: true})
		fill(l, "a", "b", "c")
		l.Release(1)
		time.Sleep(time.Hour)
		expectBounds(t, l, 1, 3)
	})
}

func TestReleaseWithoutHold(t *testing.T) {
	l := fill(New(Params{Events: 2, Bytes: 1}), "a", "b")
	l.Release(0)
	if l.Full() {
		t.Fatal("a log that does not hold is never full")
	}
	expectBounds(t, l, 1, 2)
}
