package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is what a command writes, to be waited for.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed and replaced at each write
}

func newOutput() *output { return &output{written: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.written)
	o.written = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits until the output has a line with all of the words, and returns it.
func (o *output) await(t *testing.T, words ...string) string {
	t.Helper()
	return o.awaitLines(t, 1, words...)
}

// awaitLines waits until the output has so many of such lines, and returns the last one.
func (o *output) awaitLines(t *testing.T, count int, words ...string) string {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		o.mu.Lock()
		text, written := o.text.String(), o.written
		o.mu.Unlock()
		left := count
	lines:
		for line := range strings.Lines(text) {
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue lines
				}
			}
			if left--; left == 0 {
				return line
			}
		}
		select {
		case <-written:
		case <-late.C:
			t.Fatalf("no line with %q in:\n%s", words, text)
		}
	}
}

// running is a command that runs.
type running struct {
	stdout, stderr *output
	// end tells it to stop and returns its exit code.
	end func() int
	// hangups takes the signals that ask for the configuration to be read again.
	hangups chan<- os.Signal
}

// start runs a command until its end is called, or the test's.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	hangups := make(chan os.Signal, 1)
	r := &running{stdout: newOutput(), stderr: newOutput(), hangups: hangups}
	process := Process{Stdout: r.stdout, Stderr: r.stderr, Hangups: hangups}
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() { code <- Run(ctx, args, process) }()
	r.end = sync.OnceValue(func() int {
		cancel()
		return <-code
	})
	t.Cleanup(func() { r.end() })
	return r
}

// run runs a command to its end.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Run(t.Context(), args, Process{Stdout: &out, Stderr: &err})
	return code, out.String(), err.String()
}

// file writes a file of the test's own.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// addr finds the value of addr in a line of a text log.
func addr(t *testing.T, line string) string {
	t.Helper()
	_, rest, ok := strings.Cut(line, "addr=")
	if !ok {
		t.Fatalf("no address in %q", line)
	}
	found := strings.Fields(rest)[0]
	if _, _, err := net.SplitHostPort(found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUsageErrorsExitWithTwo(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"nonsense", `there is no command "nonsense"`},
		{"chekc", `there is no command "chekc"; did you mean "check"?`},
		{"serve --conf x", "unknown flag: --conf"},
		{"check --timeout soon", `invalid argument "soon" for "--timeout" flag`},
		{"version extra", `unexpected argument "extra"`},
		{"demo extra", `unexpected argument "extra"`},
		{"demo backend extra", `unexpected argument "extra"`},
		{"init", "--upstream HOST:PORT is missing"},
		{"serve --log-format yaml", `--log-format "yaml": must be auto, text or json`},
		{"demo --log-level x", `--log-level "x": must be debug, info, warn or error`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			code, stdout, stderr := run(t, strings.Fields(tc.args)...)
			if code != ExitUsage || stdout != "" || !strings.Contains(stderr, tc.want) || !strings.Contains(stderr, "--help'.") {
				t.Fatalf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
			}
		})
	}
}

func TestHelpNamesEachCommand(t *testing.T) {
	code, stdout, _ := run(t)
	if code != ExitOK {
		t.Fatalf("exit %d", code)
	}
	for _, command := range []string{"serve", "check", "init", "demo", "version", "completion"} {
		if !strings.Contains(stdout, "\n  "+command+" ") {
			t.Errorf("%s is not in the help:\n%s", command, stdout)
		}
	}
}

func TestLogFormatFollowsTheOutput(t *testing.T) {
	for _, tc := range []struct{ format, want string }{{"auto", "{"}, {"json", "{"}, {"text", "time="}} {
		var out bytes.Buffer
		log := &logFlags{}
		root := newRoot(Process{}, log)
		root.SetErr(&out)
		log.format = tc.format
		logger, err := log.open(root, slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("hello")
		logger.Debug("not at this level")
		log.flush()
		got := out.String()
		if !strings.HasPrefix(got, tc.want) || strings.Contains(got, "not at") {
			t.Errorf("%s: %q", tc.format, got)
		}
	}
}

func TestRegularFileIsNoTerminal(t *testing.T) {
	regular, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, regular)
	if isTerminal(regular) || isTerminal(&bytes.Buffer{}) {
		t.Error("taken for a terminal")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, null)
	if !isTerminal(null) { // the only character device that is everywhere
		t.Error("a character device is not taken for a terminal")
	}
}

// closing closes what a test has opened.
func closing(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// SIGHUP ends commands that do not read their configuration again, as it always does.
func TestHangupsAreLeftByOtherCommands(t *testing.T) {
	for args, want := range map[string]bool{"version": true, "check --config gone": true, "demo --listen nowhere": true, "serve --config gone": false} {
		left := false
		Run(t.Context(), strings.Fields(args), Process{Stdout: io.Discard, Stderr: io.Discard, LeaveHangups: func() { left = true }})
		if left != want {
			t.Errorf("%s: left %v", args, left)
		}
	}
}

// SIGTERM ends commands at once that do not serve.
func TestSignalsAreLeftByCommandsThatDoNotServe(t *testing.T) {
	for args, want := range map[string]bool{
		"version": true, "check --config gone": true, "init --upstream a:1 --proto gone": true,
		"demo --listen nowhere": false, "demo backend --listen nowhere": false, "serve --config gone": false,
	} {
		left := false
		Run(t.Context(), strings.Fields(args), Process{Stdout: io.Discard, Stderr: io.Discard, LeaveSignals: func() { left = true }})
		if left != want {
			t.Errorf("%s: left %v", args, left)
		}
	}
}
