package child

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// run runs a shell script.
func run(t *testing.T, script string, env ...string) *Process {
	t.Helper()
	p, err := Run(Params{Name: "script", Log: filepath.Join(t.TempDir(), "log"), Env: env, Command: []string{"sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestAProcessThatEndsByItselfIsAnErrorWithItsLastLines(t *testing.T) {
	p := run(t, "echo one; echo $WORD >&2; exit 3", "WORD=two")
	<-p.Done()
	err := p.Died()
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.HasSuffix(err.Error(), "one\ntwo") {
		t.Errorf("%v", err)
	}
	if code := p.ExitCode(); code != 3 {
		t.Errorf("the exit code is %d", code)
	}
}

func TestStopLetsAProcessEnd(t *testing.T) {
	p := run(t, "trap 'echo stopped; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	wait := func(ctx context.Context) error {
		if p.Last() == "" {
			return errors.New("not yet")
		}
		return ctx.Err()
	}
	if err := p.AwaitReady(t.Context(), wait); err != nil {
		t.Fatal(err)
	}
	if err := p.Died(); err != nil {
		t.Error(err)
	}
	p.Stop()
	if code, last := p.ExitCode(), p.Last(); code != 0 || !strings.HasSuffix(last, "stopped") {
		t.Errorf("it ended with %d: %s", code, last)
	}
}

func TestAProcessThatEndsIsNotWaitedFor(t *testing.T) {
	p := run(t, "echo no; exit 1")
	began := time.Now()
	err := p.AwaitReady(t.Context(), func(context.Context) error { return errors.New("refused") })
	if err == nil || !strings.Contains(err.Error(), "ended by itself") || time.Since(began) > readyTimeout/2 {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// The kernel kills a process when the one that started it is killed.
func TestNoProcessOutlivesItsParent(t *testing.T) {
	if pid := os.Getenv("CHILD_TEST_PID"); pid != "" {
		p, err := Run(Params{Name: "grandchild", Log: os.DevNull, Command: []string{"sleep", "600"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pid, []byte(procEntry(p.PID())), 0o600); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		return
	}
	entry := filepath.Join(t.TempDir(), "pid")
	parent, err := Run(Params{
		Name: "parent", Log: filepath.Join(t.TempDir(), "log"), Env: []string{"CHILD_TEST_PID=" + entry},
		Command: []string{os.Args[0], "-test.run=^TestNoProcessOutlivesItsParent$"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var grandchild string
	if err := parent.AwaitReady(t.Context(), func(context.Context) error {
		text, err := os.ReadFile(entry)
		if err == nil && len(text) == 0 {
			err = errors.New("not yet")
		}
		grandchild = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	parent.Kill()
	for limit := time.Now().Add(readyTimeout); ; time.Sleep(5 * time.Millisecond) {
		if state := state(grandchild); state == "" || state == "Z" {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("the grandchild goes on")
		}
	}
}

// procEntry is a process's folder in /proc.
func procEntry(pid int) string { return filepath.Join("/proc", strconv.Itoa(pid)) }

// state is the letter of a process's state (proc(5)), "" if there is no such process.
func state(entry string) string {
	text, err := os.ReadFile(filepath.Join(entry, "stat"))
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return after[:1]
}
