package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// moreThanRoom is more lines than the log's queue has room for.
const moreThanRoom = 9000

// TestBadLogStopsNothing runs the command with a log that is not read, whose reader is gone, or whose disk is full.
// Requests, the reconnect of the backend, a reload, the drain and the exit go on as ever, and the lost lines are counted.
func TestBadLogStopsNothing(t *testing.T) {
	for name, test := range map[string]struct {
		log    func(t *testing.T) *os.File
		reason string // of the lost lines
	}{
		"the log is not read": {stalledPipe, "queue_full"},
		"the reader is gone":  {brokenPipe, "write_failed"},
		"the disk is full":    {fullDisk, "write_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			backend, public, admin := freeAddress(t), freeAddress(t), freeAddress(t)
			running := process(t, nil, "demo", "backend", "--listen", backend)
			config := filepath.Join(t.TempDir(), "ssebridge.yaml")
			routes := func(paths ...string) {
				var text strings.Builder
				fmt.Fprintf(&text, "listen: %s\nadmin: %s\ndrain: {delay: 200ms, grace: 200ms}\nupstreams: {app: {target: %q}}\nroutes:\n", public, admin, backend)
				for _, path := range paths {
					fmt.Fprintf(&text, "  - {path: %s, rpc: ssebridge.demo.v1.ClockService/Watch, upstream: app}\n", path)
				}
				if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			routes("/clock")
			bridge := process(t, test.log(t), "serve", "--config", config)
			until(t, "the bridge is ready", func() bool { return status("http://"+admin+"/readyz") == http.StatusOK })

			client := ssetest.Connect(t, "http://"+public+"/clock", ssetest.Options{})
			client.AwaitMessages(1)
			for range moreThanRoom { // a line each
				if got := status("http://" + public + "/nowhere"); got != http.StatusNotFound {
					t.Fatalf("a request is answered %d", got)
				}
			}

			running.kill(t)
			process(t, nil, "demo", "backend", "--listen", backend)
			client.AwaitMessages(len(client.Snapshot().Messages()) + 2)

			routes("/clock", "/more")
			until(t, "the configuration is reloaded", func() bool { return streams("http://" + public + "/more") })

			lost := regexp.MustCompile(`(?m)^ssebridge_log_lines_lost_total\{reason="` + test.reason + `"\} ([0-9.e+]+)$`)
			if found := lost.FindStringSubmatch(body(t, "http://"+admin+"/metrics")); found == nil || found[1] == "0" {
				t.Errorf("lost lines are counted as %q", found)
			}

			began := time.Now()
			bridge.signal(t, syscall.SIGTERM)
			if end := client.AwaitEnd(); !strings.Contains(fmt.Sprint(client.Snapshot().Events), "drain") {
				t.Errorf("the client was not asked to reconnect: %v", end)
			}
			if err := bridge.wait(t); err != nil {
				t.Errorf("the bridge ended with %v", err)
			}
			// 200 ms of delay and 200 ms of grace, and a second for the log's last words.
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the bridge took %v to end", took)
			}
		})
	}
}

// TestLogThatFlowsAgain has a line with the number of those that were dropped.
func TestLogThatFlowsAgain(t *testing.T) {
	public := freeAddress(t)
	config := filepath.Join(t.TempDir(), "ssebridge.yaml")
	text := fmt.Sprintf("listen: %s\nadmin: ''\nupstreams: {app: {target: '127.0.0.1:1'}}\nroutes: [{path: /clock, rpc: a.B/C, upstream: app}]\n", public)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, writer := pipe(t)
	fill(t, writer)
	bridge := process(t, writer, "serve", "--config", config)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the bridge listens", func() bool { return status("http://"+public+"/nowhere") == http.StatusNotFound })
	for range moreThanRoom {
		status("http://" + public + "/nowhere")
	}
	var log strings.Builder
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&log, reader) }) // until the bridge ends
	bridge.signal(t, syscall.SIGTERM)
	if err := bridge.wait(t); err != nil {
		t.Error(err)
	}
	reading.Wait()
	found := regexp.MustCompile(`"level":"WARN","msg":"log lines were lost","dropped":(\d+),"failed":0`).FindStringSubmatch(log.String())
	if found == nil {
		t.Fatalf("no line says that others were lost; the last ones are %s", log.String()[max(0, log.Len()-2000):])
	}
	dropped, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	// The first request may have found the listener before it was asked for.
	if written := strings.Count(log.String(), `"msg":"request"`); dropped == 0 || written+dropped < moreThanRoom || written+dropped > moreThanRoom+100 {
		t.Errorf("%d lines were written and %d dropped, of %d", written, dropped, moreThanRoom)
	}
	if !strings.HasSuffix(log.String(), `"msg":"stopped"}`+"\n") {
		t.Errorf("the last line is not there: %s", log.String()[max(0, log.Len()-300):])
	}
}

func pipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = reader.Close(), writer.Close() }) // the test may have
	return reader, writer
}

// fill fills a pipe, so that the next write to it blocks.
func fill(t *testing.T, writer *os.File) {
	t.Helper()
	fd := int(writer.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for page := make([]byte, 4096); ; {
		if _, err := syscall.Write(fd, page); errors.Is(err, syscall.EAGAIN) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

func stalledPipe(t *testing.T) *os.File {
	t.Helper()
	_, writer := pipe(t)
	fill(t, writer)
	return writer
}

func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	reader, writer := pipe(t)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	return writer
}

func fullDisk(t *testing.T) *os.File {
	t.Helper()
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// command is the command in a process of its own.
type command struct {
	cmd  *exec.Cmd
	done chan error // its end, once
}

// process starts the command. It is killed when the test ends.
func process(t *testing.T, stderr *os.File, args ...string) *command {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "ssebridge" // by which TestMain knows the command
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=200MiB")
	if stderr != nil {
		cmd.Stderr = stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &command{cmd, make(chan error, 1)}
	go func() { c.done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	return c
}

func (c *command) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

func (c *command) wait(t *testing.T) error {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	select {
	case err := <-c.done:
		return err
	case <-late.C:
		return errors.New("it has not ended after 20 s")
	}
}

func (c *command) kill(t *testing.T) {
	t.Helper()
	c.signal(t, syscall.SIGKILL)
	_ = c.wait(t) // killed
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

// until waits for a condition, for twenty seconds at most.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(25 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-late.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// status is what a GET is answered, 0 where it is not.
func status(url string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := get(ctx, url)
	if err != nil {
		return 0
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return 0
	}
	return answer.StatusCode
}

// streams reports whether a stream begins at a URL.
func streams(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := get(ctx, url)
	if err != nil {
		return false
	}
	_ = answer.Body.Close() // it does not end by itself
	return answer.StatusCode == http.StatusOK
}

func body(t *testing.T, url string) string {
	t.Helper()
	answer, err := get(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(request)
}
