package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// settings are what the command line says.
type settings struct {
	repetitions int
	duration    time.Duration // of a window
	settle      time.Duration // between connecting and a window
	idle        time.Duration // before the memory of idle clients is measured
	window      int           // how many events are on their way when saturated
	visitors    int           // how many clients come and go
	out         io.Writer
}

// lab is where cases are run: the programs, and a folder for what they need and say.
type lab struct {
	settings

	dir      string
	programs string // the folder of what was built
	self     string // this program
	started  int    // processes so far
}

// newLab builds the bridge and the comparators.
func newLab(ctx context.Context, set settings) (*lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fanout")
	if err != nil {
		return nil, err
	}
	l := &lab{settings: set, dir: dir, programs: filepath.Join(dir, "bin"), self: self}
	if err := l.build(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return l, nil
}

// build builds everything that is measured from the checkout that this module is in.
func (l *lab) build(ctx context.Context) error {
	find := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ssebridge/ssebridge")
	root, err := find.Output()
	if err != nil {
		return fmt.Errorf("the bridge's module is not found; run this in bench/: %w", err)
	}
	folder := strings.TrimSpace(string(root))
	for module, packages := range map[string]string{folder: "./cmd/ssebridge", filepath.Join(folder, "bench", "comparators"): "./..."} {
		// Without cgo, as the bridge is released: net's resolver is Go's.
		compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", l.programs+"/", packages) //nolint:gosec // our own packages
		compile.Dir = module
		compile.Env = append(os.Environ(), "CGO_ENABLED=0")
		compile.Stderr = os.Stderr
		if err := compile.Run(); err != nil {
			return fmt.Errorf("building %s in %s: %w", packages, module, err)
		}
	}
	return nil
}

// program returns the path of a program that was built.
func (l *lab) program(name string) string { return filepath.Join(l.programs, name) }

// close removes the folder.
func (l *lab) close() error { return os.RemoveAll(l.dir) }

func (l *lab) printf(format string, arguments ...any) {
	_, _ = fmt.Fprintf(l.out, format, arguments...) // to nobody, if the terminal is gone
}
