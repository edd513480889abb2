package load

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// poller reads connections of HTTP/1.1 in clear, all in one thread.
type poller struct {
	epoll, wake int
	done        chan error // one result, when the thread has ended

	mu    sync.Mutex
	calls []func() // to be run by the thread

	// Of the thread.
	links  []*link // by descriptor
	buffer []byte
	opened func(*link, error) // called when a head has come, or why none came
	ended  bool
	after  func() // called after each batch
}

// link is a connection of a poller.
type link struct {
	*client

	descriptor int
	head       head
	begun      bool // the head has come
	chunks     chunks
}

// newPoller starts a poller's thread, which close joins.
func newPoller(opened func(*link, error), after func()) (*poller, error) {
	p := &poller{done: make(chan error, 1), buffer: make([]byte, 256<<10), opened: opened, after: after}
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), unix.Close(p.epoll))
	}
	if err := p.watch(unix.EPOLL_CTL_ADD, p.wake); err != nil {
		return nil, errors.Join(err, unix.Close(p.wake), unix.Close(p.epoll))
	}
	go func() { p.done <- p.run() }()
	return p, nil
}

// watch changes whether the thread hears of what a descriptor brings.
func (p *poller) watch(operation, descriptor int) error {
	ready := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(descriptor)} //nolint:gosec // descriptors are small
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, operation, descriptor, &ready))
}

// do has the thread run f, and waits for it.
func (p *poller) do(f func()) {
	ran := make(chan struct{})
	p.mu.Lock()
	p.calls = append(p.calls, func() { f(); close(ran) })
	p.mu.Unlock()
	one := [8]byte{1} // of the host's byte order or another: not 0
	_, _ = unix.Write(p.wake, one[:])
	<-ran
}

// add gives the thread a connection whose request is on its way.
func (p *poller) add(l *link) (err error) {
	p.do(func() {
		for len(p.links) <= l.descriptor {
			p.links = append(p.links, nil)
		}
		p.links[l.descriptor] = l
		err = p.watch(unix.EPOLL_CTL_ADD, l.descriptor)
	})
	return err
}

// stall has the thread read nothing more of a connection.
func (p *poller) stall(l *link) (err error) {
	p.do(func() {
		l.stall()
		if p.links[l.descriptor] == l {
			err = p.watch(unix.EPOLL_CTL_DEL, l.descriptor)
		}
	})
	return err
}

// close closes all connections and joins the thread.
func (p *poller) close() error {
	p.do(func() { p.ended = true })
	return <-p.done
}

// run is the thread.
func (p *poller) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ready := make([]unix.EpollEvent, 512)
	for !p.ended {
		n, err := unix.EpollWait(p.epoll, ready, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		for i := range max(n, 0) {
			if int(ready[i].Fd) == p.wake {
				p.answer()
				continue
			}
			p.read(p.links[ready[i].Fd])
		}
		p.after()
	}
	for _, l := range p.links {
		if l != nil {
			p.drop(l)
		}
	}
	return errors.Join(unix.Close(p.wake), unix.Close(p.epoll))
}

// answer runs the calls that wait.
func (p *poller) answer() {
	var count [8]byte
	_, _ = unix.Read(p.wake, count[:])
	p.mu.Lock()
	calls := p.calls
	p.calls = nil
	p.mu.Unlock()
	for _, call := range calls {
		call()
	}
}

// read reads once of a connection.
func (p *poller) read(l *link) {
	if l == nil {
		return // it was dropped in this batch
	}
	n, err := unix.Read(l.descriptor, p.buffer)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err == nil && n <= 0 {
		err = io.EOF
	}
	if err == nil {
		err = p.received(l, p.buffer[:n])
	}
	if err == nil {
		return
	}
	if !l.begun {
		p.opened(l, fmt.Errorf("no response: %w", err))
	}
	p.drop(l)
}

// received counts what a connection brought.
func (p *poller) received(l *link, piece []byte) error {
	now := time.Now()
	l.received(len(piece), now)
	if !l.begun {
		rest, done, err := l.head.read(piece)
		if err != nil || !done {
			return err
		}
		l.begun = true
		l.encode(l.head.gzip)
		p.opened(l, nil)
		piece = rest
	}
	if !l.head.chunked {
		l.take(piece, now)
		return nil
	}
	return l.chunks.body(piece, func(piece []byte) { l.take(piece, now) })
}

// drop closes a connection.
func (p *poller) drop(l *link) {
	p.links[l.descriptor] = nil
	_ = unix.Close(l.descriptor) // takes it out of the epoll too
	l.close()
}
