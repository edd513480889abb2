package delivery

import (
	"time"

	"golang.org/x/sys/unix"
)

// acks watches whether a client acknowledges what it is sent. A client that
// acknowledges nothing for the write timeout is stuck, or its link is dead.
//
// TCP_USER_TIMEOUT has the kernel do it, but Linux also ends clients by it that read
// slowly. While the receive window is closed, the time counts from the first probe,
// and it starts anew only if the window opens for the whole head of the send queue
// (tcp_ack_probe). A client that reads 10 KiB/s into a buffer of 64 KiB rarely opens
// it that far, and was cut after the write timeout.
type acks struct {
	look  moment // when the socket is asked next; never: all bytes are acknowledged
	bytes uint64 // acknowledged when the socket was asked last
	moved moment // when bytes last rose, or when bytes were sent after all had been acknowledged
}

// looksPerTimeout is how often the socket is asked within the write timeout. A
// stuck client is found that part of the timeout late at most.
const looksPerTimeout = 4

// sent notes that bytes were written.
func (a *acks) sent(now moment, timeout time.Duration) {
	if a.look == never {
		a.moved, a.look = now, now.after(timeout/looksPerTimeout)
	}
}

// stuck asks the socket if that is due, and reports whether the client has
// acknowledged nothing for the timeout.
func (a *acks) stuck(now moment, timeout time.Duration, s socket) bool {
	if now < a.look {
		return false
	}
	a.look = now.after(timeout / looksPerTimeout)
	switch bytes, all := s.acknowledged(); {
	case all:
		a.bytes, a.look = bytes, never
	case bytes != a.bytes:
		a.bytes, a.moved = bytes, now
	default:
		return now.since(a.moved) >= timeout
	}
	return false
}

// acknowledged returns how many bytes the client has acknowledged, and whether
// these are all that were written. A socket of AF_UNIX has no network that
// loses bytes.
func (s socket) acknowledged() (bytes uint64, all bool) {
	info, err := unix.GetsockoptTCPInfo(int(s), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, true
	}
	return info.Bytes_acked, info.Unacked == 0 && info.Notsent_bytes == 0
}
