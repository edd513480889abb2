package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// benchCase is one line of what is to be shown.
type benchCase struct {
	name, about string
	run         func(ctx context.Context, l *lab, r *report) error
}

// cases returns all cases, in the order in which they run.
func cases() []benchCase {
	return []benchCase{
		{"fanout-1k-30", "1,000 clients × 30 events/s, one stream", fanoutPaced},
		{"fanout-1k-saturated", "1,000 clients, one stream as fast as its slowest client", fanoutSaturated},
		{"fanout-10k-20", "10,000 clients × 20 events/s, one stream", fanoutMany},
		{"idle-10k", "10,000 clients that get nothing but heartbeats", idleAll},
		{"private-1k-30", "1,000 clients × 30 events/s, an RPC for each", privatePaced},
		{"private-1k-saturated", "1,000 clients, an RPC for each, as fast as they read", privateSaturated},
		{"private-1-saturated", "one client with an RPC of its own, as fast as it reads", privateAlone},
		{"stalled", "1,000 clients × 30 events/s while one comes, while one has stalled; then 1,000 that stall", stalled},
		{"silent", "clients whose link is cut", silent},
		{"gzip-1k", "1,000 clients × 30 events/s, compressed", gzipped},
		{"latency-1", "one client, 200 events/s", latencyOne},
		{"churn", "clients that come and go at once, every second one with a reset", churned},
	}
}

func caseNames() []string {
	all := cases()
	names := make([]string, 0, len(all))
	for _, c := range all {
		names = append(names, c.name)
	}
	return names
}

// chooseCases returns the cases of a list of names, all for an empty one.
func chooseCases(list string) ([]benchCase, error) {
	all := cases()
	if list == "" {
		return all, nil
	}
	var chosen []benchCase
	for name := range strings.SplitSeq(list, ",") {
		at := slices.IndexFunc(all, func(c benchCase) bool { return c.name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no case %q; there are %s", name, strings.Join(caseNames(), ", "))
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}

// runCases runs cases one after another and prints what each has found.
func runCases(ctx context.Context, set settings, chosen []benchCase) (reports []*report, on machine, err error) {
	l, err := newLab(ctx, set)
	if err != nil {
		return nil, on, err
	}
	on = l.inspect(ctx)
	l.printf("%s\n", on)
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\nthe processes' output is in %s", err, l.dir)
			return
		}
		err = errors.Join(err, l.close())
	}()
	for _, c := range chosen {
		r := &report{name: c.name, about: c.about}
		start := time.Now()
		if err := c.run(ctx, l, r); err != nil {
			return reports, on, fmt.Errorf("%s: %w", c.name, err)
		}
		l.printf("%s  (%s)\n", r, time.Since(start).Round(time.Second))
		reports = append(reports, r)
	}
	return reports, on, nil
}
