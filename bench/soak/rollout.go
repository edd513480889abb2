package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// asRollout is the first argument with which the program shows what clients see of
// rolling updates, instead of a soak.
const asRollout = "rollout"

// The kinds of routes of a rollout.
const (
	crossed   = "exclusive" // with cursors, which another bridge knows
	unchanged = "positions,ids,hello,own,private"
	changed   = "exclusive,inclusive"
)

// rollout is a bridge drained, and bridges reloaded, while nothing else goes wrong.
type rollout struct {
	drain, reload settings
}

// rolloutByFlags runs a rollout as the command line says.
func rolloutByFlags(ctx context.Context, args []string) error {
	common := settings{out: os.Stdout, direct: true}
	drain, reload := common, common
	drain.busiest = 1.5
	flags := flag.NewFlagSet(asRollout, flag.ExitOnError)
	flags.IntVar(&drain.clients, "clients", 10000, "how many clients are on the bridge that drains")
	flags.IntVar(&drain.rooms, "streams", 20, "how many streams they listen to")
	flags.DurationVar(&drain.every, "every", 500*time.Millisecond, "the time between two messages of a stream")
	flags.DurationVar(&drain.delay, "delay", 5*time.Second, "drain.delay")
	flags.DurationVar(&drain.grace, "grace", 25*time.Second, "drain.grace")
	flags.IntVar(&reload.clients, "reload-clients", 2000, "how many clients are on routes that reloads do not change")
	flags.IntVar(&reload.reloads, "reloads", 100, "how often a configuration is written anew")
	only := flags.String("only", "", "drain or reload; both if empty")
	_ = flags.Parse(args) // exits on errors
	dir, err := os.MkdirTemp("", asRollout)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder of its own
	command, err := build(ctx, dir, false)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	reload.rooms, reload.every, reload.grace = 3, 250*time.Millisecond, time.Second
	r := rollout{drain, reload}
	if err := r.equip(rand.Uint64(), command, self); err != nil {
		return err
	}
	switch *only {
	case "":
		return errors.Join(r.runDrain(ctx), r.runReload(ctx))
	case "drain":
		return r.runDrain(ctx)
	case "reload":
		return r.runReload(ctx)
	default:
		return fmt.Errorf("-only %s: drain or reload", *only)
	}
}

// equip says what both parts are run with, and on which routes.
func (r *rollout) equip(seed uint64, command, backend string) error {
	for _, set := range []*settings{&r.drain, &r.reload} {
		set.seed, set.command, set.backend = seed, command, []string{backend, asBackend}
	}
	var err, failed error
	r.drain.kinds, err = chosen(crossed)
	r.reload.kinds, failed = chosen(unchanged + "," + changed)
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

// runDrain drains a bridge.
func (r *rollout) runDrain(ctx context.Context) error {
	return newSoak(r.drain).staged(ctx, (*soak).drained)
}

// runReload reloads two bridges.
func (r *rollout) runReload(ctx context.Context) error {
	return newSoak(r.reload).staged(ctx, (*soak).reloaded)
}

// reloaded has the bridges' files written anew, half of them broken, and prints
// what their clients saw of it.
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
