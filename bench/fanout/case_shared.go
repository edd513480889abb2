package main

import (
	"context"

	"github.com/ssebridge/ssebridge/bench/internal/pace"
)

// Names of contenders.
const (
	ours     = "ssebridge"
	theFloor = "floor"
	theNchan = "nchan"
	theNaive = "net/http"
	theGoSSE = "go-sse"
)

// shared returns the contenders that send one stream to everybody, with a floor
// that coalesces or one that does not.
func shared(floor entry) []entry {
	return []entry{
		{name: ours, start: bridge},
		floor,
		{name: theNchan, start: nchan},
		{name: theNaive, start: ticking(theNaive, "naive")},
		{name: theGoSSE, start: ticking(theGoSSE, "gosse")},
	}
}

func plainFloor() entry { return entry{name: theFloor, start: ticking(theFloor, "floor")} }

func coalescingFloor() entry {
	return entry{name: theFloor, start: ticking(theFloor, "floor", "-coalesce")}
}

func fanoutPaced(ctx context.Context, l *lab, r *report) error {
	entries := shared(plainFloor())
	found, err := l.race(ctx, want{pace: "30"}, 1000, entries)
	if err != nil {
		return err
	}
	found.tabulate(r, entries)
	found.plot(r, entries, sample.perEvent)
	r.atMost("CPU of an event, to the floor's", found.against(ours, theFloor, sample.perEvent), 1.3, "×")
	r.atMost("CPU of an event, to nchan's", found.against(ours, theNchan, sample.perEvent), 0.9, "×")
	r.none("lost, doubled or cut", found.lost(ours))
	return nil
}

func fanoutSaturated(ctx context.Context, l *lab, r *report) error {
	entries := shared(coalescingFloor())
	found, err := l.race(ctx, want{pace: pace.Windowed}, 1000, entries)
	if err != nil {
		return err
	}
	found.tabulate(r, entries)
	found.plot(r, entries, sample.perEvent)
	r.atMost("CPU of an event, to the coalescing floor's", found.against(ours, theFloor, sample.perEvent), 1.6, "×")
	r.atLeast("deliveries a second, to nchan's", found.against(ours, theNchan, sample.rate), 3, "×")
	r.none("lost, doubled or cut", found.lost(ours))
	return nil
}

func fanoutMany(ctx context.Context, l *lab, r *report) error {
	entries := shared(coalescingFloor())
	for i := range entries[2:] {
		entries[2+i].once = true // they take half a minute each, being behind
	}
	found, err := l.race(ctx, want{pace: "20"}, 10000, entries)
	if err != nil {
		return err
	}
	found.tabulate(r, entries)
	found.plot(r, entries, sample.p99)
	r.atMost("p99, to the coalescing floor's", found.against(ours, theFloor, sample.p99), 1.5, "×")
	r.none("lost, doubled or cut", found.lost(ours))
	return nil
}
