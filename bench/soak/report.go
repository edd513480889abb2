package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints a table of all that has been counted.
func (s *soak) report(began time.Time) {
	s.sayf("\n%s, seed %d: %d faults, %d clients not up to date, bridges at%s MiB\n",
		time.Since(began).Round(time.Second), s.settings.seed, s.injected(), len(s.late(s.history.newest(time.Now().Add(-behind)))), s.memory())
	table := tabwriter.NewWriter(s.settings.out, 0, 0, 2, ' ', 0)
	// A terminal that is gone has nobody to tell, here and below.
	_, _ = fmt.Fprintln(table, "route\tconnections\tmessages\tlost\tdoubled\tfailures\tgaps\tstream-retry")
	var sum counts
	for i, k := range s.kinds {
		c, _ := s.tallies[i].now()
		sum.add(c)
		row(table, k.name, c)
	}
	row(table, "all", sum)
	_ = table.Flush()
}

func row(table *tabwriter.Writer, name string, c counts) {
	_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n",
		name, c.connections, c.messages, c.lost, c.doubled, c.failures, listed(c.gaps), listed(c.retries))
}

// injected returns how many faults there were.
func (s *soak) injected() (sum int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.faults {
		sum += n
	}
	return sum
}

func (s *soak) memory() string {
	var shown strings.Builder
	for _, b := range s.bridges {
		fmt.Fprintf(&shown, " %d", b.process.resident())
	}
	return shown.String()
}

// sayf prints for who watches.
func (s *soak) sayf(format string, args ...any) { _, _ = fmt.Fprintf(s.settings.out, format, args...) }

// verdict returns what must not have been.
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
	if n := s.injected(); n < s.settings.faults {
		err = errors.Join(err, fmt.Errorf("%d faults are too few, at least %d were to be", n, s.settings.faults))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sayf("faults: %s\n", listed(s.faults))
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
