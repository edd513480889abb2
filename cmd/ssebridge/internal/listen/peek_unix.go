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

// beginsWith waits until it is known whether a connection begins with want, and leaves
// all to be read: the kernel shows what has come without giving it away. One that stops in
// the middle of it is waited for until the connection's deadline.
func beginsWith(conn net.Conn, want string) (bool, error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false, nil // not the kernel's: nobody asked for a proxy in front of it
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false, err
	}
	begins := false
	var failed error
	seen := make([]byte, len(want))
	err = raw.Read(func(fd uintptr) bool {
		n, err := look(int(fd), seen)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			failed = err
		case n == 0:
			failed = io.EOF
		case n < len(want) && strings.HasPrefix(want, string(seen[:n])):
			return false // and more is waited for
		default:
			begins = string(seen[:n]) == want
		}

		return true
	})

	return begins, errors.Join(err, failed)
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
