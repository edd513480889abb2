package bridgetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a step of a test may take at most. It is less than the bridge's heartbeat, which would
// flush events that a proxy holds back.
const Patience = 12 * time.Second

// Process is a command that runs in the background.
type Process struct {
	cmd    *exec.Cmd
	output syncBuffer
	ended  chan struct{} // closed when it has ended
	err    error         // how, after that
}

// Start starts a command, which is killed when the test ends, if it has not been stopped.
// Its output is shown when the test has failed.
func Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.Dir = t.TempDir()
	// Nothing of this is left in the user's folders.
	p.cmd.Env = append(p.cmd.Environ(), "HOME="+p.cmd.Dir, "XDG_CONFIG_HOME="+p.cmd.Dir, "XDG_DATA_HOME="+p.cmd.Dir)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		if t.Failed() {
			t.Logf("%s:\n%s", p.cmd, p.output.String())
		}
	})
	return p
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what it has said until now.
func (p *Process) Output() string { return p.output.String() }

// Signal sends a signal.
func (p *Process) Signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// AwaitEnd fails the test unless the process ends with 0.
func (p *Process) AwaitEnd(t testing.TB) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(Patience):
		t.Fatalf("%s goes on after SIGTERM", p.cmd)
	}
	if p.err != nil {
		t.Errorf("%s: %v", p.cmd, p.err)
	}
}

// Stop sends SIGTERM, and fails the test unless the process then ends with 0.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	p.AwaitEnd(t)
}

// Kill ends it as a crash does.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}

// FreeAddress returns an address of this machine without a listener. Its port is below those that the kernel
// gives to connections, from 32768 on: else a connection might take it before the listener does.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprintf(":%d", 20000+rand.N(12000))
		listener, err := net.Listen("tcp", port) // on all addresses, as Caddy does
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return "127.0.0.1" + port
	}
	t.Fatal("no port is free")
	return ""
}

// Status asks once, and returns the status and the body.
func Status(ctx context.Context, url string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(content), errors.Join(err, answer.Body.Close())
}

// Await asks until the status is as wanted.
func Await(t testing.TB, url string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	Until(t, url, func() bool {
		status, _, err := Status(ctx, url)
		return err == nil && status == want
	})
}

// AwaitAddress waits until an address has a listener.
func AwaitAddress(t testing.TB, address string) {
	t.Helper()
	Until(t, address, func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		return err == nil && conn.Close() == nil
	})
}

// Until looks again and again until a condition holds.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(Patience)
	defer late.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-late.C:
			t.Fatalf("waited in vain for %s", strings.TrimSpace(what))
		}
	}
}

// syncBuffer is written by a process while a test reads it.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
