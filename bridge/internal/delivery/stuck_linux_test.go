package delivery

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// dialNarrow connects with a small receive buffer and segments of Ethernet's size.
func (s *socketServer) dialNarrow(t testing.TB) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1400),
			)
		})
		return errors.Join(err, failed)
	}}
	conn, err := dialer.DialContext(t.Context(), s.path.network, s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A client that keeps reading slowly is not cut, since its kernel acknowledges some bytes again and again.
// TCP_USER_TIMEOUT would cut it.
func TestASlowReaderIsNotStuck(t *testing.T) {
	const timeout = 2 * time.Second
	s := newSocketServer(t, shardPaths[0])
	source := newSource(1000)
	for range 100 {
		source.append(strings.Repeat("x", 8<<10))
	}
	s.serve(source, Policy{WriteTimeout: timeout})
	e := s.request(t, s.dialNarrow(t), "")
	buffer := make([]byte, 1<<10)
	each := time.NewTicker(40 * time.Millisecond)
	defer each.Stop()
	for began := time.Now(); time.Since(began) < 3*timeout; <-each.C {
		if _, err := e.body.Read(buffer); err != nil {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
}

// A client that has stopped reading is cut, even if the kernel has room for everything.
func TestAReaderThatTakesNothingIsStuck(t *testing.T) {
	const timeout = time.Second
	for name, frames := range map[string]int{"the socket is full": 100, "the socket has room": 5} {
		t.Run(name, func(t *testing.T) {
			s := newSocketServer(t, shardPaths[0])
			source := newSource(1000)
			s.serve(source, Policy{WriteTimeout: timeout})
			s.request(t, s.dialNarrow(t), "") // without reading
			for range frames {
				source.append(strings.Repeat("x", 8<<10))
			}
			began := time.Now()
			s.expectEnds(t, 1, reason.EndStuck)
			if took := time.Since(began); took < timeout-100*time.Millisecond {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestTheShardReportsPartsOfALargeFrame(t *testing.T) {
	s := newSocketServer(t, shardPaths[0])
	source := &takingSource{source: newSource(100).append(strings.Repeat("x", 1<<20))}
	s.client = func(*http.Request) *Client {
		return &Client{Source: source, Blocks: blocks{source: source.source}, Policy: Policy{WriteTimeout: patience}, First: []byte("first\n\n")}
	}
	e := s.request(t, s.dialNarrow(t), "")
	for read := 0; read < 512<<10; {
		n, err := e.body.Read(make([]byte, 16<<10))
		if err != nil {
			t.Fatal(err)
		}
		read += n
	}
	if got := source.takings.Load(); got < 3 {
		t.Errorf("for half a megabyte Taking has been called %d times", got)
	}
}
