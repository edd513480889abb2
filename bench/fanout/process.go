package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end when it is told to.
const stopTimeout = 20 * time.Second

// process is a program that runs.
type process struct {
	name    string
	log     string // the file that its output goes to
	command *exec.Cmd
	done    chan struct{} // closed when it has ended
}

// start starts a program whose output goes to a file in the lab's folder.
func (l *lab) start(ctx context.Context, name string, command ...string) (*process, error) {
	p, err := l.prepare(ctx, name, command...)
	if err != nil {
		return nil, err
	}
	return p, p.run()
}

// prepare makes a process that does not run yet.
func (l *lab) prepare(ctx context.Context, name string, command ...string) (*process, error) {
	l.started++
	p := &process{name: name, log: filepath.Join(l.dir, fmt.Sprintf("%03d-%s.log", l.started, filepath.Base(name))), done: make(chan struct{})}
	output, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	// It ends when it is stopped, in its turn, and not by itself when ctx is done.
	p.command = exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...) //nolint:gosec // our own programs
	p.command.Stdout, p.command.Stderr = output, output
	// A terminal's interrupt is for the run, which then stops its processes; and if
	// the run is killed they go with it.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return p, nil
}

// run starts the process, and a goroutine that ends with it.
func (p *process) run() error {
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	if output, ok := p.command.Stderr.(*os.File); ok {
		_ = output.Close() // the process has its own
	}
	go func() {
		defer close(p.done)
		_ = p.command.Wait() // how it ended is in its state
	}()
	return nil
}

// pid returns the process's number.
func (p *process) pid() int { return p.command.Process.Pid }

// stop ends the process, if need be by force.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.kill()
	}
}

// kill ends the process by force.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.done
}

// died returns an error if the process has ended.
func (p *process) died() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself (%s): %s", p.name, p.command.ProcessState, p.last())
	default:
		return nil
	}
}

// last returns the last lines of the process's output.
func (p *process) last() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// ready waits until a probe of the process succeeds.
func (p *process) ready(ctx context.Context, probe func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		if died := p.died(); died != nil {
			return died
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.last())
		}
	}
}

// accepts is a probe: there is a listener at an address.
func accepts(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

// freeAddrs returns two addresses of this machine without a listener.
func freeAddrs(ctx context.Context) (addrs [2]string, err error) {
	var listeners [2]net.Listener // at once, or both might get the same
	for i := range listeners {
		if listeners[i], err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return addrs, err
		}
		addrs[i] = listeners[i].Addr().String()
	}
	return addrs, errors.Join(listeners[0].Close(), listeners[1].Close())
}
