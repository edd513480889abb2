package delivery

import (
	"flag"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

var churnClients = flag.Int("connects", 4000, "how many clients TestChurn has come and go; the promise is 100000")

// footprint is what clients must not leave behind.
type footprint struct {
	goroutines, descriptors int
	heap                    uint64
}

func (f footprint) exceeds(before footprint) bool {
	return f.goroutines > before.goroutines || f.descriptors > before.descriptors || f.heap > before.heap+1<<20
}

func measureFootprint(t testing.TB) footprint {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var memory runtime.MemStats
	for range 3 { // pools are emptied by the second
		runtime.GC()
	}
	runtime.ReadMemStats(&memory)
	return footprint{runtime.NumGoroutine(), len(descriptors), memory.HeapAlloc}
}

// Clients come and go without leaving goroutines, descriptors or memory behind.
func TestChurn(t *testing.T) {
	for _, p := range shardPaths {
		t.Run(p.name, func(t *testing.T) {
			s := newSocketServer(t, p)
			log := newSource(10).append("1")
			s.serve(log, Policy{Heartbeat: time.Hour, MaxAge: time.Hour})
			stays := s.connect(t)
			stays.awaitText(t, "first\n\n1\n\n")
			s.churn(t, 1000) // until pools and slots have their full size
			before := measureFootprint(t)
			s.churn(t, *churnClients)
			after := measureFootprint(t)
			for late := time.Now().Add(patience); after.exceeds(before) && time.Now().Before(late); {
				after = measureFootprint(t) // the server may still read requests of clients that have gone
			}
			t.Logf("%d clients came and went: %+v before, %+v after", *churnClients, before, after)
			if after.exceeds(before) {
				t.Errorf("%+v before, %+v after", before, after)
			}
			log.append("2")
			stays.awaitText(t, "first\n\n1\n\n2\n\n")
		})
	}
}

// churn connects n clients, eight at a time, that leave in different ways.
func (s *socketServer) churn(t *testing.T, n int) {
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := worker; i < n; i += 8 {
				if err := s.connectAndLeave(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	s.await(t, "the clients that left to be gone", func() bool { return s.clients.Len() == 1 })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served -= len(s.ends)
	s.ends = nil
	s.http.CloseIdleConnections()
}

// connectAndLeave connects one client. It leaves before the response, with a reset, after closing its
// side, or plainly.
func (s *socketServer) connectAndLeave(i int) error {
	var dialer net.Dialer
	if s.path.network == "tcp" { // from many addresses, since a port stays in TIME_WAIT for a minute
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%250))}
	}
	conn, err := dialer.Dial(s.path.network, s.address)
	if err != nil {
		return err
	}
	if tcp, ok := conn.(*net.TCPConn); ok && i%3 == 0 {
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n"); err != nil {
		return err
	}
	if i%5 > 0 {
		if _, err := conn.Read(make([]byte, 1000)); err != nil {
			return err
		}
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && i%7 == 0 {
		if err := half.CloseWrite(); err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, conn) // until the server closes or resets the connection
	}
	return conn.Close()
}
