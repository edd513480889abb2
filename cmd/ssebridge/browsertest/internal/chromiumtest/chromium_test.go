package chromiumtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// failing returns the option for a browser that exits at once for a number of starts and then
// works, and the path of its counter.
func failing(t *testing.T, times int) (chromedp.ExecAllocatorOption, string) {
	t.Helper()
	var browser string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil && browser == "" {
			browser = found
		}
	}
	folder := t.TempDir()
	path, count := filepath.Join(folder, "browser"), filepath.Join(folder, "count")
	text := fmt.Sprintf("#!/bin/sh\necho >>'%s'\ntest $(wc -l <'%[1]s') -gt %d || exit 7\nexec '%s' \"$@\"\n", count, times, browser)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return chromedp.ExecPath(path), count
}

// attempts returns how often a failing browser was started.
func attempts(t *testing.T, count string) int {
	t.Helper()
	text, err := os.ReadFile(count)
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}

// spy is a test whose failure does not end the real one.
type spy struct {
	testing.TB

	logged, failed string
}

func (s *spy) Logf(format string, args ...any)   { s.logged += fmt.Sprintf(format, args...) }
func (s *spy) Fatalf(format string, args ...any) { s.failed += fmt.Sprintf(format, args...); panic(s) }

func TestBrowserThatFailsOnceIsStartedAgain(t *testing.T) {
	path, count := failing(t, 1)
	s := &spy{TB: t}
	tab := Start(s, path)
	if got, err := chromedp.Run(tab, chromedp.Evaluate[int]("1 + 1")); err != nil || got != 2 {
		t.Errorf("got %d, %v", got, err)
	}
	if n := attempts(t, count); n != 2 || !strings.Contains(s.logged, "trying once more") {
		t.Errorf("started %d times, logged %q", n, s.logged)
	}
}

func TestBrowserThatFailsTwiceFailsTheTest(t *testing.T) {
	path, count := failing(t, 2)
	s := &spy{TB: t}
	defer func() {
		if recover() != s || !strings.HasPrefix(s.failed, "Chromium does not start: ") {
			t.Errorf("failed by %q", s.failed)
		}
		if n := attempts(t, count); n != 2 {
			t.Errorf("started %d times", n)
		}
	}()
	Start(s, path)
}
