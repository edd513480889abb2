package pace

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestARateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := Parse("30", nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		start := time.Now()
		var last uint64
		err = p.Run(ctx, func(place uint64, sent time.Time) error {
			if place != last+1 || sent.Sub(start).Round(time.Millisecond) != (time.Duration(place)*time.Second/30).Round(time.Millisecond) {
				t.Fatalf("place %d after %d, at %s", place, last, sent.Sub(start))
			}
			last = place
			return nil
		})
		if last != 300 || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%d events: %v", last, err)
		}
	})
}

func TestALateEventSaysWhenItWasDue(t *testing.T) {
	start := time.Unix(1700000000, 0)
	schedule := Pace{rate: 10}.Schedule(start)
	if got := schedule.Moment(1, start.Add(100*time.Millisecond+late)); !got.Equal(start.Add(100*time.Millisecond + late)) {
		t.Errorf("an event in time is of %s", got)
	}
	if got := schedule.Moment(1, start.Add(time.Second)); !got.Equal(start.Add(100 * time.Millisecond)) {
		t.Errorf("a late event is of %s", got)
	}
}

func TestNoPace(t *testing.T) {
	for _, name := range []string{"", "0", "-1", "fast", "1e9", "NaN", Windowed} {
		if _, err := Parse(name, nil); err == nil {
			t.Errorf("%q is a pace", name)
		}
	}
}

func TestTheWindowIsShutThenLetsSomeAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		window := NewWindow(8)
		p, err := Parse(Windowed, window)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var last uint64
		done := make(chan error)
		go func() {
			done <- p.Run(ctx, func(place uint64, _ time.Time) error {
				mu.Lock()
				defer mu.Unlock()
				last = place
				return nil
			})
		}()
		server, client := net.Pipe()
		go window.take(server)
		expect := func(want uint64) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if last != want {
				t.Fatalf("%d events were sent, want %d", last, want)
			}
		}
		expect(0)
		for _, place := range []uint64{0, 1, 5, 5, 20} {
			if err := Tell(client, place); err != nil {
				t.Fatal(err)
			}
			expect(place + 8)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		_ = client.Close()
		synctest.Wait()
	})
}
