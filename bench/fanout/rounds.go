package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// entry is a contender of a case.
type entry struct {
	name       string
	start      starter
	compressed bool // clients ask for gzip
	once       bool // one round is enough, or none if it fails: no bar is held against it
}

// rounds is what the contenders of a case have shown, by name, a sample for each
// round.
type rounds map[string][]sample

// race measures all entries in turn, as many times as there are repetitions.
func (l *lab) race(ctx context.Context, want want, clients int, entries []entry) (rounds, error) {
	all := rounds{}
	for round := range l.repetitions {
		for _, e := range entries {
			if e.once && round > 0 {
				continue
			}
			s, err := l.once(ctx, e.start, want, clients, e.compressed)
			if err != nil && e.once && ctx.Err() == nil {
				all[e.name] = nil // its row is empty, which says enough
				l.printf("%s: %s\n", e.name, err)
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.name, err)
			}
			all[e.name] = append(all[e.name], s)
		}
	}
	return all, nil
}

// median returns the median over a contender's rounds of a figure.
func (r rounds) median(name string, figure func(sample) float64) float64 {
	all := make([]float64, 0, len(r[name]))
	for _, s := range r[name] {
		all = append(all, figure(s))
	}
	return median(all)
}

// median returns the middle one, or the mean of the middle two; 0 of none.
func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	if n == 0 {
		return 0
	}
	return (all[(n-1)/2] + all[n/2]) / 2
}

// against returns the median over the rounds of the ratio of two contenders'
// figures, each of one round.
func (r rounds) against(name, other string, figure func(sample) float64) float64 {
	shared := min(len(r[name]), len(r[other]))
	all := make([]float64, 0, shared)
	for i := range shared {
		all = append(all, ratio(figure(r[name][i]), figure(r[other][i])))
	}
	return median(all)
}

// lost returns what was missing in all of a contender's rounds.
func (r rounds) lost(name string) uint64 {
	var lost uint64
	for _, s := range r[name] {
		lost += s.missing()
	}
	return lost
}

// behind reports whether a contender's clients ever did not get in time what was
// sent to them.
func (r rounds) behind(name string) bool {
	return slices.ContainsFunc(r[name], func(s sample) bool { return s.Behind > 0 })
}

func (s sample) p50() float64   { return milliseconds(s.P50) }
func (s sample) p99() float64   { return milliseconds(s.P99) }
func (s sample) worst() float64 { return milliseconds(s.Max) }

// inKernel returns the part of the server's time that it was in the kernel.
func (s sample) inKernel() float64 { return ratio(float64(s.system), float64(s.user+s.system)) }

// size returns the bytes on the wire of an event.
func (s sample) size() float64 { return ratio(float64(s.Bytes), s.events()) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// tabulate adds the usual columns for each entry.
func (r rounds) tabulate(to *report, entries []entry) {
	to.columns = []string{"", "µs/event", "in the kernel", "events/s", "bytes/event", "p50 ms", "p99 ms", "max ms", "missing"}
	for _, e := range entries {
		figure := func(f func(sample) float64, format string) string {
			if value := r.median(e.name, f); value > 0 {
				return fmt.Sprintf(format, value)
			}
			return "–"
		}
		latency := func(f func(sample) float64, format string) string {
			text := figure(f, format)
			switch {
			case !r.behind(e.name):
				return text
			case text == "–": // nothing came that was sent in the window
				return fmt.Sprintf("> "+format, milliseconds(patience))
			default:
				return "> " + text // what has not come is not in it
			}
		}
		to.row(e.name, figure(sample.perEvent, "%.2f"), figure(func(s sample) float64 { return 100 * s.inKernel() }, "%.0f %%"),
			figure(sample.rate, "%.0f"), figure(sample.size, "%.0f"), latency(sample.p50, "%.2f"), latency(sample.p99, "%.2f"),
			latency(sample.worst, "%.1f"), strconv.FormatUint(r.lost(e.name), 10))
	}
}

// plot adds a figure of each entry to the plot.
func (r rounds) plot(to *report, entries []entry, figure func(sample) float64) {
	for _, e := range entries {
		to.bars = append(to.bars, bar{e.name, r.median(e.name, figure)})
	}
}
