package topic

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ssebridge/ssebridge/internal/pause"
)

// Backoff spaces the attempts to reach a backend.
type Backoff struct {
	Initial time.Duration // before the second attempt, jittered
	Max     time.Duration // it doubles up to here
}

// pace is the state of a topic's backoff.
type pace struct {
	backoff Backoff
	delay   time.Duration // before the next attempt; 0: none has failed
	next    time.Time     // the earliest time of the next attempt
}

// ended notes the end of an RPC; worked says that it counts as a success.
func (p *pace) ended(now time.Time, worked bool) {
	if p.delay == 0 || worked {
		p.delay = p.backoff.Initial
	} else {
		p.delay = min(2*p.delay, p.backoff.Max)
	}
	// Between half and all of the delay, so that topics that broke together are not reopened
	// together.
	p.next = now.Add(p.delay/2 + rand.N(p.delay/2+1))
}

// wait waits until the next attempt may be made. It returns false if ctx ended.
func (p *pace) wait(ctx context.Context) bool {
	return pause.For(ctx, time.Until(p.next)) == nil
}
