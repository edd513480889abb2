package main

import (
	"context"
	"errors"
	"io"
	"math"
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

// errLeft is the error of a client that leaves by itself.
var errLeft = errors.New("the client has left")

// mood says whether clients are difficult: then slow ones read slowly, and some stay away for
// long. Before the first fault and after the last one no client is difficult.
type mood struct {
	difficult atomic.Bool
	lasts     time.Duration // about how long a fault lasts
	every     time.Duration // between two messages of a stream
}

// longest is how long a fault lasts at most.
func (m *mood) longest() time.Duration { return m.lasts/4 + m.lasts }

// messages returns how long so many messages take to come. A log and the kernel hold about
// twenty bulky ones for a slow client.
func (m *mood) messages(n int) time.Duration { return time.Duration(n) * m.every }

// slowTransport connects like a client with a narrow link.
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

// stretch is a time during which a client reads at one pace.
type stretch struct {
	lasts time.Duration
	rate  int64 // bytes a second; 0: nothing, fast: all there is
}

const fast = -1

// forGood is longer than any run.
const forGood = 24 * time.Hour

// gait is how a slow client reads a connection: the stretches in turn. Then it closes the
// connection, or leaves it behind as a ghost: the connection stays open while the client
// comes back at once by another one.
type gait struct {
	name      string
	stretches []stretch
	quick     bool          // instead of the stretches: all at once, by a wide link
	haunts    bool          // the connection is left behind
	ghost     time.Duration // how long a ghost takes nothing, if the bridge does not end it before
}

// The gaits. A run with slow clients fails if one of them was not played.
const (
	crawls = "crawling" // at a random pace
	freeze = "frozen"   // takes nothing for a while
	ghost  = "ghost"    // leaves a connection behind
)

// randomGait draws a gait. At its end a client reads at once for a while, and leaves. So its
// next connection begins in the shared log, where it can lag, and not in a catch-up, which
// would wait for it; and the connection's buffers in the kernel begin small.
func randomGait(mood *mood, random *rand.Rand) gait {
	catchesUp := stretch{mood.messages(10 + random.IntN(20)), fast}
	switch random.IntN(5) {
	case 0:
		// Some read on, others find that the bridge has ended the connection.
		while := writeTimeout/4 + time.Duration(random.Int64N(int64(writeTimeout)))
		return gait{name: freeze, stretches: []stretch{{mood.messages(5), fast}, {while, 0}, catchesUp}}
	case 1:
		return gait{
			name: ghost, stretches: []stretch{{mood.messages(5), fast}, {mood.messages(2), 0}},
			haunts: true, ghost: mood.messages(20 + random.IntN(60)),
		}
	default:
		while := mood.messages(40 + random.IntN(40))
		return gait{name: crawls, stretches: []stretch{{while, randomRate(random)}, catchesUp}}
	}
}

// randomRate returns between 4 and 16 KiB a second, evenly on a logarithmic scale. A bridge
// ends a connection that takes less than 16 KiB in writeTimeout.
func randomRate(random *rand.Rand) int64 { return int64(math.Exp2(12 + 2*random.Float64())) }

// slowReader reads as a gait says. While clients are not difficult it reads at once, by a
// connection with a wide link: a narrow one is slow by itself on a busy machine. So a client
// leaves its connection when the mood changes.
type slowReader struct {
	from   io.Reader
	mood   *mood
	gait   gait
	narrow bool // the link is
	wait   func(time.Duration) error

	walked int       // how many of the stretches are begun
	until  time.Time // the end of the newest
	rate   int64
}

// newSlowReader returns a reader that stops waiting when ctx ends.
func newSlowReader(ctx context.Context, from io.Reader, mood *mood, g gait, narrow bool) *slowReader {
	return &slowReader{from: from, mood: mood, gait: g, narrow: narrow, wait: func(d time.Duration) error { return pause(ctx, d) }}
}

// Read reads a sip.
func (s *slowReader) Read(p []byte) (int, error) {
	if !s.narrow {
		if s.mood.difficult.Load() && !s.gait.quick {
			return 0, errLeft
		}
		return s.from.Read(p)
	}
	for {
		if !s.mood.difficult.Load() {
			return 0, errLeft
		}
		if time.Now().After(s.until) && !s.next() {
			return 0, errLeft
		}
		if s.rate != 0 {
			break
		}
		if err := s.wait(20 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	n, err := s.from.Read(p[:min(len(p), sip)])
	if err == nil && s.rate > 0 {
		err = s.wait(time.Duration(n) * time.Second / time.Duration(s.rate))
	}
	return n, err
}

// next begins the next stretch, if there is one.
func (s *slowReader) next() bool {
	if s.walked == len(s.gait.stretches) {
		return false
	}
	begun := s.gait.stretches[s.walked]
	s.walked++
	s.until, s.rate = time.Now().Add(begun.lasts), begun.rate
	return true
}

// walkedAll reports whether the client has begun all stretches of its gait.
func (s *slowReader) walkedAll() bool { return s.walked == len(s.gait.stretches) }
