// Package program has what the programs of bench share: how they begin and end, and how
// they find and build the bridge.
package program

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Main runs the role that the first argument names, such as a program's own backend, or
// else main, whose context SIGINT and SIGTERM end. When main succeeds, Main prints PASS;
// otherwise it prints the error and FAIL, and exits with 1. A second signal ends the
// program at once.
func Main(roles map[string]func(args []string) error, main func(ctx context.Context) error) {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		Fail(roles[os.Args[1]](os.Args[2:]))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := main(ctx)
	stop()
	Fail(err)
	_, _ = fmt.Fprintln(os.Stdout, "PASS") // the terminal may be gone
}

// Fail ends the program if there is an error.
func Fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		fmt.Fprintln(os.Stderr, "FAIL")
		os.Exit(1)
	}
}

// NoArgs returns an error if a command line has arguments beside its flags: a mistyped word
// must not start a run of half an hour.
func NoArgs(flags *flag.FlagSet) error {
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	return nil
}

// Root returns the folder of the bridge's module, which bench/go.mod names.
func Root(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ssebridge/ssebridge").Output()
	if err != nil {
		return "", fmt.Errorf("the bridge's module is not found; run the program in bench/: %w", err)
	}
	return strings.TrimSpace(string(root)), nil
}

// Build builds the bridge into a folder, as it is released or with the race detector, and
// returns the binary's path.
func Build(ctx context.Context, dir string, race bool) (string, error) {
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	command := filepath.Join(dir, "ssebridge")
	args, cgo := []string{"build", "-trimpath", "-o", command}, "CGO_ENABLED=0"
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1" // the race detector needs cgo
	}
	compile := exec.CommandContext(ctx, "go", append(args, "./cmd/ssebridge")...) //nolint:gosec // a folder of our own
	compile.Dir = root
	compile.Env = append(os.Environ(), cgo)
	compile.Stderr = os.Stderr
	if err := compile.Run(); err != nil {
		return "", fmt.Errorf("building the bridge: %w", err)
	}
	return command, nil
}
