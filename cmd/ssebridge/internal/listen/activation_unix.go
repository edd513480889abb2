//go:build unix

package listen

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// unfit says why a descriptor cannot be listened on, and what to write instead; it is nil
// where it can. A connected socket passes for a listener until Accept is called.
func unfit(file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return errNoSocket
	}
	var kind, listens int
	var failed error
	err = raw.Control(func(fd uintptr) {
		if kind, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE); failed == nil {
			listens, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		}
	})
	switch {
	case err != nil || failed != nil: // ENOTSOCK or, as nothing is open there, EBADF
		return errNoSocket
	case kind == unix.SOCK_DGRAM:
		return errors.New("it takes datagrams; write ListenStream= in place of ListenDatagram=")
	case kind != unix.SOCK_STREAM:
		return errors.New("it takes packets; write ListenStream= in place of ListenSequentialPacket=")
	case listens == 0:
		return errors.New("it is one connection, not the socket that takes them; write Accept=no in the .socket unit, and no @ in the service's name")
	default:
		return nil
	}
}
