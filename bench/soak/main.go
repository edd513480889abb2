package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// asBackend is the first argument with which the program is the backend.
const asBackend = "backend"

// connectionAge is after which time a soak's backend ends a connection: all routes
// have to put up with that now and then.
const connectionAge = 45 * time.Second

func main() {
	if len(os.Args) > 1 && os.Args[1] == asBackend {
		fail(runBackend(os.Args[2:]))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := byFlags(ctx); err != nil {
		stop()
		fail(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, "PASS") // to nobody, if the terminal is gone
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		fmt.Fprintln(os.Stderr, "FAIL")
		os.Exit(1)
	}
}

// byFlags runs a rollout or a soak.
func byFlags(ctx context.Context) error {
	if len(os.Args) > 1 && os.Args[1] == asRollout {
		return rolloutByFlags(ctx, os.Args[2:])
	}
	return soakByFlags(ctx)
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
	if set.command, err = build(ctx, dir, *race); err != nil {
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

// build builds the bridge into a folder. The module that it is in is the one
// that this module's go.mod says, wherever the program runs from.
func build(ctx context.Context, dir string, race bool) (string, error) {
	find := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ssebridge/ssebridge")
	root, err := find.Output()
	if err != nil {
		return "", fmt.Errorf("the bridge's module is not found; run the soak in bench/: %w", err)
	}
	command := filepath.Join(dir, "ssebridge")
	args := []string{"build", "-o", command}
	if race {
		args = append(args, "-race")
	}
	compile := exec.CommandContext(ctx, "go", append(args, "./cmd/ssebridge")...) //nolint:gosec // a folder of our own
	compile.Dir = strings.TrimSpace(string(root))
	compile.Stderr = os.Stderr
	if err := compile.Run(); err != nil {
		return "", fmt.Errorf("building the bridge: %w", err)
	}
	return command, nil
}
