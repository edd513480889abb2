package main

import (
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/pace"
)

// TestContenders runs each contender that is written in Go with 20 clients, in
// every way that a case asks of it.
func TestContenders(t *testing.T) {
	l, err := newLab(t.Context(), settings{repetitions: 1, duration: 300 * time.Millisecond, window: 8, out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}()
	const rate = "100"
	for name, set := range map[string]struct {
		start starter
		wants []want
	}{
		"bridge":     {bridge, []want{{pace: rate}, {pace: pace.Windowed}, {pace: rate, route: routePrivate}, {pace: rate, transport: load.HTTP2}, {pace: rate, transport: load.TLS}}},
		"floor":      {ticking("floor", "floor"), []want{{pace: rate}}},
		"coalescing": {ticking("floor", "floor", "-coalesce"), []want{{pace: rate}, {pace: pace.Windowed}}},
		"naive":      {ticking("naive", "naive"), []want{{pace: rate}, {pace: pace.Windowed}, {pace: rate, transport: load.HTTP2}}},
		"naive, TLS": {ticking("naive", "naive", "-tls"), []want{{pace: rate, transport: load.TLS}}},
		"go-sse":     {ticking("gosse", "gosse"), []want{{pace: rate}, {pace: pace.Windowed}}},
		"gateway":    {carrying("gateway", "gateway"), []want{{pace: rate, route: routePrivate}, {pace: pace.Unlimited, route: routePrivate}}},
		"relay":      {carrying("relay", "relay"), []want{{pace: rate}, {pace: pace.Unlimited}}},
	} {
		for _, w := range set.wants {
			t.Run(name+" "+w.pace+" "+w.transport, func(t *testing.T) {
				s, err := l.once(t.Context(), set.start, w, 20, false)
				if err != nil {
					t.Fatal(err)
				}
				// A busy machine may leave a client without an event for as long as the window is.
				if s.Lost+s.Doubled != 0 || s.Closed+s.Behind != 0 || s.Clients != 20 || s.Events == 0 || s.size() < 200 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}
