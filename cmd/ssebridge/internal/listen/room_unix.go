//go:build unix

package listen

import (
	"net"
	"syscall"
)

// descriptorOf is the number of a connection's descriptor.
func descriptorOf(conn net.Conn) (number int, known bool) {
	in, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := in.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) { number = int(fd) })
	return number, err == nil
}
