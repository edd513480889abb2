package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/histogram"
)

const (
	// exitMargin is how long a bridge may take to exit beyond drain.delay and drain.grace, as
	// docs/operations.md has it for stop timeouts; and to be ready after its start.
	exitMargin = 5 * time.Second
	// retryDrain is the reason for which a bridge that drains asks its clients to reconnect.
	retryDrain = "drain"
	// bar is how long the longest bar of a histogram is.
	bar = 50
)

// drainage is the drain of a bridge, as its clients see it.
type drainage struct {
	soak *soak
	from *bridge

	resident int64     // MiB, of the bridge while it had all clients
	signal   time.Time // SIGTERM
	unready  time.Time // /readyz first failed; zero: it never did
	exit     time.Time

	clients int
	told    []time.Time         // when clients were asked to reconnect, in order
	again   []time.Time         // when they did, in order
	astray  int                 // clients that came to the bridge that drains again
	twice   int                 // clients that needed more than one connection
	lost    int                 // clients that did not come back
	without histogram.Histogram // how long clients had no stream
}

// drained drains the bridge that has all clients, while another bridge takes them.
func (s *soak) drained(ctx context.Context) error {
	return s.watched(ctx, &drainage{soak: s, from: s.bridges[0]})
}

func (d *drainage) act(ctx context.Context, all *sync.WaitGroup, began time.Time) error {
	set := d.soak.settings
	d.resident = d.from.process.resident()
	d.signal = time.Now()
	all.Go(func() { d.unready = d.awaitUnready(ctx) })
	d.from.lives.Add(1)
	d.from.process.end(set.delay + set.grace + set.margin)
	d.exit = time.Now()
	d.soak.sayf("%s: %s has ended\n", time.Since(began).Round(time.Second), d.from.name)
	return nil
}

func (d *drainage) acted() bool { return !d.exit.IsZero() }

// awaitUnready returns when the bridge first says that it is not ready.
func (d *drainage) awaitUnready(ctx context.Context) time.Time {
	for d.from.ready(ctx, d.soak.balancer.client) {
		if pause(ctx, time.Millisecond) != nil {
			return time.Time{}
		}
	}
	return time.Now()
}

func (d *drainage) read() {
	for _, w := range d.soak.watchers {
		d.clients++
		c, told := crossingOf(w.journal, d.signal, retryDrain)
		if !told {
			continue
		}
		d.told = append(d.told, c.told)
		if len(c.to) > 0 {
			d.again = append(d.again, c.again)
		}
		if slices.Contains(c.to, d.from.listen) {
			d.astray++
		}
		if len(c.to) > 1 {
			d.twice++
		}
		if c.back.IsZero() {
			d.lost++
			continue
		}
		d.without.Count(c.back.Sub(c.left))
	}
	slices.SortFunc(d.told, time.Time.Compare)
	slices.SortFunc(d.again, time.Time.Compare)
}

// mean returns how many clients come back in a second if the grace spreads them evenly.
func (d *drainage) mean() float64 { return float64(d.clients) / d.soak.settings.grace.Seconds() }

func (d *drainage) report() {
	set, say := d.soak.settings, d.soak.sayf
	since := func(at time.Time) string {
		if at.IsZero() {
			return "never"
		}
		return at.Sub(d.signal).Round(time.Millisecond).String()
	}
	say("\ndrain: %d clients of %d streams on %s (%d MiB), an event every %s on each; drain.delay %s, drain.grace %s; %s\n",
		d.clients, set.rooms, d.from.name, d.resident, set.every, set.delay, set.grace, d.connections())
	say("after SIGTERM  %10s  /readyz says no\n", since(d.unready))
	if len(d.told) > 0 {
		say("               %10s  the first client is asked to come back\n", since(d.told[0]))
		say("               %10s  the last one is\n", since(d.told[len(d.told)-1]))
	}
	say("               %10s  exit, with %d: %s after drain.delay and drain.grace\n", since(d.exit), d.from.process.current().ExitCode(),
		d.exit.Sub(d.signal.Add(set.delay+set.grace)).Round(time.Millisecond))
	say("asked to come back (stream-retry drain): %d of %d\n", len(d.told), d.clients)
	say("reconnects, by the second since drain.delay was over:\n")
	counts := perSecond(d.again, d.signal.Add(set.delay))
	if len(counts) == 0 {
		return
	}
	longest := slices.Max(counts)
	for second, n := range counts {
		say("  %3d  %-*s %d\n", second, bar, strings.Repeat("#", n*bar/longest), n)
	}
	n := busiest(d.again)
	say("any one second: at most %d; the mean over the grace: %.0f; busiest / mean: %.2f\n", n, d.mean(), float64(n)/d.mean())
	d.soak.sayWithout(&d.without)
	if set.silence > 0 {
		say("the longest silence may be %s\n", set.silence)
	}
}

// connections says how clients were connected to the bridge that drained.
func (d *drainage) connections() string {
	if len(d.soak.pages) == 0 {
		return "HTTP/1.1, a connection for each"
	}
	return fmt.Sprintf("%s, %d streams a connection", d.soak.settings.framing, streamsOfPage)
}

func (d *drainage) verdict() error {
	set := d.soak.settings
	var wrong []error
	no := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	no(d.unready.IsZero() || len(d.told) > 0 && d.unready.After(d.told[0]), "readiness did not flip before clients were told")
	no(len(d.told) != d.clients, "%d of %d clients were asked to come back", len(d.told), d.clients)
	no(len(d.told) > 0 && d.told[0].Before(d.signal.Add(set.delay)), "a client was asked to come back before drain.delay was over")
	no(d.lost > 0, "%d clients have not got another stream", d.lost)
	no(d.astray > 0, "%d clients came to the bridge that drained again", d.astray)
	no(d.twice > 0, "%d clients had to connect more than once", d.twice)
	no(d.exit.Sub(d.signal) > set.delay+set.grace+set.margin, "the exit came %s after SIGTERM", d.exit.Sub(d.signal))
	no(set.silence > 0 && d.without.Max() > set.silence, "a client was without a stream for %s, at most %s were to be",
		d.without.Max().Round(time.Millisecond), set.silence)
	ratio := float64(busiest(d.again)) / d.mean()
	no(set.busiest > 0 && ratio > set.busiest, "the busiest second has %.2f times the mean, at most %.2f were to be", ratio, set.busiest)
	return errors.Join(wrong...)
}
