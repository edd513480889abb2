package proxy

import (
	"flag"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// rounds is how often the two bridges go and come in every order: `go test ./proxy -run TwoBridges -rounds 10`.
var rounds = flag.Int("rounds", 1, "how often each of two bridges behind a proxy is killed, drained and started")

const (
	// pages listen behind a proxy.
	pages = 300
	// soon is the time in which all of them have a stream again, whatever has happened to a bridge.
	soon = 5 * time.Second
)

// misfortunes are the faults of one of two bridges while the other runs. Each leaves
// it running again.
func misfortunes() map[string]func(t *testing.T, b *bridge, all func(while string)) {
	return map[string]func(t *testing.T, b *bridge, all func(while string)){
		"killed": func(t *testing.T, b *bridge, all func(string)) {
			b.process.Kill(t)
			all("is away")
			b.start(t)
			all("is back")
		},
		"drained": func(t *testing.T, b *bridge, all func(string)) {
			b.process.Signal(t, syscall.SIGTERM)
			all("drains")
			b.process.AwaitEnd(t)
			all("has drained")
			b.start(t)
			all("is back")
		},
	}
}

// TestTwoBridgesBehindAProxy kills, drains and starts each of two bridges. Whatever the order, all pages have a stream again
// within 5 s, no page stops for good, and each hears everything once.
func TestTwoBridgesBehindAProxy(t *testing.T) {
	t.Parallel()
	for _, f := range fronts() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2, time.Second, 2*time.Second)
			public := bridgetest.FreeAddress(t)
			f.start(t, public, s.bridges)
			c := gather(t, "http://"+public+"/rooms/hall/events", pages)
			said := 0
			// say has something said at a bridge that runs, and wants all pages to hear it soon.
			say := func(at *bridge, what string) {
				said++
				text := fmt.Sprintf("%d: %s.", said, what)
				at.say(t, "hall", text)
				began := time.Now()
				if heard := c.awaitAll(text, soon+bridgetest.Patience); heard != pages || time.Since(began) > soon {
					t.Errorf("%s: %d of %d pages had heard of it after %v", text, heard, pages, time.Since(began))
				}
			}
			// From their first message on the pages have a cursor, with which any bridge resumes them.
			if n := c.awaitAll(opened, bridgetest.Patience); n != pages {
				t.Fatalf("%d of %d pages have a stream", n, pages)
			}
			say(s.bridges[0], "both bridges run")
			for range *rounds {
				for name, happens := range misfortunes() {
					for i, b := range s.bridges {
						other := s.bridges[1-i]
						happens(t, b, func(while string) {
							say(other, fmt.Sprintf("bridge %d, %s, %s", i+1, name, while))
						})
					}
				}
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.stopped) > 0 || len(c.faults) > 0 {
				t.Errorf("%d pages stopped for good: %.3000q; %d were told what is wrong: %.3000q", len(c.stopped), c.stopped, len(c.faults), c.faults)
			}
		})
	}
}
