//go:build unix

package listen

import "golang.org/x/sys/unix"

// descriptors is how many the process may have open. Package os has raised the limit to
// the most that the system allows.
func descriptors() (uint64, bool) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true //nolint:unconvert // signed on some systems
}
