package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/histogram"
)

const (
	// connectsEach is how many connections a client of a restarted bridge may try.
	connectsEach = 1.2
	// backWithin is the time after the start of the next process in which all clients are
	// back, if it is ready in goneAndBack.
	backWithin = 3 * time.Second
	// goneAndBack is the time after SIGTERM in which the next process has to be ready: the
	// first client connects after it. On a busy machine the two processes take longer, and
	// connections are refused meanwhile.
	goneAndBack = 500 * time.Millisecond
)

// restart is the end and the next start of a bridge that has no other beside it.
type restart struct {
	soak    *soak
	signal  time.Time // SIGTERM
	started time.Time // the next process was
	ready   time.Time // the next process says so

	asks, connects, lost int
	early                int           // connections, not among connects, that came before a late process was ready
	late                 time.Duration // how long after the start the last client was back
	without              histogram.Histogram
}

// restarted ends and starts the only bridge, under its clients.
func (s *soak) restarted(ctx context.Context) error { return s.watched(ctx, &restart{soak: s}) }

func (r *restart) act(ctx context.Context, _ *sync.WaitGroup, _ time.Time) error {
	s := r.soak
	r.signal = time.Now()
	s.bridges[0].stop()
	r.started = time.Now()
	if err := s.bridges[0].start(ctx); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	r.ready = time.Now()
	return nil
}

func (r *restart) acted() bool { return !r.started.IsZero() }

func (r *restart) read() {
	from := r.started
	if slow := r.ready.Add(-goneAndBack); slow.After(from) {
		from = slow
	}
	for _, w := range r.soak.watchers {
		early := 0
		for _, e := range w.journal.entries {
			if e.what == asked && e.word == retryDrain && e.at.After(r.signal) {
				r.asks++
			}
			if e.what == connects && e.at.After(r.signal.Add(goneAndBack)) && e.at.Before(r.ready) {
				early++
			}
		}
		c, _ := crossingOf(w.journal, r.signal, retryDrain)
		early = min(early, max(0, len(c.to)-1)) // the last is the one that counts, whenever it was
		r.early += early
		r.connects += len(c.to) - early
		if c.back.IsZero() {
			r.lost++
			continue
		}
		r.late = max(r.late, c.back.Sub(from))
		r.without.Count(c.back.Sub(c.left))
	}
}

func (r *restart) clients() int { return len(r.soak.watchers) }

// each is how many of something there were for each client.
func (r *restart) each(n int) float64 { return float64(n) / float64(max(1, r.clients())) }

func (r *restart) report() {
	say := r.soak.sayf
	say("\nrestart: %d clients of a bridge that is alone\n", r.clients())
	say("the process ended %s after SIGTERM, and the next was started\n", r.started.Sub(r.signal).Round(time.Millisecond))
	say("asked to come back (stream-retry drain): %d, %.2f for each client\n", r.asks, r.each(r.asks))
	say("connections tried: %d, %.2f for each client; at most %.1f; %d more before the next process was ready, %s after SIGTERM\n",
		r.connects, r.each(r.connects), connectsEach, r.early, r.ready.Sub(r.signal).Round(time.Millisecond))
	say("all clients were back %s after the start (or %s before it was ready, if that is later); at most %s\n",
		r.late.Round(time.Millisecond), goneAndBack, backWithin)
	r.soak.sayWithout(&r.without)
}

func (r *restart) verdict() error {
	var wrong []error
	// On any machine the processes have the margin: a bridge that is slower is at fault itself.
	margin := r.soak.settings.margin
	if took := r.started.Sub(r.signal); took > margin {
		wrong = append(wrong, fmt.Errorf("the process ended %s after SIGTERM", took))
	}
	if took := r.ready.Sub(r.started); took > margin {
		wrong = append(wrong, fmt.Errorf("the next process was ready %s after its start", took))
	}
	if r.asks != r.clients() {
		wrong = append(wrong, fmt.Errorf("%d clients were asked %d times to come back", r.clients(), r.asks))
	}
	if r.each(r.connects) > connectsEach {
		wrong = append(wrong, fmt.Errorf("each client tried %.2f connections", r.each(r.connects)))
	}
	if r.lost > 0 || r.late > backWithin {
		wrong = append(wrong, fmt.Errorf("%d clients are not back, the last of the others came %s after the start", r.lost, r.late))
	}
	return errors.Join(wrong...)
}
