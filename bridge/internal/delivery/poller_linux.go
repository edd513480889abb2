package delivery

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// watchedEvents are edge-triggered: each is reported once when it happens.
const watchedEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// poller reports which sockets have room again, have input or have ended. It does not watch logs: these
// wake the shard directly. The Go runtime's own poller waits for the epoll descriptor, so waiting
// occupies no thread.
type poller struct {
	file   *os.File // the epoll descriptor
	events chan []unix.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: %w", err), unix.Close(fd))
	}
	return &poller{os.NewFile(uintptr(fd), "epoll"), make(chan []unix.EpollEvent)}, nil
}

// run sends events to the loop until the poller or quit is closed. A batch is valid until the next one is
// received.
func (p *poller) run(quit <-chan struct{}) {
	raw, err := p.file.SyscallConn()
	if err != nil {
		panic(err) // a pollable file has a SyscallConn
	}
	var batches [2][128]unix.EpollEvent
	for current := 0; ; current ^= 1 {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), batches[current][:], 0) // an error is EINTR: no events
			return n > 0
		})
		if err != nil {
			return // closed
		}
		select {
		case p.events <- batches[current][:n]:
		case <-quit:
			return
		}
	}
}

// add watches a socket. Its events carry the tag.
func (p *poller) add(fd int, tag tag) error {
	return p.control(func(epoll int) error {
		return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: watchedEvents, Fd: tag.slot, Pad: tag.generation})
	})
}

func (p *poller) control(do func(epoll int) error) error {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

func (p *poller) close() error { return p.file.Close() }

// tag identifies the member that an event is for. A slot is reused, with another generation each time.
type tag struct{ slot, generation int32 }

// slots are the members with a socket in the poller.
type slots struct {
	members     []*member
	generations []int32
	free        []int32
}

func (s *slots) add(m *member) {
	if len(s.free) == 0 {
		s.free = append(s.free, int32(len(s.members))) //nolint:gosec // no more slots than descriptors
		s.members, s.generations = append(s.members, nil), append(s.generations, 0)
	}
	slot := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.generations[slot]++
	s.members[slot] = m
	m.tag = tag{slot, s.generations[slot]}
}

func (s *slots) remove(m *member) {
	s.members[m.tag.slot] = nil
	s.free = append(s.free, m.tag.slot)
}

// of returns the member of an event, or nil if it has gone.
func (s *slots) of(event *unix.EpollEvent) *member {
	if m := s.members[event.Fd]; m != nil && m.tag.generation == event.Pad {
		return m
	}
	return nil
}

func (s *slots) len() int { return len(s.members) - len(s.free) }
