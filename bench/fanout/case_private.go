package main

import (
	"context"

	"github.com/ssebridge/ssebridge/bench/internal/pace"
)

// theGateway is the contender for private streams.
const theGateway = "grpc-gateway"

// private returns the contenders that open an RPC for each client.
func private() []entry {
	return []entry{
		{name: ours, start: bridge},
		{name: theGateway, start: carrying(theGateway, "gateway")},
		{name: theRelay, start: carrying(theRelay, "relay")},
	}
}

// collectedOften is the bridge with a collection of garbage each 30 % of what is in use, however
// little that is: what its pace of collections is compared with.
const collectedOften = "ssebridge, GOGC=30"

func privatePaced(ctx context.Context, l *lab, r *report) error {
	entries := private()
	found, err := l.race(ctx, want{pace: "30", route: routePrivate}, 1000, entries)
	if err != nil {
		return err
	}
	found.tabulate(r, entries)
	found.plot(r, entries, sample.perEvent)
	r.notef("CPU of an event, to grpc-gateway's: %.2f× (no bar when paced)", found.against(ours, theGateway, sample.perEvent))
	r.none("lost, doubled or cut", found.lost(ours))
	return nil
}

func privateSaturated(ctx context.Context, l *lab, r *report) error {
	entries := append(private(), entry{name: collectedOften, start: bridgeWith("GOGC=30")})
	w := want{pace: pace.Unlimited, route: routePrivate}
	found, err := l.race(ctx, w, 1000, entries)
	if err != nil {
		return err
	}
	found.tabulate(r, entries)
	found.plot(r, entries, sample.perEvent)
	r.atMost("CPU of an event, to grpc-gateway's", found.against(ours, theGateway, sample.perEvent), 0.35, "×")
	r.notef("CPU of an event, to that with GOGC=30: %.2f× (the logs of 1,000 streams are much in use, so collections are far apart anyway)",
		found.against(ours, collectedOften, sample.perEvent))
	r.none("lost, doubled or cut", found.lost(ours))
	r.notef("When the senders do not wait, latencies measure the events on their way, not the speed.")
	return l.breakDown(ctx, r, w, found.median(ours, sample.perEvent))
}

// privateAlone is one stream, of which little is in use: how far collections of garbage are
// apart matters most there.
func privateAlone(ctx context.Context, l *lab, r *report) error {
	entries := []entry{
		{name: ours, start: bridge},
		{name: collectedOften, start: bridgeWith("GOGC=30")},
		{name: theGateway, start: carrying(theGateway, "gateway")},
	}
	found, err := l.race(ctx, want{pace: pace.Unlimited, route: routePrivate}, 1, entries)
	if err != nil {
		return err
	}
	found.tabulate(r, entries)
	found.plot(r, entries, sample.perEvent)
	r.atMost("CPU of an event, to that with GOGC=30", found.against(ours, collectedOften, sample.perEvent), 0.85, "×")
	r.none("lost, doubled or cut", found.lost(ours))
	return nil
}
