//go:build unix

package transcode

import (
	"syscall"
	"testing"
	"time"
)

// spentTime is the CPU time that the process has taken: what other processes do to the clock on the wall is not in it.
func spentTime(tb testing.TB) time.Duration {
	tb.Helper()

	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}

	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
