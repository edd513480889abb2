package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/program"
)

// asRollout is the first argument with which the program plays rolling updates, instead of a
// soak.
const asRollout = "rollout"

// The kinds of routes of a rollout.
const (
	crossed   = "exclusive" // with cursors, which another bridge knows
	unchanged = "positions,ids,hello,own,private"
	changed   = "exclusive,inclusive"
)

// rollout has the settings of its parts: a bridge is drained over HTTP/1.1 and HTTP/2, a lone
// one is restarted, and bridges are reloaded, without faults.
type rollout struct {
	drain, framed, alone, reload settings
}

// rolloutByFlags runs a rollout as the command line says.
func rolloutByFlags(ctx context.Context, args []string) error {
	common := settings{out: os.Stdout, direct: true, margin: exitMargin}
	drain, framed, alone, reload := common, common, common, common
	drain.busiest = 1.5
	drain.silence, framed.silence = longestSilence, longestSilence
	flags := flag.NewFlagSet(asRollout, flag.ExitOnError)
	flags.IntVar(&drain.clients, "clients", 10000, "how many clients are on the bridge that drains")
	flags.IntVar(&drain.rooms, "streams", 20, "how many streams they listen to")
	flags.DurationVar(&drain.every, "every", 500*time.Millisecond, "the time between two messages of a stream")
	flags.DurationVar(&drain.delay, "delay", 5*time.Second, "drain.delay")
	flags.DurationVar(&drain.grace, "grace", 25*time.Second, "drain.grace")
	flags.IntVar(&reload.clients, "reload-clients", 2000, "how many clients are on routes that reloads do not change")
	flags.IntVar(&reload.reloads, "reloads", 100, "how often a configuration is replaced")
	flags.IntVar(&framed.clients, "framed-clients", 2000, "how many clients are on a bridge that drains over HTTP/2, in clear and by TLS")
	flags.DurationVar(&framed.grace, "framed-grace", 10*time.Second, "drain.grace of that bridge")
	flags.IntVar(&alone.clients, "alone-clients", 2000, "how many clients are on a bridge without another, which is restarted")
	only := flags.String("only", "", "drain, h2c, tls, alone or reload; all if empty")
	_ = flags.Parse(args) // exits on errors
	if err := program.NoArgs(flags); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", asRollout)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder of its own
	command, err := program.Build(ctx, dir, false)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	reload.rooms, reload.every, reload.grace = 3, 250*time.Millisecond, time.Second
	framed.rooms, framed.every, framed.delay = drain.rooms, drain.every, 2*time.Second
	alone.rooms, alone.every = drain.rooms, drain.every
	r := rollout{drain, framed, alone, reload}
	if err := r.equip(rand.Uint64(), command, self); err != nil {
		return err
	}
	var failed []error
	known := false
	for _, part := range r.parts() {
		if *only == "" || *only == part.name {
			known = true
			failed = append(failed, part.run(ctx))
		}
	}
	if !known {
		return fmt.Errorf("-only %s: there is no such part", *only)
	}
	return errors.Join(failed...)
}

// longestSilence is how long a drain may leave a client without a stream, where
// another bridge is there: up to a second until it is to connect, and the rest.
const longestSilence = 1500 * time.Millisecond

// rolloutPart is one part of a rollout.
type rolloutPart struct {
	name string
	run  func(ctx context.Context) error
}

func (r *rollout) parts() []rolloutPart {
	return []rolloutPart{
		{"drain", r.runDrain},
		{"h2c", func(ctx context.Context) error { return r.runFramed(ctx, h2c) }},
		{"tls", func(ctx context.Context) error { return r.runFramed(ctx, byTLS) }},
		{"alone", r.runAlone},
		{"reload", r.runReload},
	}
}

// equip sets the programs and the routes of all parts.
func (r *rollout) equip(seed uint64, command, backend string) error {
	for _, set := range []*settings{&r.drain, &r.framed, &r.alone, &r.reload} {
		set.seed, set.command, set.backend = seed, command, []string{backend, asBackend}
	}
	var err, failed error
	r.drain.kinds, err = patient(crossed)
	r.framed.kinds, r.alone.kinds, r.alone.alone = r.drain.kinds, r.drain.kinds, true
	r.reload.kinds, failed = patient(unchanged + "," + changed)
	same := 0
	for _, k := range r.reload.kinds {
		if !k.changes {
			same++
		}
	}
	// As many clients for each route that changes as for each that does not.
	r.reload.clients = r.reload.clients * len(r.reload.kinds) / max(1, same)
	return errors.Join(err, failed)
}

// patient returns the kinds of some names, with shared logs so long that no client lags
// because the machine is slow.
func patient(names string) ([]kind, error) {
	kinds, err := chosen(names)
	for i := range kinds {
		if !kinds[i].private {
			kinds[i].log = longLog
		}
	}
	return kinds, err
}

// runDrain drains a bridge.
func (r *rollout) runDrain(ctx context.Context) error {
	return newSoak(r.drain).staged(ctx, (*soak).drained)
}

// runFramed drains a bridge whose clients share connections of HTTP/2.
func (r *rollout) runFramed(ctx context.Context, f framing) error {
	set := r.framed
	set.framing = f
	return newSoak(set).staged(ctx, (*soak).drained)
}

// runAlone restarts a bridge that has no other beside it.
func (r *rollout) runAlone(ctx context.Context) error {
	return newSoak(r.alone).staged(ctx, (*soak).restarted)
}

// runReload reloads two bridges.
func (r *rollout) runReload(ctx context.Context) error {
	return newSoak(r.reload).staged(ctx, (*soak).reloaded)
}

// reloaded reloads the bridges, half of the times with broken files, and prints what their
// clients saw.
func (s *soak) reloaded(ctx context.Context) error {
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	err := s.attended(ctx, func(ctx context.Context) error {
		began := time.Now()
		if err := s.settle(ctx, began, "the first messages"); err != nil {
			return err
		}
		s.sayf("\nreload: ")
		if err := s.reloadInCalm(ctx); err != nil {
			return err
		}
		return s.settle(ctx, began, "the end")
	})
	broken := s.unbroken()
	if broken == nil {
		s.sayf("routes that stayed the same: no stream ended, no gap was told\n")
	}
	s.table()
	return errors.Join(err, broken, s.verdict())
}
