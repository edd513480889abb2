package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/histogram"
)

// ending is a way to end the bridge that has all clients, as they see it.
type ending interface {
	// act ends the bridge, when all clients are up to date. The goroutines that it starts
	// in all end with ctx.
	act(ctx context.Context, all *sync.WaitGroup, began time.Time) error
	// acted reports whether act has ended the bridge.
	acted() bool
	// read reads the clients' journals, after they have left.
	read()
	report()
	// verdict returns an error for each promise that was broken.
	verdict() error
}

// watched plays an ending under the clients, and reports what they saw.
func (s *soak) watched(ctx context.Context, e ending) error {
	s.balancer = newBalancer(s.bridges)
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	err := s.attended(ctx, func(ctx context.Context) error { return s.playEnding(ctx, e) })
	if !e.acted() {
		return errors.Join(err, s.verdict())
	}
	e.read()
	e.report()
	s.table()
	return errors.Join(err, e.verdict(), s.quiet(), s.verdict())
}

// playEnding waits until all clients are up to date, ends their bridge, and waits until all
// are up to date again.
func (s *soak) playEnding(ctx context.Context, e ending) error {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel() // before the wait
	all.Go(func() { s.balancer.run(ctx) })
	if err := s.settle(ctx, began, "the first messages"); err != nil {
		return err
	}
	if err := e.act(ctx, &all, began); err != nil {
		return err
	}
	if err := s.settle(ctx, began, "the end"); err != nil {
		return err
	}
	return s.fewRPCs(ctx)
}

// sayWithout prints how long clients were without a stream.
func (s *soak) sayWithout(without *histogram.Histogram) {
	s.sayf("without a stream: p50 %s, p99 %s, max %s\n", without.Quantile(0.5).Round(time.Millisecond),
		without.Quantile(0.99).Round(time.Millisecond), without.Max().Round(time.Millisecond))
}

// quiet returns an error if a stream has ended without stream-retry, or there was a gap.
func (s *soak) quiet() error {
	var all counts
	for _, t := range s.tallies {
		c, _ := t.now()
		all.add(c)
	}
	if all.untold+int64(total(all.gaps)) == 0 {
		return nil
	}
	return fmt.Errorf("%d streams ended without stream-retry, and there were gaps: %s", all.untold, listed(all.gaps))
}
