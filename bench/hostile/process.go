package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/procfs"
)

// process is a process that has been started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start starts a command, whose output goes to a file of the folder, until ctx ends.
func start(ctx context.Context, dir, name string, env []string, args ...string) (*process, error) {
	output, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // a file in our own folder
	if err != nil {
		return nil, err
	}
	defer output.Close()                                  //nolint:errcheck // the process has its own
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // our own binaries
	cmd.Stdout, cmd.Stderr, cmd.Env = output, output, append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its end says it all
		close(p.done)
	}()

	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// cpu returns the time that the process has had on processors, 0 if it has ended.
func (p *process) cpu() time.Duration {
	user, system, err := procfs.CPU(p.cmd.Process.Pid)
	if err != nil {
		return 0
	}

	return user + system
}

// peak returns the most memory that the process has had resident since resetPeak.
func (p *process) peak() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel's own

			return kib << 10
		}
	}

	return 0
}

func (p *process) resetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0) // else the peak is an earlier one's
}

// free returns an address without a listener, from a port on, below those that connections are given.
func free(from int) (string, error) {
	for port := from; port < 30_000; port++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr); err == nil {
			return addr, listener.Close()
		}
	}

	return "", errors.New("there is no free port")
}
