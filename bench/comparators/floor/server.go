package main

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// response is what every request is answered with, before the events.
const response = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"

// glance is how many clients are written to between two looks at the clock.
const glance = 32

// client is a connection.
type client struct {
	descriptor int
	index      int   // in the server's list
	position   int64 // on the tape
	listens    bool  // its request has been answered
	blocked    bool  // its socket takes nothing more
}

// server is all there is.
type server struct {
	coalesce              bool
	epoll, listener, wake int
	timer                 int
	byDescriptor          []*client
	clients               []*client // those that listen
	tape                  tape
}

// newServer listens.
func newServer(address string, coalesce bool) (*server, error) {
	s := &server{coalesce: coalesce}
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	open := func(what string, into *int, f func() (int, error)) {
		if err == nil {
			*into, err = f()
			err = os.NewSyscallError(what, err)
		}
	}
	open("epoll_create1", &s.epoll, func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) })
	open("eventfd", &s.wake, func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK) })
	open("timerfd_create", &s.timer, func() (int, error) {
		return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	})
	open("socket", &s.listener, func() (int, error) {
		return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	})
	if err != nil {
		return nil, err
	}
	return s, errors.Join(
		unix.SetsockoptInt(s.listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(s.listener, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}),
		unix.Listen(s.listener, 4096),
		s.watch(s.listener, unix.EPOLLIN), s.watch(s.wake, unix.EPOLLIN), s.watch(s.timer, unix.EPOLLIN),
	)
}

func (s *server) watch(descriptor int, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(descriptor)} //nolint:gosec // descriptors are small
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, descriptor, &event)
}

// wakeUp has the thread look what is to be done.
func (s *server) wakeUp() {
	one := [8]byte{1}
	_, _ = unix.Write(s.wake, one[:])
}

// run serves until ctx is done.
func (s *server) run(ctx context.Context, events *ticker) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ready := make([]unix.EpollEvent, 512)
	for pending := false; ctx.Err() == nil; {
		timeout, err := s.arm(events.wait(), pending)
		if err != nil {
			return err
		}
		n, err := unix.EpollWait(s.epoll, ready, timeout)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, event := range ready[:max(n, 0)] {
			s.handle(event)
		}
		if s.take(events) || pending {
			pending = s.write(events)
		}
	}
	return nil
}

// arm sets the timer to when the next event is due, for epoll's own timeout
// counts milliseconds, and returns that timeout.
func (s *server) arm(wait time.Duration, pending bool) (timeout int, err error) {
	switch {
	case wait == 0 || pending:
		return 0, nil
	case wait < 0:
		return -1, nil
	}
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
	return -1, os.NewSyscallError("timerfd_settime", unix.TimerfdSettime(s.timer, 0, &at, nil))
}

// handle does what a descriptor asks for.
func (s *server) handle(event unix.EpollEvent) {
	descriptor := int(event.Fd)
	switch descriptor {
	case s.wake, s.timer:
		var count [8]byte
		_, _ = unix.Read(descriptor, count[:])
	case s.listener:
		s.accept()
	default:
		c := s.byDescriptor[descriptor]
		if c == nil {
			return
		}
		if event.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 && !s.read(c) {
			return
		}
		if event.Events&unix.EPOLLOUT != 0 && c.blocked {
			c.blocked = false
			s.send(c)
		}
	}
}

// accept takes the connections that wait.
func (s *server) accept() {
	for {
		descriptor, _, err := unix.Accept4(s.listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		// As Go does for every connection.
		_ = unix.SetsockoptInt(descriptor, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		for len(s.byDescriptor) <= descriptor {
			s.byDescriptor = append(s.byDescriptor, nil)
		}
		c := &client{descriptor: descriptor}
		s.byDescriptor[descriptor] = c
		if s.watch(descriptor, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET) != nil {
			s.drop(c)
		}
	}
}

// read answers a client's request, which comes in one piece here, and returns
// false where the client is gone.
func (s *server) read(c *client) bool {
	var buffer [4096]byte
	for {
		n, err := unix.Read(c.descriptor, buffer[:])
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			return true
		case err != nil || n <= 0:
			s.drop(c)
			return false
		case !c.listens:
			_, _ = unix.Write(c.descriptor, []byte(response)) // the socket is empty
			c.listens, c.index, c.position = true, len(s.clients), s.tape.end()
			s.clients = append(s.clients, c)
		}
	}
}

// drop closes a connection.
func (s *server) drop(c *client) {
	_ = unix.Close(c.descriptor)
	s.byDescriptor[c.descriptor] = nil
	if !c.listens {
		return
	}
	last := s.clients[len(s.clients)-1]
	s.clients[c.index], last.index = last, c.index
	s.clients = s.clients[:len(s.clients)-1]
}

// take puts the events on the tape that are due: one, or all where they coalesce.
func (s *server) take(events *ticker) bool {
	taken := false
	for range glance {
		place, sent, due := events.next()
		if !due {
			break
		}
		s.tape.append(place, sent)
		taken = true
		if !s.coalesce {
			break
		}
	}
	return taken
}

// write writes to all clients. Where events coalesce those that come due
// meanwhile go to the clients who have not been written to yet; it returns
// whether there were any, which the others are still to get.
func (s *server) write(events *ticker) (taken bool) {
	for i, c := range slices.Backward(s.clients) { // from the last: one that is dropped is replaced by one that is done
		if !c.blocked {
			s.send(c)
		}
		if s.coalesce && i%glance == 0 {
			taken = s.take(events) || taken
		}
	}
	return taken
}

// send writes what a client has not got. One that is too far behind is dropped.
func (s *server) send(c *client) {
	for c.position < s.tape.end() {
		bytes, ok := s.tape.after(c.position)
		if !ok {
			s.drop(c)
			return
		}
		n, err := send(c.descriptor, bytes)
		c.position += int64(n)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN, err == 0 && n < len(bytes):
			c.blocked = true
			return
		case err != 0:
			s.drop(c)
			return
		default:
			return
		}
	}
}

// send is the least that a write can be: sendto, for write goes through the kernel's files
// first, and the runtime, whose thread this is, is not told.
func send(descriptor int, p []byte) (n int, err unix.Errno) {
	sent, _, err := unix.RawSyscall6(unix.SYS_SENDTO,
		//nolint:gosec // as the kernel wants it
		uintptr(descriptor), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(sent), 0
}
