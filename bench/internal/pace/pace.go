package pace

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Names of paces that are not a rate.
const (
	Idle      = "idle"   // nothing is sent
	Unlimited = "max"    // as fast as the reader lets
	Windowed  = "window" // as a Window allows
)

// late is from when on an event's moment is the one at which it was due, and
// not the one at which it is sent: a sender that is held up must not hide how
// late its events are, and one whose timer is coarse must not add to them.
const late = time.Millisecond

// Pace is one way to send.
type Pace struct {
	name   string
	rate   float64 // events a second
	window *Window
}

// Parse returns the pace of a name: one of those above, or a rate in events a
// second. The window may be nil where it is not asked for.
func Parse(name string, window *Window) (Pace, error) {
	switch name {
	case Idle, Unlimited:
		return Pace{name: name}, nil
	case Windowed:
		if window == nil {
			return Pace{}, fmt.Errorf("pace %q: there is no window", name)
		}
		return Pace{name: name, window: window}, nil
	}
	rate, err := strconv.ParseFloat(name, 64)
	if err != nil || math.IsNaN(rate) || rate <= 0 || rate > 1e6 {
		return Pace{}, fmt.Errorf("%q is no pace: %s, %s, %s, or a rate", name, Idle, Unlimited, Windowed)
	}
	return Pace{name: name, rate: rate}, nil
}

// Run calls send with the places from 1, each when it is due, until ctx is done
// or send fails; it returns why.
func (p Pace) Run(ctx context.Context, send func(place uint64, sent time.Time) error) error {
	if p.name == Idle {
		<-ctx.Done()
		return ctx.Err()
	}
	schedule := p.Schedule(time.Now())
	for place := uint64(1); ; place++ {
		sent, err := p.wait(ctx, schedule, place)
		if err != nil {
			return err
		}
		if err := send(place, sent); err != nil {
			return err
		}
	}
}

// wait waits until an event is due and returns its moment.
func (p Pace) wait(ctx context.Context, schedule Schedule, place uint64) (time.Time, error) {
	switch p.name {
	case Unlimited:
		return time.Now(), ctx.Err()
	case Windowed:
		err := p.window.Wait(ctx, place)
		return time.Now(), err
	default:
		if err := until(ctx, schedule.Due(place)); err != nil {
			return time.Time{}, err
		}
		return schedule.Moment(place, time.Now()), nil
	}
}

// until waits for a moment.
func until(ctx context.Context, moment time.Time) error {
	wait := time.Until(moment)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Schedule is when the events of a fixed rate are due.
type Schedule struct {
	start time.Time
	every time.Duration
}

// Schedule returns the schedule of a rate from a moment on.
func (p Pace) Schedule(start time.Time) Schedule {
	if p.rate == 0 {
		return Schedule{start: start}
	}
	return Schedule{start, time.Duration(float64(time.Second) / p.rate)}
}

// Due returns when the event at a place, from 1, is due.
func (s Schedule) Due(place uint64) time.Time {
	return s.start.Add(time.Duration(place) * s.every) //nolint:gosec // no run is that long
}

// Moment returns the moment that an event carries which is sent now.
func (s Schedule) Moment(place uint64, now time.Time) time.Time {
	if due := s.Due(place); now.Sub(due) > late {
		return due
	}
	return now
}
