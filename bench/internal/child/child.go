// Package child runs the programs of a measurement in processes of their own, whose output
// goes to files. A terminal's interrupt does not reach them: the measurement stops them, in
// its own order. If the measurement is killed, the kernel kills them, too.
//
// It restarts nothing, and it measures nothing; see procfs.
package child

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// StopTimeout is how long a process may take to end after SIGTERM.
	StopTimeout = 20 * time.Second
	// readyTimeout is how long a process may take until a probe of it succeeds.
	readyTimeout = 30 * time.Second
)

// Params are what a process is started with.
type Params struct {
	Name    string   // for errors
	Log     string   // the file that its output is appended to
	Env     []string // variables besides those of this program
	Command []string // the program and its arguments
}

// Process is a program in a process of its own. Its methods may be called by any goroutine
// once it has been started.
type Process struct {
	// Cmd is the command, for the pipes and the signals of its callers. Nothing but Process
	// starts it or waits for it.
	Cmd *exec.Cmd

	name, log string
	done      chan struct{} // closed when it has ended
}

// New returns a process that does not run yet.
func New(params Params) (*Process, error) {
	output, err := os.OpenFile(params.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &Process{name: params.Name, log: params.Log, done: make(chan struct{})}
	// No context ends it: its caller stops it, in the measurement's order.
	p.Cmd = exec.CommandContext(context.Background(), params.Command[0], params.Command[1:]...) //nolint:gosec // our own programs
	p.Cmd.Stdout, p.Cmd.Stderr = output, output
	p.Cmd.Env = append(os.Environ(), params.Env...)
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return p, nil
}

// Start starts the process, and a goroutine that ends with it.
func (p *Process) Start() error {
	if output, ok := p.Cmd.Stderr.(*os.File); ok {
		defer output.Close() //nolint:errcheck // the process has its own
	}
	if err := p.Cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.Cmd.Wait() // how it ended is in its state
	}()
	return nil
}

// Run starts a process.
func Run(params Params) (*Process, error) {
	p, err := New(params)
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// PID returns the process's id.
func (p *Process) PID() int { return p.Cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ExitCode returns the exit code of a process that has ended, -1 if a signal has ended it.
func (p *Process) ExitCode() int {
	<-p.done
	return p.Cmd.ProcessState.ExitCode()
}

// Died returns an error if the process has ended.
func (p *Process) Died() error {
	if !p.Ended() {
		return nil
	}
	return fmt.Errorf("%s ended by itself (%s): %s", p.name, p.Cmd.ProcessState, p.Last())
}

// Stop ends the process by SIGTERM, and kills it if it does not end in time.
func (p *Process) Stop() {
	_ = p.Cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(StopTimeout):
		p.Kill()
	}
}

// Kill ends the process by SIGKILL.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill() // it may have ended
	<-p.done
}

// Last returns the last lines of the process's output.
func (p *Process) Last() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// AwaitReady waits until a probe of the process succeeds.
func (p *Process) AwaitReady(ctx context.Context, probe func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		if died := p.Died(); died != nil {
			return died
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.Last())
		}
	}
}

// Accepts returns a probe: there is a listener at an address.
func Accepts(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}
