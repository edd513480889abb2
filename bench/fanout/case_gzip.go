package main

import (
	"context"
	"time"
)

// compressed is the name of the bridge whose clients ask for gzip.
const compressed = "ssebridge, gzip"

func gzipped(ctx context.Context, l *lab, r *report) error {
	entries := []entry{
		{name: compressed, start: bridge, compressed: true},
		{name: ours, start: bridge},
	}
	// A new client gets events without a dictionary until the next chain begins,
	// at most 32 events later. The case measures clients that are past that.
	found, err := l.race(ctx, want{pace: "30", settle: 2 * time.Second}, 1000, entries)
	if err != nil {
		return err
	}
	found.tabulate(r, entries)
	found.plot(r, entries, sample.size)
	for _, s := range found[compressed] {
		if s.Encoded != s.Clients {
			r.notef("%d of %d responses are compressed.", s.Encoded, s.Clients)
		}
	}
	r.atMost("bytes of an event, to plain ones", found.against(compressed, ours, sample.size), 0.40, "×")
	r.atMost("CPU of an event, to plain ones", found.against(compressed, ours, sample.perEvent), 1.2, "×")
	r.notef("p50 is %.2f times that of plain ones; one client in ten decompresses, and its events are counted.",
		found.against(compressed, ours, sample.p50))
	r.notef("Clients are there for two seconds: a new client gets events of this size uncompressed, until 32 more have been sent.")
	r.none("lost, doubled or cut", found.lost(compressed))
	return nil
}
