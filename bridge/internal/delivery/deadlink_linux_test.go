package delivery

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// tool runs ip or ss.
func tool(t testing.TB, name string, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(context.Background(), name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v; it needs root and iproute2\n%s", name, strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

// peerNetwork is a network namespace behind a link.
type peerNetwork struct {
	name   string
	here   string // the address on this side of the link
	opener chan func()
}

func newPeerNetwork(t testing.TB) *peerNetwork {
	t.Helper()
	id := os.Getpid() % 4000 // several runs of this test may overlap
	i := &peerNetwork{
		name: fmt.Sprint("sse", id), opener: make(chan func()),
		here: fmt.Sprintf("198.18.%d.%d", id/64, id%64*4+1),
	}
	there := fmt.Sprintf("198.18.%d.%d", id/64, id%64*4+2)
	tool(t, "ip", "netns", "add", i.name)
	t.Cleanup(func() { tool(t, "ip", "netns", "delete", i.name) })
	tool(t, "ip", "link", "add", i.name, "type", "veth", "peer", "name", "out", "netns", i.name)
	t.Cleanup(func() { tool(t, "ip", "link", "delete", i.name) }) // the kernel would delete it with the namespace, but later
	tool(t, "ip", "address", "add", i.here+"/30", "dev", i.name)
	tool(t, "ip", "link", "set", i.name, "up")
	tool(t, "ip", "-n", i.name, "address", "add", there+"/30", "dev", "out")
	tool(t, "ip", "-n", i.name, "link", "set", "out", "up")
	return i
}

// dial connects from within the namespace. A socket stays in the namespace where it was created.
func (i *peerNetwork) dial(t testing.TB, address string) net.Conn {
	t.Helper()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		results <- func() result {
			space, err := os.Open("/run/netns/" + i.name)
			if err != nil {
				return result{err: err}
			}
			defer func() { _ = space.Close() }()
			if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
				return result{err: err}
			}
			conn, err := net.Dial("tcp", address)
			return result{conn, err}
		}()
	}()
	r := <-results
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { _ = r.conn.Close() })
	return r.conn
}

// The stream of a client whose link goes silent ends within the write timeout and five seconds of the
// next byte sent: of a frame, a heartbeat or a keepalive probe.
func TestSilentLink(t *testing.T) {
	const timeout, beat = 2 * time.Second, time.Second
	network := newPeerNetwork(t)
	p := shardPaths[0]
	p.address = network.here + ":0"
	s := newSocketServer(t, p)
	type end struct {
		name string
		end  reason.End
		at   time.Time
	}
	ends := make(chan end, 3)
	busy := newSource(1000)
	for name, client := range map[string]struct {
		source *source
		beat   time.Duration
	}{"busy": {busy, time.Hour}, "quiet, with heartbeats": {newSource(10), beat}, "quiet, without": {newSource(10), 0}} {
		s.serve(client.source, Policy{WriteTimeout: timeout, Heartbeat: client.beat})
		serve := s.client
		s.client = func(r *http.Request) *Client {
			c := serve(r)
			c.Done = func(e reason.End) { ends <- end{name, e, time.Now()} }
			return c
		}
		e := s.request(t, network.dial(t, s.address), "")
		e.start(t, false)
		e.awaitCount(t, "first\n\n", 1)
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	late := time.NewTimer(timeout + 5*time.Second + beat)
	defer late.Stop()
	tool(t, "ip", "-n", network.name, "link", "set", "out", "down")
	down := time.Now()
	for left := 3; left > 0; {
		select {
		case <-ticker.C:
			busy.append("frame")
		case e := <-ends:
			left--
			t.Logf("%s: %s after %v", e.name, e.end, e.at.Sub(down).Round(10*time.Millisecond))
			if e.end != reason.EndGone && e.end != reason.EndStuck {
				t.Errorf("it ended %q", e.end)
			}
		case <-late.C:
			t.Fatalf("%d are left after %v", left, time.Since(down))
		}
	}
}

var skmem = regexp.MustCompile(`skmem:\(r(\d+),rb\d+,t(\d+),tb\d+,f(\d+),w(\d+)`)

// A client that does not read takes little of the kernel's memory.
func TestKernelMemoryOfAStuckReader(t *testing.T) {
	const most = 160 << 10
	for name, size := range map[string]int{"small frames": 300, "frames of a batch": 20 << 10, "large frames": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			onPaths(t, shardPaths[:1], func(t *testing.T, s *socketServer) {
				source := newSource(1 << 20)
				for range 16 << 20 / size {
					source.append(noise[:size])
				}
				s.serve(source, Policy{WriteTimeout: time.Hour})
				e := s.open(t, "") // without reading
				// Wait until the socket has at least maxUnsent bytes and takes no more.
				settled, sum, last := 0, 0, ""
				for late := time.Now().Add(3 * patience); settled < 10 && time.Now().Before(late); settled++ {
					now := tool(t, "ss", "-tnmH", "state", "established", "src", s.address, "dst", e.conn.LocalAddr().String())
					if now = strings.Join(skmem.FindStringSubmatch(now), " "); now != last || sum < maxUnsent {
						settled, sum, last = 0, bufferedBytes(now), now
					}
				}
				t.Logf("%d KiB: %s", sum>>10, last)
				if sum > most || sum == 0 {
					t.Errorf("%d bytes: %s", sum, last)
				}
			})
		})
	}
}

// bufferedBytes adds up a socket's buffers in the output of ss.
func bufferedBytes(words string) (sum int) {
	for i, field := range strings.Fields(words) {
		if n, err := strconv.Atoi(field); err == nil && (i == 1 || i >= 3) { // w includes t
			sum += n
		}
	}
	return sum
}
