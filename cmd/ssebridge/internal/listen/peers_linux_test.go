package listen

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// narrowly connects as a client with a small receive buffer, over a link with Ethernet's
// segments.
func narrowly(t *testing.T, addr net.Addr) net.Conn {
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
	conn, err := dialer.DialContext(t.Context(), "tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A peer that acknowledges nothing of what it is sent is ended. One that reads slowly is
// not, nor one that is sent nothing.
func TestPeersThatAcknowledgeNothing(t *testing.T) {
	const timeout = 2 * time.Second
	p := newPeers(timeout)
	stopped := make(chan struct{})
	var watching, running sync.WaitGroup
	watching.Go(func() { p.run(stopped) })
	stop := sync.OnceFunc(func() { close(stopped); watching.Wait() })
	defer running.Wait()
	defer stop()
	listener := tcp(t)
	defer closing(t, listener)
	began := time.Now()
	ended := map[string]time.Duration{}
	var mu sync.Mutex
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			_ = conn.Close() // one of them is closed already
		}
	}()
	for _, name := range []string{"stuck", "slow", "silent"} {
		client := narrowly(t, listener.Addr())
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		p.add(conn)
		if name != "silent" {
			running.Go(func() {
				for err := error(nil); err == nil; {
					_, err = conn.Write(make([]byte, 4<<10))
				}
				mu.Lock()
				defer mu.Unlock()
				ended[name] = time.Since(began)
			})
		}
		if name == "slow" {
			running.Go(func() {
				buffer := make([]byte, 1<<10)
				for time.Since(began) < 4*timeout {
					if _, err := client.Read(buffer); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
	}
	time.Sleep(7 * timeout / 2)
	mu.Lock()
	defer mu.Unlock()
	if at, ok := ended["stuck"]; !ok || at < timeout || at > 3*timeout {
		t.Errorf("the stuck peer was ended after %v (%t)", at, ok)
	}
	if len(ended) != 1 {
		t.Errorf("ended: %v", ended)
	}
	stop() // it looks alone
	p.look()
	if len(p.conns) != 2 {
		t.Errorf("%d connections are watched, want the two that are open", len(p.conns))
	}
}
