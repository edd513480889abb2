package delivery

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// unsent is how much the kernel takes beyond what it has sent. Without the
	// bound it takes megabytes for a reader that is stuck.
	unsent = 16 << 10
	// furtherInput is how much a client may send after its request.
	furtherInput = 4 << 10
	// maxKeepalive and maxProbes are the kernel's bounds: MAX_TCP_KEEPIDLE, which is
	// MAX_TCP_KEEPINTVL, and MAX_TCP_KEEPCNT.
	maxKeepalive, maxProbes = 32767, 127
)

// socket is a descriptor that does not block and has no other owner.
type socket int

// hasSocket reports whether a connection is one of the kernel's and unwrapped: a
// listener's own connection may count on its Close.
func hasSocket(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// takeSocket takes a connection's socket over, and leaves the connection closed. With an
// error it is as it was.
func takeSocket(conn net.Conn) (socket, error) {
	raw, err := conn.(syscall.Conn).SyscallConn() //nolint:errcheck,forcetypeassert // see hasSocket
	if err != nil {
		return -1, err
	}
	fd := -1
	var failed error
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, failed); err != nil {
		return -1, fmt.Errorf("a descriptor for the shard: %w", err)
	}
	if isNeeded(fd) {
		_ = unix.Close(fd) // the connection is as it was
		return -1, errNeeded
	}
	_ = conn.Close() // the duplicate stays open, whatever it says
	return socket(fd), nil
}

// spare is how many descriptors are left to everything else than clients, and a
// hundredth of all.
const spare = 64

var errNeeded = errors.New("delivery: the last descriptors are for others")

// isNeeded reports whether a descriptor is one of the last, by its number. Listeners
// close connections with such a number. A duplicate has a higher number than its
// original and would climb over their bound: each duplicate frees a lower number for
// the next connection.
func isNeeded(fd int) bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	return uint64(fd)+spare+limit.Cur/100 >= limit.Cur //nolint:gosec // no descriptor is below 0
}

// setUp sets the options by which a dead client is noticed that is sent nothing. The
// others are watched (package acked), instead of by a TCP_USER_TIMEOUT that the listener
// may have set. A socket that has no such options, as those of AF_UNIX, has no use for them.
func (s socket) setUp(policy Policy) {
	seconds := int(policy.WriteTimeout / time.Second)
	idle, every := max(1, seconds/2), max(1, seconds/8)
	for _, option := range []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0},
		{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, min(idle, maxKeepalive)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, min(every, maxKeepalive)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, min(max(1, (seconds-idle)/every), maxProbes)},
	} {
		_ = unix.SetsockoptInt(int(s), option.level, option.name, option.value)
	}
}

// write returns how much the socket took; fewer bytes and no error: it is full.
// The runtime is not told of the call, which does not block: told, it would take
// the processor away under it, and start one thread after another. It is sendto, for
// write goes through the kernel's files first.
func (s socket) write(p []byte) (int, error) {
	for len(p) > 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO,
			//nolint:gosec // as the kernel wants it
			uintptr(s), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
	return 0, nil
}

// discard reads what has come, up to a limit. open is false where the client has
// ended its side, or has sent more.
func (s socket) discard(limit int) (n int, open bool) {
	var scratch [furtherInput + 1]byte
	for n <= limit {
		got, err := unix.Read(int(s), scratch[:])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return n, true
		case err != nil || got == 0:
			return n, false
		default:
			n += got
		}
	}
	return n, false
}

// shutdown says that nothing more is written.
func (s socket) shutdown() error { return unix.Shutdown(int(s), unix.SHUT_WR) }

// close closes the descriptor. Bytes that were written still go out.
func (s socket) close() {
	_ = unix.Close(int(s)) // whatever it says, the descriptor is gone
}

// reset closes the descriptor and drops what was not sent: the client sees that
// the stream was cut.
func (s socket) reset() {
	_ = unix.SetsockoptLinger(int(s), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
	s.close()
}
