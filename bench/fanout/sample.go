package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/pace"
	"github.com/ssebridge/ssebridge/bench/internal/procfs"
)

// patience is how long after a window clients may get what belongs to it, but
// for streams that are sent as fast as they are read.
const patience = 20 * time.Second

// sample is one window of one contender.
type sample struct {
	load.Result

	user, system time.Duration // of the server's processes
}

// events returns how many events all clients got; where some only count bytes,
// they are taken to have got as many as the others.
func (s sample) events() float64 {
	if s.Counted == 0 {
		return 0
	}
	return float64(s.Events) * float64(s.Clients) / float64(s.Counted)
}

// perEvent returns the server's time on a processor for an event that one client
// got, in microseconds.
func (s sample) perEvent() float64 {
	return ratio(float64((s.user+s.system).Nanoseconds())/1000, s.events())
}

// rate returns the deliveries in a second.
func (s sample) rate() float64 { return ratio(s.events(), s.Seconds) }

// missing returns how many events did not come, or came twice, and how many
// clients got nothing, or not all, or were cut.
func (s sample) missing() uint64 {
	return s.Lost + s.Doubled + uint64(s.Silent+s.Behind+s.Closed) //nolint:gosec // counts
}

// ratio is 0 where there is nothing to divide by.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// measure opens a window for a contender's clients and shuts it again.
func (l *lab) measure(ctx context.Context, c *contender, duration time.Duration) (sample, error) {
	if _, err := c.lines.order(load.Start, 0); err != nil {
		return sample{}, err
	}
	user, system, err := procfs.CPU(c.pids()...)
	if err != nil {
		return sample{}, err
	}
	if err := pause(ctx, duration); err != nil {
		return sample{}, err
	}
	userThen, systemThen, err := procfs.CPU(c.pids()...)
	if err != nil {
		return sample{}, err
	}
	result, err := c.lines.stop(c.patience)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", c.name, err)
	}
	return sample{Result: result, user: userThen - user, system: systemThen - system}, c.died()
}

// pause waits.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once starts a contender, gives it clients, measures a window and stops it.
func (l *lab) once(ctx context.Context, start starter, want want, clients int, compressed bool) (sample, error) {
	c, err := start(ctx, l, want)
	if err != nil {
		return sample{}, err
	}
	defer c.stop()
	if want.pace == pace.Unlimited {
		c.patience = 0
	}
	if err := l.attach(c, want, compressed); err != nil {
		return sample{}, err
	}
	if err := c.lines.connect(clients); err != nil {
		return sample{}, fmt.Errorf("%s: %w", c.name, err)
	}
	if c.begin != nil {
		if err := c.begin(ctx); err != nil {
			return sample{}, err
		}
	}
	if err := pause(ctx, max(l.settle, want.settle)); err != nil {
		return sample{}, err
	}
	s, err := l.measure(ctx, c, l.duration)
	if want.pace == pace.Unlimited {
		s.Behind = 0 // all are: what was sent in the window is on its way for seconds
	}
	return s, err
}
