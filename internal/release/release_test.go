package release_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The flags are those with which scripts/image.sh and the Makefile build the command.
func TestTheLinkerSetsTheVersion(t *testing.T) {
	flags, err := exec.Command("../../scripts/ldflags.sh", "1.2.3").Output()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "version")
	build := exec.Command("go", "build", "-ldflags", strings.TrimSpace(string(flags)), "-o", program, "./testdata/version")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := exec.Command(program).Output(); err != nil || string(got) != "1.2.3" {
		t.Errorf("got %q, %v", got, err)
	}
}
