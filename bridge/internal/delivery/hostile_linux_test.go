package delivery

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// onShard runs a test for each kind of socket, plain and with gzip.
func onShard(t *testing.T, test func(t *testing.T, s *stand)) {
	t.Helper()
	onWays(t, shardWays, test)
}

// half ends the client's side.
func half(t testing.TB, conn net.Conn) {
	t.Helper()
	closer, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		t.Fatalf("%T has no sides", conn)
	}
	if err := closer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// A client that ends its side has gone: there is no other way to notice in time.
func TestHalfClose(t *testing.T) {
	onShard(t, func(t *testing.T, s *stand) {
		s.serve(newSource(100).append("1"), Policy{})
		conn := s.dial(t)
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		half(t, conn)
		s.expectEnds(t, 1, reason.EndGone)
		if rest, err := io.ReadAll(conn); strings.Contains(string(rest), lastChunk) {
			t.Errorf("%q looks like a clean end, %v", rest, err)
		}
	})
}

// Up to 4 KiB behind a request are ignored.
func TestFurtherInput(t *testing.T) {
	onShard(t, func(t *testing.T, s *stand) {
		source := newSource(100).append("1")
		s.serve(source, Policy{})
		together, later, twice := s.open(t, strings.Repeat("x", 3000)), s.open(t, ""), s.open(t, "GET / HTTP/1.1\r\nHost: site\r\n\r\n")
		for _, e := range []*ear{together, later, twice} {
			e.start(t, s.gzip)
			e.awaitText(t, "first\n\n1\n\n")
		}
		write(t, together, 1000)
		write(t, later, 2000)
		write(t, later, 2000)
		source.append("2")
		source.log.Close()
		for _, e := range []*ear{together, later, twice} {
			e.expectEnd(t, true, "first\n\n1\n\n2\n\n")
		}
		s.expectEnds(t, 3, reason.EndComplete)
	})
}

func write(t testing.TB, e *ear, size int) {
	t.Helper()
	if _, err := e.conn.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
}

func TestTooMuchFurtherInput(t *testing.T) {
	onShard(t, func(t *testing.T, s *stand) {
		s.serve(newSource(100).append("1"), Policy{})
		for i, further := range [][2]int{{0, 5000}, {3000, 1200}, {20000, 0}, {1 << 20, 0}} {
			conn := s.dial(t)
			go func() {
				_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n%s", make([]byte, further[0])) // may fail: it is too much
				_, _ = conn.Write(make([]byte, further[1]))
			}()
			s.expectEnds(t, i+1, reason.EndGone)
			if rest, _ := io.ReadAll(conn); strings.Contains(string(rest), lastChunk) {
				t.Errorf("%q looks like a clean end", rest)
			}
			_ = conn.Close()
		}
	})
}

// The last bytes reach a client that reads slowly, whatever it sends meanwhile.
func TestTailIsNotLost(t *testing.T) {
	for name, send := range map[string]func(t *testing.T, e *ear){
		"silent":         func(*testing.T, *ear) {},
		"input":          func(t *testing.T, e *ear) { write(t, e, 100) },
		"input and half": func(t *testing.T, e *ear) { corked(t, e.conn); write(t, e, 100); half(t, e.conn) },
		"half":           func(t *testing.T, e *ear) { half(t, e.conn) },
	} {
		t.Run(name, func(t *testing.T) {
			onShard(t, func(t *testing.T, s *stand) {
				source := newSource(1000).append(noise[:100<<10])
				source.log.Close()
				s.serve(source, Policy{})
				conn := s.dialSmall(t)
				e := s.request(t, conn, "")
				// The end is told when the kernel has taken it all.
				taken := &limited{Reader: e.body, more: make(chan int), free: make(chan struct{}), over: make(chan struct{})}
				e.body = taken
				e.start(t, s.gzip)
				free := sync.OnceFunc(func() { close(taken.free) })
				t.Cleanup(free)
				ended := false
				for !ended {
					select {
					case taken.more <- 16:
					case <-taken.over: // it has read all meanwhile
					}
					s.mu.Lock()
					ended = len(s.ends) > 0
					s.mu.Unlock()
				}
				send(t, e)
				free()
				e.expectEnd(t, true, "first\n\n"+noise[:100<<10]+"\n\n")
				s.expectEnds(t, 1, reason.EndComplete)
			})
		})
	}
}

// limited reads so many bytes at a time as it is told, until it is free.
type limited struct {
	io.Reader
	more chan int
	free chan struct{}
	over chan struct{} // closed when there is nothing more to read
}

// Read reads as much as is allowed.
func (l *limited) Read(p []byte) (n int, err error) {
	select {
	case most := <-l.more:
		p = p[:min(most, len(p))]
	case <-l.free:
	}
	if n, err = l.Reader.Read(p); err != nil {
		close(l.over) // a reader ends at an error
	}
	return n, err
}

// corked has what is written and the end of the side come together.
func corked(t testing.TB, conn net.Conn) {
	t.Helper()
	if conn, ok := conn.(*net.TCPConn); ok {
		control(t, conn, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_CORK, 1) })
	}
}

func control(t testing.TB, conn syscall.Conn, do func(fd int) error) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// dialSmall connects with the smallest buffer that there is.
func (s *stand) dialSmall(t testing.TB) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		if err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) }); err != nil {
			return err
		}
		return failed
	}}
	conn, err := dialer.DialContext(t.Context(), s.way.network, s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// oneByte reads a byte at a time.
type oneByte struct{ net.Conn }

// Read reads one.
func (o oneByte) Read(p []byte) (int, error) { return o.Conn.Read(p[:min(1, len(p))]) }

// The smallest buffer, read a byte at a time: every frame arrives whole and in
// order, and a block of the client's own stands in none.
func TestByteByByte(t *testing.T) {
	onShard(t, func(t *testing.T, s *stand) {
		source := newSource(1000)
		s.serve(source, Policy{Heartbeat: time.Millisecond})
		e := s.request(t, oneByte{s.dialSmall(t)}, "")
		e.start(t, s.gzip)
		var want []string
		for i := range 120 {
			frame := fmt.Sprintf("data: %d %s", i, noiseWord(i*97%3000))
			want = append(want, frame)
			source.append(frame)
			if i%5 == 0 {
				source.tell(Status{Stale: i%2 == 0})
				e.await(t, frame, func() bool { return strings.Contains(string(e.text), frame) })
			}
		}
		source.log.Close()
		expectFrames(t, e.awaitEnd(t, true), want)
	})
}

// noiseWord is some letters.
func noiseWord(size int) string {
	var word strings.Builder
	for i := range size {
		word.WriteByte('a' + noise[i]%26)
	}
	return word.String()
}

// expectFrames compares what is left of a text without a client's own blocks.
func expectFrames(t testing.TB, text string, want []string) {
	t.Helper()
	own := map[string]bool{"first": true, "beat": true, "stale": true, "live": true}
	var got []string
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		if !own[block] {
			got = append(got, block)
		}
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("block %d is %s, want %s", i, shown(got[i]), shown(want[i]))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d blocks, want %d", len(got), len(want))
	}
}

// Clients that reset their connections at any point disturb no other client.
func TestResets(t *testing.T) {
	onShard(t, func(t *testing.T, s *stand) {
		source := newSource(1 << 20)
		s.serve(source, Policy{Heartbeat: time.Millisecond})
		stays := s.listen(t)
		stays.awaitCount(t, "first\n\n", 1)
		const clients = 100
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				conn := s.dial(t)
				if tcp, ok := conn.(*net.TCPConn); ok {
					if err := tcp.SetLinger(0); err != nil {
						t.Error(err)
					}
				}
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n"); err != nil {
					t.Error(err)
				}
				if _, err := io.CopyN(io.Discard, conn, rand.Int64N(3000)); err != nil {
					t.Error(err)
				}
				_ = conn.Close()
			})
		}
		var want []string
		gone := make(chan struct{})
		go func() { all.Wait(); close(gone) }()
		for i := 0; ; i++ {
			frame := fmt.Sprintf("data: %d %s", i, noiseWord(i%50))
			want = append(want, frame)
			source.append(frame)
			if i%20 == 0 {
				stays.await(t, frame, func() bool {
					return strings.HasSuffix(strings.ReplaceAll(string(stays.text), "beat\n\n", ""), frame+"\n\n")
				})
			}
			select {
			case <-gone:
			default:
				continue
			}
			break
		}
		source.log.Close()
		expectFrames(t, stays.awaitEnd(t, true), want)
		gones := 0
		s.await(t, "the clients have gone", func() bool {
			gones = 0
			for _, end := range s.ends {
				if end == reason.EndGone {
					gones++
				}
			}
			return s.clients.Len() == 0 && gones >= clients-10 // the last ones may have been told of the end
		})
		if gones > clients {
			t.Errorf("%d have gone", gones)
		}
	})
}

// Thousands on one log.
func TestManyOnOneLog(t *testing.T) {
	s := newStand(t, shardWays[0])
	source, want := longSource(20)
	s.serve(source, Policy{Heartbeat: time.Hour})
	const n = 2000
	var all []*ear
	for i := range n {
		s.gzip = i%4 == 0
		all = append(all, s.listen(t))
	}
	for i := range 20 {
		source.append(fmt.Sprint("more ", i))
		want = fmt.Sprintf("%smore %d\n\n", want, i)
	}
	all[n-1].awaitText(t, "first\n\n"+want)
	source.log.Close()
	for _, e := range all {
		e.expectEnd(t, true, "first\n\n"+want)
	}
	s.expectEnds(t, n, reason.EndComplete)
}

// One on each of thousands of logs.
func TestOneOnEachOfManyLogs(t *testing.T) {
	s := newStand(t, shardWays[0])
	const n = 1500
	var sources []*source
	var all []*ear
	for i := range n {
		source := newSource(1000)
		sources = append(sources, source)
		s.gzip = i%4 == 0
		s.serve(source, Policy{})
		all = append(all, s.listen(t))
	}
	for round := range 10 {
		for i, source := range sources {
			source.append(fmt.Sprintf("frame %d of %d", round, i))
		}
	}
	for i, e := range all {
		want := "first\n\n"
		for round := range 10 {
			want = fmt.Sprintf("%sframe %d of %d\n\n", want, round, i)
		}
		e.awaitText(t, want)
		sources[i].log.Close()
		e.expectEnd(t, true, want)
	}
	s.expectEnds(t, n, reason.EndComplete)
}
