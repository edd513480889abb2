package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
)

// What a bridge's log says of a reload.
const (
	tookEffect = "the configuration is reloaded"
	refused    = "the configuration is not reloaded"
)

// brokenRoute is what a file has that must change nothing.
const brokenRoute = "  - {path: /broken, rpc: none, upstream: none}\n"

// write puts another configuration in place of the bridge's file, at one moment,
// as a ConfigMap does. The routes of some kinds are others each time.
func (s *soak) write(b *bridge, broken bool) error {
	text := s.configuration(b)
	if broken {
		text += brokenRoute
	}
	next := b.config + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, b.config)
}

// reload has a bridge read its configuration, anew or broken. It does not wait.
func (s *soak) reload(b *bridge, broken bool) error {
	if !broken {
		b.version++
	}
	if err := s.write(b, broken); err != nil {
		return err
	}
	return b.process.hangUp()
}

// reloadFaults are reloads in the middle of all else. A bridge that is started
// again must find a file that is not broken.
func (s *soak) reloadFaults() []fault {
	faults := make([]fault, 0, 2*len(s.bridges))
	for _, b := range s.bridges {
		faults = append(faults,
			fault{b.name + ": reload", func(*rand.Rand) (func() error, error) { return nothing, s.reload(b, false) }},
			fault{b.name + ": broken reload", func(*rand.Rand) (func() error, error) {
				return func() error { return s.write(b, false) }, s.reload(b, true)
			}},
		)
	}
	return faults
}

// reloadInCalm reloads while nothing else goes wrong, half of the times with a
// broken file. No stream of a route that is the same may end.
func (s *soak) reloadInCalm(ctx context.Context) error {
	untold := s.untold()
	for n := range s.settings.reloads {
		b, broken, line := s.bridges[n/2%len(s.bridges)], n%2 == 0, tookEffect
		if broken {
			line = refused
		}
		before := b.process.says(line)
		if err := s.reload(b, broken); err != nil {
			return err
		}
		if err := s.await(ctx, func() error {
			if b.process.says(line) == before {
				return fmt.Errorf("%s has not said %q", b.name, line)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for _, b := range s.bridges { // the file may be the broken one
		if err := s.write(b, false); err != nil {
			return err
		}
	}
	told, ended := 0, s.untold()-untold
	for i, k := range s.kinds {
		if c, _ := s.tallies[i].now(); k.changes {
			told += c.retries[retryReload]
		}
	}
	s.sayf("%d reloads in calm, half of them broken: %d clients of changed routes were asked to come back, %d streams ended without a word\n",
		s.settings.reloads, told, ended)
	if ended > 0 {
		return fmt.Errorf("%d streams ended while nothing but reloads went on", ended)
	}
	return nil
}

// untold returns how many streams have ended without a word.
func (s *soak) untold() (n int64) {
	for _, t := range s.tallies {
		c, _ := t.now()
		n += c.untold
	}
	return n
}

// hangUp is SIGHUP, at which a bridge reads its configuration.
func (p *process) hangUp() error { return p.cmd.Process.Signal(syscall.SIGHUP) }

// says returns how often a process's output has a text.
func (p *process) says(text string) int {
	output, err := os.ReadFile(p.log)
	if err != nil {
		return 0
	}
	return strings.Count(string(output), text)
}
