package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// hungUp reports whether the bridge has closed or reset a connection, without reading
// from it.
func hungUp(conn net.Conn) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return true
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		const established = 1
		gone = err != nil || info.State != established
	})
	return err != nil || gone
}
