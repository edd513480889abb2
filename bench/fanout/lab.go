package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/child"
	"github.com/ssebridge/ssebridge/bench/internal/ports"
	"github.com/ssebridge/ssebridge/bench/internal/program"
)

// settings are what the command line says.
type settings struct {
	repetitions int
	duration    time.Duration // of a window
	settle      time.Duration // between connecting and a window
	idle        time.Duration // before the memory of idle clients is measured
	window      int           // how many events are on their way when saturated
	churning    int           // how many clients come and go
	out         io.Writer
}

// lab is where cases are run: the programs, and a folder for their files and their output.
type lab struct {
	settings

	dir      string
	programs string     // the folder of what was built
	self     string     // this program
	started  int        // processes so far
	free     ports.Free // addresses
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
	folder, err := program.Root(ctx)
	if err != nil {
		return err
	}
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

// prepare makes a process that does not run yet. Its output goes to a file in the lab's folder.
func (l *lab) prepare(name string, command ...string) (*child.Process, error) {
	l.started++
	log := filepath.Join(l.dir, fmt.Sprintf("%03d-%s.log", l.started, filepath.Base(name)))
	return child.New(child.Params{Name: name, Log: log, Command: command})
}

// start starts a program.
func (l *lab) start(name string, command ...string) (*child.Process, error) {
	p, err := l.prepare(name, command...)
	if err != nil {
		return nil, err
	}
	return p, p.Start()
}

// addrs returns two addresses without a listener.
func (l *lab) addrs() (addrs [2]string, err error) {
	for i := range addrs {
		if addrs[i], err = l.free.Next(); err != nil {
			return addrs, err
		}
	}
	return addrs, nil
}

func (l *lab) printf(format string, arguments ...any) {
	_, _ = fmt.Fprintf(l.out, format, arguments...) // the terminal may be gone
}
