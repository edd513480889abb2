package replay

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestWatch(t *testing.T) {
	l := New(roomy)
	var first, second int
	stopFirst := l.Watch(func() {
		l.Bounds() // the log is not locked
		first++
	})
	expect := func(wantFirst, wantSecond int) {
		t.Helper()
		if first != wantFirst || second != wantSecond {
			t.Fatalf("woken %d and %d times, want %d and %d", first, second, wantFirst, wantSecond)
		}
	}
	fill(l, "a")
	stopSecond := l.Watch(func() { second++ })
	expect(1, 0)
	fill(l, "b", "c")
	expect(3, 2)
	l.Notify()
	expect(4, 3)
	stopFirst()
	stopFirst()
	l.Close()
	expect(4, 4)
	fill(l, "d") // is not appended to a closed log
	expect(4, 4)
	l.Discard()
	expect(4, 5)
	stopSecond()
	l.Notify()
	expect(4, 5)
	if l.Notices() != 4 {
		t.Fatalf("%d notices", l.Notices())
	}
}

func TestNotifyWakesWaitingReaders(t *testing.T) {
	l := fill(New(roomy), "a")
	waiting := l.Grown(1)
	l.Notify()
	if !isClosed(waiting) {
		t.Fatal("a waiting reader is not woken by Notify")
	}
	if isClosed(l.Grown(1)) {
		t.Fatal("Notify wakes a later wait")
	}
	discarded := l.Grown(1)
	l.Discard()
	if !isClosed(discarded) {
		t.Fatal("a waiting reader is not woken by Discard")
	}
}

// Watchers are added and removed while frames are appended. Each is notified of every frame meanwhile.
func TestConcurrentWatchersAreNotified(t *testing.T) {
	l := New(Params{Events: 10, Bytes: 1 << 20})
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for !isClosed(stop) {
			l.Append([]byte("a"), "")
		}
	}()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				var woken atomic.Int64
				notified := make(chan struct{}, 1)
				stop := l.Watch(func() {
					if woken.Add(1) == 5 {
						notified <- struct{}{}
					}
				})
				<-notified
				stop()
			}
		})
	}
	all.Wait()
	close(stop)
	<-ended
	if left := *l.watchers.Load(); len(left) != 0 {
		t.Fatalf("%d watchers are left", len(left))
	}
}
