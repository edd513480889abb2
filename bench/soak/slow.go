package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// narrow is how many bytes the kernel may hold for a slow client. Linux
	// doubles it, and the sender's holds ten times as much.
	narrow = 4 << 10
	// segment is the largest TCP segment that a slow client takes, as on
	// Ethernet. A sender's buffer is sized by it: on the loopback it would be
	// 2.5 MB, and no log would ever leave a client behind.
	segment = 1400
	// sip is what a slow client reads at once.
	sip = 1 << 10
)

// errLeft says that a client has gone away by itself.
var errLeft = errors.New("the client has left")

// mood says whether clients are difficult: slow ones slow, and wanderers away.
// They are not before the first fault and after the last one.
type mood struct {
	difficult atomic.Bool
	lasts     time.Duration // about how long a fault lasts
	every     time.Duration // between two messages of a stream
}

// longest is how long a fault lasts at most.
func (m *mood) longest() time.Duration { return m.lasts/4 + m.lasts }

// messages is how long so many messages take to come. A log and the kernel
// hold about twenty bulky ones for a slow client.
func (m *mood) messages(n int) time.Duration { return time.Duration(n) * m.every }

// slowTransport connects as a client does whose link is narrow.
func slowTransport() *http.Transport {
	dialer := &net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) {
			err = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, narrow),
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segment),
			)
		}), err)
	}}
	return &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: dialer.DialContext, ReadBufferSize: sip}
}

// slowReader reads nothing, or so many bytes a second, for a while, then all
// there is for a while, and then no more. So the next connection goes on in the
// log that all share, which can leave the client behind, and not in a catch-up,
// which would wait for it; and its kernel's buffers begin small. While clients
// are not difficult it reads at once.
type slowReader struct {
	from   io.Reader
	mood   *mood
	random *rand.Rand
	wait   func(time.Duration) error

	phase int
	until time.Time // the end of the phase
	rate  int64     // bytes a second; 0: nothing, fast: all
}

const fast = -1

// newSlowReader returns a reader that is never slow longer than ctx lasts.
func newSlowReader(ctx context.Context, from io.Reader, mood *mood, random *rand.Rand) *slowReader {
	return &slowReader{from: from, mood: mood, random: random, wait: func(d time.Duration) error { return pause(ctx, d) }}
}

// Read reads a sip.
func (s *slowReader) Read(p []byte) (int, error) {
	for s.mood.difficult.Load() {
		if time.Now().After(s.until) {
			if err := s.turn(); err != nil {
				return 0, err
			}
		}
		if s.rate != 0 {
			break
		}
		if err := s.wait(20 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	n, err := s.from.Read(p[:min(len(p), sip)])
	if err == nil && s.rate > 0 && s.mood.difficult.Load() {
		err = s.wait(time.Duration(n) * time.Second / time.Duration(s.rate))
	}
	return n, err
}

// turn begins the next phase.
func (s *slowReader) turn() error {
	s.phase++
	switch s.phase {
	case 1:
		s.until = time.Now().Add(s.mood.messages(30 + s.random.IntN(40)))
		if s.rate = 0; s.random.IntN(3) > 0 {
			s.rate = 4<<10 + s.random.Int64N(8<<10)
		}
	case 2:
		s.until = time.Now().Add(s.mood.messages(10 + s.random.IntN(20)))
		s.rate = fast
	default:
		return errLeft
	}
	return nil
}
