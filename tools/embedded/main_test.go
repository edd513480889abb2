package embedded_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// commands are the files that TestMain has built: by "binary" and "library".
var commands = map[string]string{}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "embedded-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder) //nolint:errcheck // of temporary files
	for name, from := range map[string][2]string{
		"binary":  {"../..", "./cmd/ssebridge"}, // by the root's module
		"library": {".", "./embedder"},
	} {
		commands[name] = filepath.Join(folder, name)
		build := exec.Command("go", "build", "-o", commands[name], from[1])
		build.Dir = from[0]
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", from[1], err, out)
			return 1
		}
	}
	return m.Run()
}

// patience is how long a program may take to listen, and to end: far above what a busy
// machine needs.
const patience = 30 * time.Second

// serve runs a configuration as a command or as a library until the test ends, and
// returns the URL to ask.
func serve(t *testing.T, name, configuration string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ssebridge.yaml")
	if err := os.WriteFile(path, []byte("listen: 127.0.0.1:0\nadmin: \"\"\ndrain: {delay: 0s, grace: 10ms}\n"+configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{path}
	if name == "binary" {
		args = []string{"serve", "--log-format", "text", "--config", path}
	}
	cmd := exec.Command(commands[name], args...)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=200MiB")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := make(chan string, 1)
	var reading sync.WaitGroup
	var log strings.Builder
	reading.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintln(&log, lines.Text())
			if _, found, ok := strings.Cut(lines.Text(), "addr="); ok && strings.Contains(lines.Text(), "on=listen") {
				select {
				case addr <- strings.Fields(found)[0]:
				default:
				}
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
		close(addr)
	})
	t.Cleanup(func() {
		_ = stdin.Close()
		if name == "binary" {
			_ = cmd.Process.Signal(os.Interrupt)
		}
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // which is an error of Wait
		reading.Wait()
		err := cmd.Wait()
		late.Stop()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if t.Failed() {
			t.Logf("%s has logged:\n%s", name, log.String())
		}
	})
	select {
	case found := <-addr:
		if found == "" {
			t.Fatalf("%s has ended before it listened", name)
		}
		return "http://" + found
	case <-time.After(patience):
		t.Fatalf("%s does not listen", name)
		return ""
	}
}
