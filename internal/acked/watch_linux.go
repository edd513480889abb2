package acked

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// LooksPerTimeout is how often a socket must be queried within the timeout. A peer that
// acknowledges nothing is detected at most timeout/LooksPerTimeout late.
const LooksPerTimeout = 4

// Watch is the state of one connection. Its zero value is a connection on which all bytes are
// acknowledged. Times are durations since any fixed start.
type Watch struct {
	waits bool          // bytes may be outstanding
	look  time.Duration // when to query the socket next
	bytes uint64        // acknowledged bytes at the last query
	moved time.Duration // when bytes last increased, or when all bytes were last acknowledged
}

// Sent records that bytes were written.
func (w *Watch) Sent(now, timeout time.Duration) {
	if !w.waits {
		w.waits, w.moved, w.look = true, now, now+timeout/LooksPerTimeout
	}
}

// Due returns when to query the socket next. waits is false if no bytes are outstanding.
func (w *Watch) Due() (at time.Duration, waits bool) { return w.look, w.waits }

// Stuck queries a socket and reports whether bytes are outstanding and its peer has acknowledged
// nothing for the timeout. It always returns false for a socket other than TCP, which loses no
// bytes.
func (w *Watch) Stuck(now, timeout time.Duration, fd int) bool {
	w.look = now + timeout/LooksPerTimeout
	info, ok := tcpInfo(fd)
	switch {
	case !ok || info.Unacked == 0 && info.Notsent_bytes == 0:
		w.waits, w.moved = false, now
	case info.Bytes_acked != w.bytes:
		w.waits, w.moved, w.bytes = true, now, info.Bytes_acked
	default:
		w.waits = true
		return now-w.moved >= timeout
	}
	return false
}

// tcpInfo returns the kernel's view of a socket; ok is false if it is not TCP's. It is
// [unix.GetsockoptTCPInfo] without its allocation, which was most of the garbage of a bridge
// whose clients get nothing but heartbeats.
func tcpInfo(fd int) (info unix.TCPInfo, ok bool) {
	size := uint32(unix.SizeofTCPInfo)
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		//nolint:gosec // the arguments of getsockopt
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info, errno == 0
}
