//go:build unix

package listen

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// beginsWith waits until it is known with which of wants a connection begins, "" being
// none, and leaves all to be read: the kernel shows what has come without giving it away.
// One that stops in the middle of one is waited for until the connection's deadline.
func beginsWith(conn net.Conn, wants ...string) (string, error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return "", nil // not the kernel's: no proxy was asked for in front of it
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return "", err
	}
	var begins string
	var failed error
	longest := 0
	for _, want := range wants {
		longest = max(longest, len(want))
	}
	seen := make([]byte, longest)
	err = raw.Read(func(fd uintptr) bool {
		n, err := look(int(fd), seen)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			failed = err
		case n == 0:
			failed = io.EOF
		default:
			var known bool
			begins, known = which(string(seen[:n]), wants)
			return known // else more is waited for
		}
		return true
	})
	return begins, errors.Join(err, failed)
}

// which is the one of wants with which seen begins, or "" where it is known to be none.
func which(seen string, wants []string) (begins string, known bool) {
	known = true
	for _, want := range wants {
		if strings.HasPrefix(seen, want) {
			return want, true
		}
		known = known && !strings.HasPrefix(want, seen)
	}
	return "", known
}

// look reads what has come, and leaves it there.
func look(fd int, p []byte) (int, error) {
	for {
		n, _, err := unix.Recvfrom(fd, p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
