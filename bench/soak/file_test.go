package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFile: what is read is what was put last, and nothing of the ones before is left.
func TestFile(t *testing.T) {
	for name, mounted := range map[string]bool{"renamed": false, "mounted": true} {
		t.Run(name, func(t *testing.T) {
			f := newFile(filepath.Join(t.TempDir(), "bridge"), mounted)
			for _, text := range []string{"a", "b", "c"} {
				if err := f.put(text); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(f.path); string(got) != text {
					t.Errorf("%q is read, %v, want %q", got, err, text)
				}
			}
			left, err := os.ReadDir(filepath.Dir(f.path))
			if want := map[bool]int{false: 1, true: 3}[mounted]; err != nil || len(left) != want {
				t.Errorf("%v, %v, want %d", left, err, want)
			}
		})
	}
}
