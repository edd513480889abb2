package main

import "context"

// theRelay is the contender that does no more than it must.
const theRelay = "bare grpc-go"

// goal is the p50 that would be good, in microseconds.
const goal = 150

func latencyOne(ctx context.Context, l *lab, r *report) error {
	entries := []entry{
		{name: ours, start: bridge},
		{name: theRelay, start: carrying(theRelay, "relay")},
	}
	found, err := l.race(ctx, want{pace: "200"}, 1, entries)
	if err != nil {
		return err
	}
	found.tabulate(r, entries)
	found.plot(r, entries, func(s sample) float64 { return 1000 * s.p50() })
	r.atMost("p50 from backend to client, to a bare grpc-go client's", found.against(ours, theRelay, sample.p50), 1.5, "×")
	r.notef("p50 %.0f µs, of which the bridge adds %.0f µs; the goal is %d µs.", 1000*found.median(ours, sample.p50),
		1000*(found.median(ours, sample.p50)-found.median(theRelay, sample.p50)), goal)
	r.none("lost, doubled or cut", found.lost(ours))
	return nil
}
