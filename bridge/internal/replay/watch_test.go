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
	fill(l, "d") // is not appended
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

func TestNotifyWakesTheWaiters(t *testing.T) {
	l := fill(New(roomy), "a")
	waiting := l.Grown(1)
	l.Notify()
	if !closed(waiting) {
		t.Fatal("a waiting reader is not told of a notice")
	}
	if closed(l.Grown(1)) {
		t.Fatal("a notice is told again")
	}
	discarded := l.Grown(1)
	l.Discard()
	if !closed(discarded) {
		t.Fatal("a waiting reader is not told that the log is no more")
	}
}

// Watchers that come and go while frames come: each is told of all between.
func TestWatchersComeAndGo(t *testing.T) {
	l := New(Params{Events: 10, Bytes: 1 << 20})
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for !closed(stop) {
			l.Append([]byte("a"), "")
		}
	}()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				var woken atomic.Int64
				told := make(chan struct{}, 1)
				stop := l.Watch(func() {
					if woken.Add(1) == 5 {
						told <- struct{}{}
					}
				})
				<-told
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
