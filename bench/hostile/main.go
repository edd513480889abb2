package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/program"
)

// The roles of the program, named by its first argument: without one it runs the others.
const (
	asBackend = "backend" // what the bridge bridges
	asBeside  = "beside"  // the plain server
	asPeers   = "peers"   // the attackers
)

// settings are the command line's.
type settings struct {
	clients         int
	each, all, rest time.Duration
	kinds           []string
	bridge          string // the binary
	dir, admin      string
}

func main() {
	program.Main(map[string]func([]string) error{asBackend: runBackend, asBeside: runBeside, asPeers: runPeers}, byFlags)
}

func byFlags(ctx context.Context) (err error) {
	set := settings{}
	flag.IntVar(&set.clients, "clients", 200, "how many honest clients listen")
	flag.DurationVar(&set.each, "each", 20*time.Second, "how long each kind of attack lasts, on each of the servers")
	flag.DurationVar(&set.all, "all", 10*time.Minute, "how long all kinds at once last, on the bridge; 0 leaves that out")
	flag.DurationVar(&set.rest, "rest", 3*time.Second, "the time between two kinds")
	only := flag.String("only", "", "the kinds, a comma between two; all if empty")
	flag.StringVar(&set.admin, "admin", "", "the bridge's admin address, for its metrics and profiles; off if empty")
	flag.StringVar(&set.bridge, "bridge", "", "the bridge's binary; built if empty")
	flag.Parse()
	if err := program.NoArgs(flag.CommandLine); err != nil {
		return err
	}
	if set.kinds, err = chosen(*only); err != nil {
		return err
	}
	if set.dir, err = os.MkdirTemp("", "hostile"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(set.dir)
		} else {
			err = fmt.Errorf("%w\nlogs are in %s", err, set.dir)
		}
	}()
	if set.bridge == "" {
		built, err := os.MkdirTemp("", "hostile-build")
		if err != nil {
			return err
		}
		defer os.RemoveAll(built) //nolint:errcheck // a temporary folder of its own
		if set.bridge, err = program.Build(ctx, built, false); err != nil {
			return err
		}
	}
	return run(ctx, set)
}

// chosen returns the names of kinds, all if none is given.
func chosen(names string) ([]string, error) {
	all := attacks()
	known := make([]string, len(all))
	for i := range all {
		known[i] = all[i].name
	}
	if names == "" {
		return known, nil
	}
	kinds := strings.Split(names, ",")
	for _, name := range kinds {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no kind %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return kinds, nil
}
