package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end cleanly.
const stopTimeout = 20 * time.Second

// process is a command that can be killed and started again. Its methods are
// called by one goroutine at a time; died and resident may be called by any.
type process struct {
	name string
	args []string // the command and its arguments
	log  string   // the file that its output goes to

	pid  atomic.Int64
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended

	mu      sync.Mutex
	wanted  bool  // it is to run
	mishaps error // that it ended by itself, or not as it was told to
}

func newProcess(dir, name string, args ...string) *process {
	return &process{name: name, args: args, log: filepath.Join(dir, name+".log")}
}

// start starts it, and a goroutine that ends with it.
func (p *process) start(ctx context.Context) error {
	output, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer output.Close() //nolint:errcheck // the process has its own
	// It outlives ctx: kill and stop end it, in their order.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), p.args[0], p.args[1:]...) //nolint:gosec // our own binaries
	p.cmd.Stdout, p.cmd.Stderr = output, output
	// A data race ends a process that was built to find them.
	p.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.pid.Store(int64(p.cmd.Process.Pid))
	p.want(true)
	p.done = make(chan struct{})
	go p.wait(p.cmd, p.done)
	return nil
}

// wait notes when the process ends by itself.
func (p *process) wait(cmd *exec.Cmd, done chan struct{}) {
	defer close(done)
	err := cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		p.mishaps = errors.Join(p.mishaps, fmt.Errorf("%s ended by itself: %w", p.name, err))
	}
}

func (p *process) want(wanted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = wanted
}

// died returns what a process has done that it must not.
func (p *process) died() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mishaps
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.want(false)
	_ = p.cmd.Process.Kill() // it may have ended by itself, which is noted
	<-p.done
}

// stop ends a process that has little to do for that.
func (p *process) stop() { p.end(stopTimeout) }

// end is SIGTERM, which a process is to answer by ending with 0 within a time.
func (p *process) end(within time.Duration) {
	p.want(false)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(within):
		p.note(fmt.Errorf("%s has not ended %s after SIGTERM", p.name, within))
		p.kill()
		return
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.note(fmt.Errorf("%s ended with %d after SIGTERM", p.name, code))
	}
}

func (p *process) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mishaps = errors.Join(p.mishaps, err)
}

// alarms returns the lines of a process's output that no fault excuses.
func (p *process) alarms() []string {
	output, err := os.ReadFile(p.log)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range bytes.Lines(output) {
		for _, word := range []string{"DATA RACE", "panic: ", "fatal error: ", "a call failed"} {
			if bytes.Contains(line, []byte(word)) && len(found) < most {
				found = append(found, p.name+": "+strings.TrimSpace(string(line)))
			}
		}
	}
	return found
}

// resident returns how many MiB a process has in memory, 0 where it has ended.
func (p *process) resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid.Load()))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize()) >> 20
}
