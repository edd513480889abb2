package procfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Resident returns how many bytes of memory a process has.
func Resident(pid int) (int64, error) { return status(pid, "VmRSS") }

// Peak returns the most bytes of memory that a process has had since it began, or since
// ResetPeak.
func Peak(pid int) (int64, error) { return status(pid, "VmHWM") }

// ResetPeak sets Peak to the memory that the process has now.
func ResetPeak(pid int) error {
	const peak = "5" // proc(5), clear_refs
	return os.WriteFile(filepath.Join(root, strconv.Itoa(pid), "clear_refs"), []byte(peak), 0)
}

// status reads a size from a process's status.
func status(pid int, name string) (int64, error) {
	file := filepath.Join(root, strconv.Itoa(pid), "status")
	text, err := os.ReadFile(file) //nolint:gosec // in /proc
	if err != nil {
		return 0, err
	}
	size, err := kilobytes(text, name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return size, nil
}
