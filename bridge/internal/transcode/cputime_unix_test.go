//go:build unix

package transcode

import (
	"syscall"
	"testing"
	"time"
)

// spentTime returns the CPU time of the process, which other processes hardly affect.
func spentTime(tb testing.TB) time.Duration {
	tb.Helper()

	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
