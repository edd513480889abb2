package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// The lines of a bridge's log about a reload, and its causes.
const (
	tookEffect = "the configuration is reloaded"
	refused    = "the configuration is not reloaded"
	bySignal   = "SIGHUP"
	byChange   = "a file has changed"
)

// write replaces the bridge's configuration. One with a flaw is of the next version, so that
// clients would notice if the bridge took a part of it.
func (s *soak) write(b *bridge, with flaw) error {
	if with.spoil == nil {
		return b.file.put(s.configuration(b))
	}
	b.version++
	text := s.configuration(b)
	b.version--
	return b.file.put(with.spoil(text))
}

// rewrite replaces a bridge's configuration by the next version, or by one with a flaw. The
// bridge has to find out by itself.
func (s *soak) rewrite(b *bridge, with flaw) error {
	if with.spoil == nil {
		b.version++
	}
	return s.write(b, with)
}

// reload does the same, and sends SIGHUP. It does not wait.
func (s *soak) reload(b *bridge, with flaw) error {
	if err := s.rewrite(b, with); err != nil {
		return err
	}
	return b.process.hangUp()
}

// reloadFaults returns the reloads among the other faults. A broken file is replaced when its
// fault ends, so that a bridge can be started again.
func (s *soak) reloadFaults() []fault {
	all := flaws()
	faults := make([]fault, 0, 2*len(s.bridges))
	for _, b := range s.bridges {
		faults = append(faults,
			fault{b.name + ": reload", func(*rand.Rand) (func() error, error) { return nothing, s.reload(b, noFlaw) }},
			fault{b.name + ": broken reload", func(r *rand.Rand) (func() error, error) {
				return func() error { return s.write(b, noFlaw) }, s.reload(b, all[r.IntN(len(all))])
			}},
		)
	}
	return faults
}

// rewriting replaces configurations while there are no other faults.
type rewriting struct {
	soak    *soak
	client  *http.Client // of the passing route
	waiting sync.WaitGroup
	streams map[*bridge][]*passingStream // while the passing route is there

	flawed   map[string]int // files, by their flaw
	signals  int            // files with SIGHUP
	departed int            // passing streams that have ended with stream-end
}

// passingStreams is how many streams are opened each time that the passing route is added.
const passingStreams = 5

const (
	// calmAttempts is how often reloadInCalm may repeat all reloads on a machine that is too
	// busy for a verdict.
	calmAttempts = 3
	// tooLate is how late messages come without faults on a machine that is too busy.
	tooLate = time.Second
)

// endedError is how many streams have ended that a reload must not end.
type endedError int64

func (e endedError) Error() string {
	return fmt.Sprintf("%d streams ended while nothing but reloads went on", int64(e))
}

// reloadInCalm reloads without other faults, half of the times with a broken file. No stream
// of an unchanged route may end. On a machine that is too busy, clients may take nothing for
// write_timeout, and bridges cut them. So if streams have ended and messages came late,
// reloadInCalm reloads once more.
func (s *soak) reloadInCalm(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		for _, t := range s.tallies {
			t.late.Reset()
		}
		err := s.reloadAll(ctx)
		late := s.latest()
		if !errors.As(err, new(endedError)) || attempt == calmAttempts || late < tooLate {
			return err
		}
		s.sayf("%v, but messages came up to %s late: the machine is too busy, once more\n", err, late.Round(time.Millisecond))
	}
}

// latest returns how late a message came at most, on routes where only the machine makes
// messages late: they are small and none is of the past, and no reload changes the route.
func (s *soak) latest() (late time.Duration) {
	for i, k := range s.kinds {
		if !k.bulky && !k.history && !k.changes && k.trims == keepsAll {
			late = max(late, s.tallies[i].late.Max())
		}
	}
	return late
}

// reloadAll reloads as often as the settings say.
func (s *soak) reloadAll(ctx context.Context) error {
	untold := s.untold()
	ctx, cancel := context.WithCancel(ctx)
	transport := &http.Transport{DisableKeepAlives: true}
	r := &rewriting{soak: s, client: &http.Client{Transport: transport}, streams: map[*bridge][]*passingStream{}, flawed: map[string]int{}}
	defer r.waiting.Wait()
	defer cancel() // before the wait
	for n := range s.settings.reloads {
		if err := r.next(ctx, n); err != nil {
			return err
		}
	}
	for _, b := range s.bridges { // the file may be the broken one
		if err := s.write(b, noFlaw); err != nil {
			return err
		}
	}
	r.report()
	if ended := s.untold() - untold; ended > 0 {
		return endedError(ended)
	}
	return nil
}

// next writes the nth file, and waits until its bridge has logged that it took or refused it.
// The bridges take turns, each with a broken file and a good one; every other pair of files
// of both comes with SIGHUP.
func (r *rewriting) next(ctx context.Context, n int) error {
	pair, all := n/2, flaws()
	b, with, line := r.soak.bridges[pair%len(r.soak.bridges)], noFlaw, tookEffect
	if n%2 == 0 {
		with, line = all[(pair+pair/len(all))%len(all)], refused
		r.flawed[with.name]++
	}
	change := r.soak.reload
	reasons := []string{bySignal, byChange}
	if pair/len(r.soak.bridges)%2 == 1 {
		change, reasons = r.soak.rewrite, []string{byChange}
	} else {
		r.signals++
	}
	before := make([]int, len(reasons))
	for i, why := range reasons {
		before[i] = b.process.says(line, why)
	}
	if err := change(b, with); err != nil {
		return err
	}
	for i, why := range reasons {
		if err := r.soak.await(ctx, func() error {
			if b.process.says(line, why) == before[i] {
				return fmt.Errorf("file %d: %s has not said %q for %q", n, b.name, line, why)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if with.spoil != nil {
		return nil
	}
	return r.pass(ctx, b)
}

// pass opens streams if the passing route was added, and checks how they end if it was
// removed.
func (r *rewriting) pass(ctx context.Context, b *bridge) error {
	if b.passing() {
		for range passingStreams {
			v, err := b.openPassing(ctx, r.client, &r.waiting)
			if err != nil {
				return err
			}
			r.streams[b] = append(r.streams[b], v)
		}
		return nil
	}
	for _, v := range r.streams[b] {
		select {
		case err := <-v.ended:
			if err != nil {
				return fmt.Errorf("%s: %w", b.name, err)
			}
			r.departed++
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	delete(r.streams, b)
	return b.removed(ctx, r.client)
}

// report prints what was reloaded.
func (r *rewriting) report() {
	s, told := r.soak, 0
	for i, k := range s.kinds {
		if c, _ := s.tallies[i].now(); k.changes {
			told += c.retries[retryReload]
		}
	}
	s.sayf("%d files, renamed over the one before or swapped as a ConfigMap is, %d of them with SIGHUP besides\n", s.settings.reloads, r.signals)
	s.sayf("%d of them broken: %s\n", total(r.flawed), listed(r.flawed))
	s.sayf("changed routes: %d clients were asked to come back; a route removed: %d clients were told the end\n", told, r.departed)
}

// untold returns how many streams have ended without stream-retry.
func (s *soak) untold() (n int64) {
	for _, t := range s.tallies {
		c, _ := t.now()
		n += c.untold
	}
	return n
}

// says returns how many lines of a process's output have all of some words.
func (p *process) says(words ...string) (lines int) {
	output, err := os.ReadFile(p.log)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(output)) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			lines++
		}
	}
	return lines
}

// unbroken returns an error if a client of an unchanged route had more than one connection,
// or received anything but messages.
func (s *soak) unbroken() error {
	var wrong []error
	clients := s.audience()
	for i, k := range s.kinds {
		c, _ := s.tallies[i].now()
		if k.changes {
			continue
		}
		if c.connections != int64(clients[k.name]) {
			wrong = append(wrong, fmt.Errorf("route %s, which stayed the same: %d connections of %d clients", k.name, c.connections, clients[k.name]))
		}
		if n := total(c.gaps) + total(c.unexcused) + total(c.retries); n > 0 {
			wrong = append(wrong, fmt.Errorf("route %s, which stayed the same: gaps %s, others %s, stream-retry %s",
				k.name, listed(c.gaps), listed(c.unexcused), listed(c.retries)))
		}
	}
	return errors.Join(wrong...)
}
