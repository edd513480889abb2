package backendtest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Freezer is a TCP proxy in front of a backend that can freeze like a process after SIGSTOP: its
// kernel accepts connections and bytes, and nothing answers.
type Freezer struct {
	addr   string
	mu     sync.Mutex
	thawed *sync.Cond
	frozen bool
	ended  bool
}

// StartFreezer runs a freezer in front of an address until the test ends.
func StartFreezer(tb testing.TB, backend string) *Freezer {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("backendtest: %v", err)
	}
	f := &Freezer{addr: listener.Addr().String()}
	f.thawed = sync.NewCond(&f.mu)
	var all sync.WaitGroup
	var conns []net.Conn
	all.Go(func() {
		for {
			front, err := listener.Accept()
			if err != nil {
				return
			}
			back, err := new(net.Dialer).DialContext(context.Background(), "tcp", backend)
			if err != nil {
				_ = front.Close()
				continue
			}
			f.mu.Lock()
			conns = append(conns, front, back)
			f.mu.Unlock()
			all.Go(func() { f.pass(back, front) })
			all.Go(func() { f.pass(front, back) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		f.mu.Lock()
		f.ended = true
		for _, c := range conns {
			_ = c.Close()
		}
		f.thawed.Broadcast()
		f.mu.Unlock()
		all.Wait()
	})
	return f
}

// pass copies bytes until one side ends.
func (f *Freezer) pass(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		f.mu.Lock()
		for f.frozen && !f.ended {
			f.thawed.Wait()
		}
		f.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				_ = to.Close()
			}
			return
		}
	}
}

// Addr returns the address of the proxy.
func (f *Freezer) Addr() string { return f.addr }

// Freeze freezes or unfreezes the backend.
func (f *Freezer) Freeze(frozen bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen = frozen
	f.thawed.Broadcast()
}
