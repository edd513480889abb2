package bridgetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// command is the file that Main has built.
var command string

// Main builds the command as it is released, runs the tests and removes it. It is what a
// TestMain calls.
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "ssebridge-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder) //nolint:errcheck // of temporary files
	command = filepath.Join(folder, "ssebridge")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", command, "./cmd/ssebridge")
	build.Dir = Root()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n%s", build, err, out)
		return 1
	}
	return m.Run()
}

// Command is the file of the command.
func Command() string {
	if command == "" {
		panic("a TestMain has to call bridgetest.Main")
	}
	return command
}

// Root is the project's folder.
func Root() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("the path of this file is unknown")
	}
	return filepath.Join(filepath.Dir(file), "../../../..")
}

// Read returns a file of the project's, named from its root.
func Read(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Check fails the test unless `ssebridge check` accepts a configuration.
func Check(t testing.TB, configuration string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ssebridge.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(Command(), "check", "--config", file).CombinedOutput(); err != nil {
		t.Errorf("ssebridge check: %v\n%s\n%s", err, strings.TrimSpace(string(out)), configuration)
	}
}
