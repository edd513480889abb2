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
func onShard(t *testing.T, test func(t *testing.T, s *socketServer)) {
	t.Helper()
	onPaths(t, shardPaths, test)
}

// closeWrite closes the client's side of the connection.
func closeWrite(t testing.TB, conn net.Conn) {
	t.Helper()
	closer, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		t.Fatalf("%T has no CloseWrite", conn)
	}
	if err := closer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// A client that closes its side counts as gone: nothing else would show in time that it is.
func TestAHalfClosedClientIsGone(t *testing.T) {
	onShard(t, func(t *testing.T, s *socketServer) {
		s.serve(newSource(100).append("1"), Policy{})
		conn := s.dial(t)
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		closeWrite(t, conn)
		s.expectEnds(t, 1, reason.EndGone)
		if rest, err := io.ReadAll(conn); strings.Contains(string(rest), lastChunk) {
			t.Errorf("%q looks like a clean end, %v", rest, err)
		}
	})
}

// Up to 4 KiB may follow a request.
func TestFurtherInputIsIgnored(t *testing.T) {
	onShard(t, func(t *testing.T, s *socketServer) {
		source := newSource(100).append("1")
		s.serve(source, Policy{})
		together, later, twice := s.open(t, strings.Repeat("x", 3000)), s.open(t, ""), s.open(t, "GET / HTTP/1.1\r\nHost: site\r\n\r\n")
		for _, e := range []*socketClient{together, later, twice} {
			e.start(t, s.gzip)
			e.awaitText(t, "first\n\n1\n\n")
		}
		write(t, together, 1000)
		write(t, later, 2000)
		write(t, later, 2000)
		source.append("2")
		source.log.Close()
		for _, e := range []*socketClient{together, later, twice} {
			e.expectEnd(t, true, "first\n\n1\n\n2\n\n")
		}
		s.expectEnds(t, 3, reason.EndComplete)
	})
}

func write(t testing.TB, e *socketClient, size int) {
	t.Helper()
	if _, err := e.conn.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
}

func TestTooMuchFurtherInputEndsTheStream(t *testing.T) {
	onShard(t, func(t *testing.T, s *socketServer) {
		s.serve(newSource(100).append("1"), Policy{})
		for i, further := range [][2]int{{0, 5000}, {3000, 1200}, {20000, 0}, {1 << 20, 0}} {
			conn := s.dial(t)
			go func() {
				_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n%s", make([]byte, further[0])) // may fail, since the server ends the connection
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

// A slow client gets the last bytes, even if it sends something meanwhile.
func TestTailIsNotLost(t *testing.T) {
	for name, send := range map[string]func(t *testing.T, e *socketClient){
		"silent":         func(*testing.T, *socketClient) {},
		"input":          func(t *testing.T, e *socketClient) { write(t, e, 100) },
		"input and half": func(t *testing.T, e *socketClient) { cork(t, e.conn); write(t, e, 100); closeWrite(t, e.conn) },
		"half":           func(t *testing.T, e *socketClient) { closeWrite(t, e.conn) },
	} {
		t.Run(name, func(t *testing.T) {
			onShard(t, func(t *testing.T, s *socketServer) {
				source := newSource(1000).append(noise[:100<<10])
				source.log.Close()
				s.serve(source, Policy{})
				conn := s.dialSmall(t)
				e := s.request(t, conn, "")
				// The stream ends when the kernel has taken all of it: read until then, and only as much.
				taken := &steppedReader{Reader: e.body, more: make(chan int), free: make(chan struct{}), over: make(chan struct{})}
				e.body = taken
				e.start(t, s.gzip)
				free := sync.OnceFunc(func() { close(taken.free) })
				t.Cleanup(free)
				ended := false
				for !ended {
					select {
					case taken.more <- 16:
					case <-taken.over: // all has been read
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

// steppedReader reads as many bytes as it receives from more, and without a limit once free is closed.
type steppedReader struct {
	io.Reader
	more chan int
	free chan struct{}
	over chan struct{} // closed at the end of the stream
}

// Read implements io.Reader.
func (l *steppedReader) Read(p []byte) (n int, err error) {
	select {
	case most := <-l.more:
		p = p[:min(most, len(p))]
	case <-l.free:
	}
	if n, err = l.Reader.Read(p); err != nil {
		close(l.over) // it is not called after an error
	}
	return n, err
}

// cork makes the next write and the end of the client's side arrive together.
func cork(t testing.TB, conn net.Conn) {
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

// dialSmall connects with the smallest receive buffer.
func (s *socketServer) dialSmall(t testing.TB) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		if err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) }); err != nil {
			return err
		}
		return failed
	}}
	conn, err := dialer.DialContext(t.Context(), s.path.network, s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// oneByte is a connection that is read byte by byte.
type oneByte struct{ net.Conn }

// Read reads one byte.
func (o oneByte) Read(p []byte) (int, error) { return o.Conn.Read(p[:min(1, len(p))]) }

// With the smallest buffer, read byte by byte, every frame arrives whole and in order, and blocks of the
// client's own are between frames.
func TestByteByByte(t *testing.T) {
	onShard(t, func(t *testing.T, s *socketServer) {
		source := newSource(1000)
		s.serve(source, Policy{Heartbeat: time.Millisecond})
		e := s.request(t, oneByte{s.dialSmall(t)}, "")
		e.start(t, s.gzip)
		var want []string
		for i := range 120 {
			frame := fmt.Sprintf("data: %d %s", i, noiseLetters(i*97%3000))
			want = append(want, frame)
			source.append(frame)
			if i%5 == 0 {
				source.setAndNotify(Status{Stale: i%2 == 0})
				e.await(t, frame, func() bool { return strings.Contains(string(e.text), frame) })
			}
		}
		source.log.Close()
		expectFrames(t, e.awaitEnd(t, true), want)
	})
}

// noiseLetters returns a random word of the given size.
func noiseLetters(size int) string {
	var word strings.Builder
	for i := range size {
		word.WriteByte('a' + noise[i]%26)
	}
	return word.String()
}

// expectFrames compares the frames of a text, without blocks of the client's own.
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

// Clients reset their connections at random points.
func TestResetsDisturbNoOtherClient(t *testing.T) {
	onShard(t, func(t *testing.T, s *socketServer) {
		source := newSource(1 << 20)
		s.serve(source, Policy{Heartbeat: time.Millisecond})
		stays := s.connect(t)
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
		closed := make(chan struct{})
		go func() { all.Wait(); close(closed) }()
		for i := 0; ; i++ {
			frame := fmt.Sprintf("data: %d %s", i, noiseLetters(i%50))
			want = append(want, frame)
			source.append(frame)
			if i%20 == 0 {
				stays.await(t, frame, func() bool {
					return strings.HasSuffix(strings.ReplaceAll(string(stays.text), "beat\n\n", ""), frame+"\n\n")
				})
			}
			select {
			case <-closed:
			default:
				continue
			}
			break
		}
		source.log.Close()
		expectFrames(t, stays.awaitEnd(t, true), want)
		gone := 0
		s.await(t, "the clients have gone", func() bool {
			gone = 0
			for _, end := range s.ends {
				if end == reason.EndGone {
					gone++
				}
			}
			return s.clients.Len() == 0 && gone >= clients-10 // the last ones may have received the end before their reset
		})
		if gone > clients {
			t.Errorf("%d clients have gone", gone)
		}
	})
}

func TestManyClientsOfOneLog(t *testing.T) {
	s := newSocketServer(t, shardPaths[0])
	source, want := longSource(20)
	s.serve(source, Policy{Heartbeat: time.Hour})
	const n = 2000
	var all []*socketClient
	for i := range n {
		s.gzip = i%4 == 0
		all = append(all, s.connect(t))
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

func TestOneClientOfEachOfManyLogs(t *testing.T) {
	s := newSocketServer(t, shardPaths[0])
	const n = 1500
	var sources []*source
	var all []*socketClient
	for i := range n {
		source := newSource(1000)
		sources = append(sources, source)
		s.gzip = i%4 == 0
		s.serve(source, Policy{})
		all = append(all, s.connect(t))
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
