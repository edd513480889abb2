package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/child"
	"github.com/ssebridge/ssebridge/bench/internal/procfs"
)

// process is a command that is killed and started again. Its methods are called by one
// goroutine at a time, but died and resident by any.
type process struct {
	name string
	args []string // the command and its arguments
	log  string   // the file that its output goes to

	mu      sync.Mutex
	running *child.Process // the newest; nil before the first start
	noted   chan struct{}  // closed when the end of running is noted
	wanted  bool           // it is to run
	mishaps error          // it ended by itself, or not as it was told to
}

func newProcess(dir, name string, args ...string) *process {
	return &process{name: name, args: args, log: filepath.Join(dir, name+".log")}
}

// start starts the command, and a goroutine that ends with it.
func (p *process) start() error {
	// A data race ends a process that is built with the race detector.
	running, err := child.Run(child.Params{Name: p.name, Log: p.log, Command: p.args, Env: []string{"GORACE=halt_on_error=1"}})
	if err != nil {
		return err
	}
	noted := make(chan struct{})
	p.mu.Lock()
	p.running, p.noted, p.wanted = running, noted, true
	p.mu.Unlock()
	go func() {
		defer close(noted)
		p.watch(running)
	}()
	return nil
}

// watch notes it if the process ends by itself.
func (p *process) watch(running *child.Process) {
	<-running.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		p.mishaps = errors.Join(p.mishaps, running.Died())
	}
}

// current returns the newest process, nil before the first start.
func (p *process) current() *child.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// dismiss returns the newest process, whose end is no mishap from now on.
func (p *process) dismiss() *child.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = false
	return p.running
}

// died returns the process's mishaps.
func (p *process) died() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mishaps
}

// kill is kill -9.
func (p *process) kill() {
	running := p.dismiss()
	if running == nil {
		return
	}
	running.Kill()
	<-p.noted
}

// stop ends a process that has little to do for that.
func (p *process) stop() { p.end(child.StopTimeout) }

// end sends SIGTERM. It is a mishap if the process does not end with 0 in time.
func (p *process) end(within time.Duration) {
	running := p.dismiss()
	_ = running.Cmd.Process.Signal(syscall.SIGTERM) // a process that has ended is a mishap already
	select {
	case <-p.noted:
	case <-time.After(within):
		p.note(fmt.Errorf("%s has not ended %s after SIGTERM", p.name, within))
		p.kill()
		return
	}
	if code := running.ExitCode(); code != 0 {
		p.note(fmt.Errorf("%s ended with %d after SIGTERM", p.name, code))
	}
}

func (p *process) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mishaps = errors.Join(p.mishaps, err)
}

// hangUp sends SIGHUP, at which a bridge reads its configuration.
func (p *process) hangUp() error { return p.current().Cmd.Process.Signal(syscall.SIGHUP) }

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

// resident returns how many MiB a process has in memory, 0 if it has ended.
func (p *process) resident() int64 {
	running := p.current()
	if running == nil {
		return 0
	}
	resident, err := procfs.Resident(running.PID())
	if err != nil {
		return 0
	}
	return resident >> 20
}
