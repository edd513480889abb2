package replay

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestRetainKeepsUnreadFrames(t *testing.T) {
	l := New(Params{Events: 2, Bytes: 1 << 20, Retain: true})
	fill(l, "a")
	if l.Full() {
		t.Fatal("full with one frame of two")
	}
	fill(l, "b")
	if !l.Full() {
		t.Fatal("not full")
	}
	fill(l, "c", "d") // beyond the bound, since the writer does not wait
	expectBounds(t, l, 0, 4)
	l.Release(1)
	if !l.Full() {
		t.Fatal("not full with three retained frames")
	}
	l.Release(3)
	if l.Full() {
		t.Fatal("full with one retained frame")
	}
	expectBounds(t, l, 2, 4)
	if got := readAll(t, l, 2); got != "c d" {
		t.Fatal(got)
	}
	l.Release(99) // beyond the head: releases all frames
	fill(l, "e")
	if l.Full() {
		t.Fatal("full with one retained frame")
	}
	expectBounds(t, l, 3, 5)
}

func TestRetainCountsBytes(t *testing.T) {
	l := New(Params{Events: 100, Bytes: 10, Retain: true})
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
		t.Fatal("full with 8 retained bytes")
	}
	l.Release(0) // a reader returns that has received nothing
	if !l.Full() {
		t.Fatal("not full with 12 bytes retained again")
	}
	l.Release(3)
	expectBounds(t, l, 1, 3) // 8 bytes fit
	l.Release(0)             // dropped frames cannot be retained
	if l.Full() {
		t.Fatal("full with dropped frames")
	}
	fill(l, "dddd")
	expectBounds(t, l, 1, 4)
}

func TestRetainedFramesDoNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Params{Events: 100, Bytes: 1 << 20, Age: time.Second, Retain: true})
		fill(l, "a", "b", "c")
		l.Release(1)
		time.Sleep(time.Hour)
		expectBounds(t, l, 1, 3)
	})
}

func TestReleaseWithoutRetain(t *testing.T) {
	l := fill(New(Params{Events: 2, Bytes: 1}), "a", "b")
	l.Release(0)
	if l.Full() {
		t.Fatal("a log that is not retained is full")
	}
	expectBounds(t, l, 1, 2)
}
