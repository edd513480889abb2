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
	// maxUnsent bounds the bytes that the kernel has accepted but not sent (TCP_NOTSENT_LOWAT). Without
	// it the kernel buffers megabytes for a client that does not read.
	maxUnsent = 16 << 10
	// maxFurtherInput is how many bytes a client may send after its request.
	maxFurtherInput = 4 << 10
	// maxKeepalive and maxProbes are the kernel's bounds: MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL, which
	// are equal, and MAX_TCP_KEEPCNT.
	maxKeepalive, maxProbes = 32767, 127
)

// socket is a non-blocking descriptor that the shard owns.
type socket int

// hasSocket reports whether a connection is a bare kernel socket. Wrapped connections are not taken: the
// listener that wraps them may rely on their Close.
func hasSocket(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// takeSocket duplicates the descriptor of a connection and closes the connection. With an error the
// connection is unchanged.
func takeSocket(conn net.Conn) (socket, error) {
	raw, err := conn.(syscall.Conn).SyscallConn() //nolint:errcheck,forcetypeassert // see hasSocket
	if err != nil {
		return -1, err
	}
	fd := -1
	var failed error
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, failed); err != nil {
		return -1, fmt.Errorf("duplicating the descriptor: %w", err)
	}
	if isReserved(fd) {
		_ = unix.Close(fd) // the duplicate; the connection keeps its own
		return -1, errReserved
	}
	_ = conn.Close() // the duplicate stays open, even with an error
	return socket(fd), nil
}

// spareDescriptors is how many descriptors, besides 1 % of the limit, are reserved for everything other
// than clients.
const spareDescriptors = 64

var errReserved = errors.New("delivery: the last file descriptors are reserved")

// isReserved reports whether a descriptor's number is among the reserved ones. The command's listeners
// close a new connection whose number is too high. But a duplicate gets a higher number, and the next
// connection gets its original's: without this check duplicates would use up the reserve.
func isReserved(fd int) bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	return uint64(fd)+spareDescriptors+limit.Cur/100 >= limit.Cur //nolint:gosec // no descriptor is below 0
}

// setOptions enables keepalive, which detects a dead peer while the stream is silent. While bytes are
// outstanding, package acked does that, so a TCP_USER_TIMEOUT that the listener may have set is turned
// off. Unix sockets have no TCP options, so errors are ignored.
func (s socket) setOptions(policy Policy) {
	seconds := int(policy.WriteTimeout / time.Second)
	idle, every := max(1, seconds/2), max(1, seconds/8)
	for _, option := range []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0},
		{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, min(idle, maxKeepalive)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, min(every, maxKeepalive)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, min(max(1, (seconds-idle)/every), maxProbes)},
	} {
		_ = unix.SetsockoptInt(int(s), option.level, option.name, option.value)
	}
}

// write returns how many bytes the socket took. If these are fewer than len(p) and there is no error, the
// socket has no room. RawSyscall6 does not notify the Go scheduler: notifying it of a call that cannot
// block would only cost processor hand-overs and more threads. The system call sendto bypasses the
// kernel's file layer, which the system call write goes through.
func (s socket) write(p []byte) (int, error) {
	for len(p) > 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO,
			//nolint:gosec // the arguments of sendto
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

// discard reads and drops input, up to limit bytes. open is false if the client has closed its side or
// has sent more than limit bytes.
func (s socket) discard(limit int) (n int, open bool) {
	var scratch [maxFurtherInput + 1]byte
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

// shutdown closes the bridge's side of the connection.
func (s socket) shutdown() error { return unix.Shutdown(int(s), unix.SHUT_WR) }

// close closes the descriptor. The kernel still sends what was written.
func (s socket) close() {
	_ = unix.Close(int(s)) // even with an error the descriptor is closed
}

// reset closes the descriptor with a TCP reset and drops unsent bytes, so that the client sees an error.
func (s socket) reset() {
	_ = unix.SetsockoptLinger(int(s), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
	s.close()
}
