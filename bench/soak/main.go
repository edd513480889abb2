package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/program"
)

// asBackend is the first argument with which the program is the backend.
const asBackend = "backend"

// connectionAge is how old a connection gets before a soak's backend ends it, which concerns
// all routes.
const connectionAge = 45 * time.Second

func main() { program.Main(map[string]func([]string) error{asBackend: runBackend}, byFlags) }

// byFlags runs a rollout, paces or a soak.
func byFlags(ctx context.Context) error {
	if len(os.Args) < 2 {
		return soakByFlags(ctx)
	}
	switch os.Args[1] {
	case asRollout:
		return rolloutByFlags(ctx, os.Args[2:])
	case asPaces:
		return pacesByFlags(ctx, os.Args[2:])
	default:
		return soakByFlags(ctx)
	}
}

// soakByFlags runs a soak as the command line says.
func soakByFlags(ctx context.Context) error {
	set := settings{
		lasts: 2 * time.Second, rests: 1500 * time.Millisecond, table: time.Minute,
		age: connectionAge, grace: time.Second, out: os.Stdout,
	}
	flag.DurationVar(&set.duration, "duration", 30*time.Minute, "how long faults are injected")
	flag.IntVar(&set.clients, "clients", 1000, "how many clients listen")
	flag.IntVar(&set.rooms, "rooms", 3, "how many streams each kind of route has")
	flag.IntVar(&set.proxies, "proxies", 8, "how many proxies the clients come through")
	flag.DurationVar(&set.every, "every", 250*time.Millisecond, "the time between two messages of a stream")
	flag.Uint64Var(&set.seed, "seed", rand.Uint64()>>16, "of the sequence of faults, not of their timing")
	only := flag.String("only", "", "the kinds of routes, a comma between two; all if empty")
	race := flag.Bool("race", false, "build the bridge with the race detector")
	flag.Parse()
	if err := program.NoArgs(flag.CommandLine); err != nil {
		return err
	}
	// 200 in half an hour, and as many in proportion.
	set.faults = int(200 * set.duration / (30 * time.Minute))
	set.each = int(5 * set.duration / (30 * time.Minute))
	set.reloads = 100
	var err error
	if set.kinds, err = chosen(*only); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder of its own
	if set.command, err = program.Build(ctx, dir, *race); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	set.backend = []string{self, asBackend}
	_, _ = fmt.Fprintf(os.Stdout, "seed %d: %d clients for %s\n", set.seed, set.clients, set.duration)
	return run(ctx, set)
}

// chosen returns the kinds of the given names.
func chosen(names string) ([]kind, error) {
	if names == "" {
		return allKinds(), nil
	}
	var kinds []kind
	for name := range strings.SplitSeq(names, ",") {
		k, ok := kindOf(name)
		if !ok {
			return nil, fmt.Errorf("there is no kind of route %q", name)
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}
