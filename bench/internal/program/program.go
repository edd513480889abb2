// Package program is what the programs of bench that run the bridge have in common: how
// they begin and end, and how they build the bridge and find their own binary.
package program

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Main runs a program until SIGINT, SIGTERM or its end: the role that the first argument
// names, such as its own backend, or else main. Main's success is PASS; an error is
// printed with FAIL, and the exit code is 1.
func Main(roles map[string]func(args []string) error, main func(ctx context.Context) error) {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		Fail(roles[os.Args[1]](os.Args[2:]))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := main(ctx); err != nil {
		stop()
		Fail(err)
	}
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

// Build builds the bridge into a folder. Its module is the one that go.mod names,
// wherever the program runs from.
func Build(ctx context.Context, dir string, race bool) (string, error) {
	find := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ssebridge/ssebridge")
	root, err := find.Output()
	if err != nil {
		return "", fmt.Errorf("the bridge's module is not found; run the program in bench/: %w", err)
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
