package delivery

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// watched are the events of a client's socket, each told once when it comes.
const watched = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// poller hears of the sockets of a shard. It waits in the runtime's own poller,
// so that no thread is kept, and only for what writers of logs do not tell: that
// a socket takes bytes again, or has ended.
type poller struct {
	file   *os.File // the epoll
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

// run hands events over until the poller is closed or quit is. A batch is valid
// until the next one is received.
func (p *poller) run(quit <-chan struct{}) {
	raw, err := p.file.SyscallConn()
	if err != nil {
		panic(err) // the file was opened as one that can be polled
	}
	var batches [2][128]unix.EpollEvent
	for turn := 0; ; turn ^= 1 {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), batches[turn][:], 0) // interrupted: as nothing
			return n > 0
		})
		if err != nil {
			return // closed
		}
		select {
		case p.events <- batches[turn][:n]:
		case <-quit:
			return
		}
	}
}

// add watches a socket. Its events bear the tag.
func (p *poller) add(fd int, tag tag) error {
	return p.control(func(epoll int) error {
		return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: watched, Fd: tag.slot, Pad: tag.life})
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

// tag says whose an event is. A slot is used again, in another life.
type tag struct{ slot, life int32 }

// slots are the members that are watched.
type slots struct {
	members []*member
	lives   []int32
	free    []int32
}

func (s *slots) add(m *member) {
	if len(s.free) == 0 {
		s.free = append(s.free, int32(len(s.members))) //nolint:gosec // as many as descriptors
		s.members, s.lives = append(s.members, nil), append(s.lives, 0)
	}
	slot := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.lives[slot]++
	s.members[slot] = m
	m.tag = tag{slot, s.lives[slot]}
}

func (s *slots) remove(m *member) {
	s.members[m.tag.slot] = nil
	s.free = append(s.free, m.tag.slot)
}

// of returns whose an event is, nil if that one is gone.
func (s *slots) of(event *unix.EpollEvent) *member {
	if m := s.members[event.Fd]; m != nil && m.tag.life == event.Pad {
		return m
	}
	return nil
}

func (s *slots) len() int { return len(s.members) - len(s.free) }
