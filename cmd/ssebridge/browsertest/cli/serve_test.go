package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/cli"
	"github.com/ssebridge/ssebridge/cmd/ssebridge/internal/demo"
)

// serveClock runs the serve command until the test ends, with a route /clock to a backend of the demo and with the
// certificate tls.crt of a folder. It returns the listener's address and the command's log.
func serveClock(t *testing.T, folder string) (public string, stderr *output) {
	t.Helper()
	path := filepath.Join(folder, "ssebridge.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\nadmin: \"\"\ndrain: {delay: 10ms, grace: 50ms}\n"+
		"tls: {cert: tls.crt, key: tls.key}\nupstreams: {app: {target: %q}}\nroutes:\n"+
		"  - {path: /clock, rpc: ssebridge.demo.v1.ClockService/Watch, upstream: app, share: true}\n", startBackend(t))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr = &output{written: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	args, process := []string{"serve", "--log-format", "text", "--config", path}, cli.Process{Stdout: io.Discard, Stderr: stderr}
	go func() { code <- cli.Run(ctx, args, process) }()
	t.Cleanup(func() {
		cancel()
		<-code
	})
	_, rest, _ := strings.Cut(stderr.await(t, "msg=listening", "on=listen"), "addr=")
	public, _, _ = strings.Cut(strings.TrimSpace(rest), " ")
	if _, _, err := net.SplitHostPort(public); err != nil {
		t.Fatal(err)
	}
	return public, stderr
}

// startBackend runs the demo's backend until the test ends and returns its address.
func startBackend(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- demo.NewBackend().Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// output is what a command writes.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed and replaced at each write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.written)
	o.written = make(chan struct{})
	return o.text.Write(p)
}

// await waits until the output has a line with all of the words, and returns it.
func (o *output) await(t *testing.T, words ...string) string {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		o.mu.Lock()
		text, written := o.text.String(), o.written
		o.mu.Unlock()
	lines:
		for line := range strings.Lines(text) {
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue lines
				}
			}
			return line
		}
		select {
		case <-written:
		case <-late.C:
			t.Fatalf("no line with %q in:\n%s", words, text)
		}
	}
}
