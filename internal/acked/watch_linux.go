package acked

import (
	"time"

	"golang.org/x/sys/unix"
)

// LooksPerTimeout is how often a socket is to be asked within the timeout. A peer that
// acknowledges nothing is found that part of the timeout late at most.
const LooksPerTimeout = 4

// Watch is the state of one connection. Its zero value is a connection on which all bytes are
// acknowledged. Moments are durations since any beginning.
type Watch struct {
	waits bool          // bytes may be outstanding
	look  time.Duration // when the socket is to be asked next
	bytes uint64        // acknowledged when the socket was asked last
	moved time.Duration // when bytes last rose, or when all bytes were last acknowledged
}

// Sent notes that bytes were written.
func (w *Watch) Sent(now, timeout time.Duration) {
	if !w.waits {
		w.waits, w.moved, w.look = true, now, now+timeout/LooksPerTimeout
	}
}

// Due returns when the socket is to be asked next. It is false while there is nothing to
// ask for.
func (w *Watch) Due() (at time.Duration, waits bool) { return w.look, w.waits }

// Stuck asks a socket, and reports whether its peer has acknowledged nothing for the
// timeout although bytes are outstanding. It is always false for a socket that is not
// TCP's: no network loses its bytes.
func (w *Watch) Stuck(now, timeout time.Duration, fd int) bool {
	w.look = now + timeout/LooksPerTimeout
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	switch {
	case err != nil || info.Unacked == 0 && info.Notsent_bytes == 0:
		w.waits, w.moved = false, now
	case info.Bytes_acked != w.bytes:
		w.waits, w.moved, w.bytes = true, now, info.Bytes_acked
	default:
		w.waits = true
		return now-w.moved >= timeout
	}
	return false
}
