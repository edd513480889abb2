package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/histogram"
)

// report prints the state of the run and its table.
func (s *soak) report(began time.Time) {
	late := s.late(s.history.newest(time.Now().Add(-behind)), (*watcher).lingers)
	s.sayf("\n%s, seed %d: %d faults, %d clients not up to date, bridges at%s MiB\n",
		time.Since(began).Round(time.Second), s.settings.seed, s.injected(), len(late), s.memory())
	s.table()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sayf("faults: %s\n", listed(s.faults))
}

// quantiles shows how durations are spread.
func quantiles(h *histogram.Histogram) string {
	if h.Total() == 0 {
		return "-"
	}
	return fmt.Sprintf("%s, %s", h.Quantile(0.5).Round(time.Millisecond), h.Quantile(0.99).Round(time.Millisecond))
}

// table prints the counts of each kind.
func (s *soak) table() {
	table := tabwriter.NewWriter(s.settings.out, 0, 0, 2, ' ', 0)
	// The terminal may be gone, here and below.
	_, _ = fmt.Fprintln(table, strings.Join([]string{
		"route", "clients", "connections", "messages", "lost", "doubled", "failures", "late: p50, p99",
		"excused gaps", "other gaps", "stream-retry", "read slowly",
	}, "\t"))
	var all, promised counts
	clients := s.audience()
	for i, k := range s.kinds {
		c, _ := s.tallies[i].now()
		all.add(c)
		if k.resumes {
			promised.add(c)
		}
		row(table, k.name, clients[k.name], c, quantiles(&s.tallies[i].late))
	}
	row(table, "all", len(s.watchers), all, "")
	_ = table.Flush()
	s.sayf("gaps: %d excused, %d others; where the backend keeps a promise on cursors: %d\n",
		total(all.gaps), total(all.unexcused), total(promised.unexcused))
}

// audience returns how many clients each kind has.
func (s *soak) audience() map[string]int {
	clients := map[string]int{}
	for _, w := range s.watchers {
		clients[w.kind.name]++
	}
	return clients
}

func row(table *tabwriter.Writer, name string, clients int, c counts, late string) {
	_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n",
		name, clients, c.connections, c.messages, c.lost, c.doubled, c.failures, late,
		listed(c.gaps), listed(c.unexcused), listed(c.retries), listed(c.gaits))
}

// injected returns how many faults there were.
func (s *soak) injected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return total(s.faults)
}

func (s *soak) memory() string {
	var shown strings.Builder
	for _, b := range s.bridges {
		fmt.Fprintf(&shown, " %d", b.process.resident())
	}
	return shown.String()
}

// sayf prints a line of progress.
func (s *soak) sayf(format string, args ...any) { _, _ = fmt.Fprintf(s.settings.out, format, args...) }

// verdict returns an error for each failure of a client or a process, and for faults that
// were too few.
func (s *soak) verdict() error {
	var err error
	for i, k := range s.kinds {
		c, told := s.tallies[i].now()
		if c.failures > 0 {
			err = errors.Join(err, fmt.Errorf("route %s: %d failures", k.name, c.failures))
		}
		for _, words := range told {
			err = errors.Join(err, errors.New("  "+words))
		}
	}
	for _, p := range s.processes() {
		err = errors.Join(err, p.died())
		for _, line := range p.alarms() {
			err = errors.Join(err, errors.New(line))
		}
	}
	return errors.Join(err, s.faultsFew())
}

// faultsFew returns an error if there were too few faults, or too few of a kind.
func (s *soak) faultsFew() error {
	var err error
	if n := s.injected(); n < s.settings.faults {
		err = fmt.Errorf("%d faults are too few, at least %d were to be", n, s.settings.faults)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, n := range s.faults {
		if n < s.settings.each {
			err = errors.Join(err, fmt.Errorf("fault %q: %d times is too few, at least %d were to be", name, n, s.settings.each))
		}
	}
	return err
}

func (s *soak) processes() []*process {
	all := make([]*process, 0, 1+len(s.bridges))
	all = append(all, s.backend)
	for _, b := range s.bridges {
		all = append(all, b.process)
	}
	return all
}
