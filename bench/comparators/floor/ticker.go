package main

import (
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/pace"
)

// ticker says which events are due, to a thread that has other things to do than
// to wait for them.
type ticker struct {
	name     string
	window   *pace.Window
	schedule pace.Schedule
	place    uint64 // of the newest event
}

// newTicker makes one of a pace that has been found to be one.
func newTicker(name string, window *pace.Window) *ticker {
	t := &ticker{name: name, window: window}
	if p, err := pace.Parse(name, window); err == nil {
		t.schedule = p.Schedule(time.Now())
	}
	return t
}

// next returns the event that is due, if one is.
func (t *ticker) next() (place uint64, sent time.Time, due bool) {
	now := time.Now()
	switch t.name {
	case pace.Idle:
		return 0, now, false
	case pace.Windowed:
		if t.place >= t.window.Limit() {
			return 0, now, false
		}
	case pace.Unlimited:
	default:
		if now.Before(t.schedule.Due(t.place + 1)) {
			return 0, now, false
		}
		now = t.schedule.Moment(t.place+1, now)
	}
	t.place++
	return t.place, now, true
}

// wait returns how long it is until the next event, negative for as long as it takes.
func (t *ticker) wait() time.Duration {
	switch t.name {
	case pace.Idle:
		return -1
	case pace.Windowed:
		if t.place < t.window.Limit() {
			return 0
		}
		return -1 // the window wakes the thread up
	case pace.Unlimited:
		return 0
	default:
		return max(0, time.Until(t.schedule.Due(t.place+1)))
	}
}
