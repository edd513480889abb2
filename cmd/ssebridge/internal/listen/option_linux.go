package listen

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// peerTimeout is how long the kernel waits for a peer that acknowledges nothing.
const peerTimeout = 20 * time.Second

// setUp sets what accepted connections inherit: the kernel gives up one whose peer
// acknowledges nothing. The bridge sets a route's own time on those that it takes over;
// TLS and HTTP/2 connections keep this one.
func setUp(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(peerTimeout/time.Millisecond))
	})

	return errors.Join(err, failed)
}
