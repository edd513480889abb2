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

var connects = flag.Int("connects", 4000, "how many clients TestChurn has come and go; 100000 is what is promised")

// footprint is what clients that have gone must not leave behind.
type footprint struct {
	goroutines, descriptors int
	heap                    uint64
}

func (f footprint) exceeds(before footprint) bool {
	return f.goroutines > before.goroutines || f.descriptors > before.descriptors || f.heap > before.heap+1<<20
}

func footprintNow(t testing.TB) footprint {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var memory runtime.MemStats
	for range 3 { // pools let go in the second
		runtime.GC()
	}
	runtime.ReadMemStats(&memory)
	return footprint{runtime.NumGoroutine(), len(descriptors), memory.HeapAlloc}
}

// Clients that come and go leave goroutines, descriptors and memory where they
// were.
func TestChurn(t *testing.T) {
	for _, way := range shardWays {
		t.Run(way.name, func(t *testing.T) {
			s := newStand(t, way)
			log := newSource(10).append("1")
			s.serve(log, Policy{Heartbeat: time.Hour, MaxAge: time.Hour})
			stays := s.listen(t)
			stays.awaitText(t, "first\n\n1\n\n")
			s.churn(t, 1000) // so that pools and slots are as large as they get
			before := footprintNow(t)
			s.churn(t, *connects)
			after := footprintNow(t)
			for late := time.Now().Add(patience); after.exceeds(before) && time.Now().Before(late); {
				after = footprintNow(t) // some requests were read when their clients had gone
			}
			t.Logf("%d clients came and went: %+v before, %+v after", *connects, before, after)
			if after.exceeds(before) {
				t.Errorf("%+v before, %+v after", before, after)
			}
			log.append("2")
			stays.awaitText(t, "first\n\n1\n\n2\n\n")
		})
	}
}

// churn has clients come and go, eight at a time, each in another manner.
func (s *stand) churn(t *testing.T, n int) {
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := worker; i < n; i += 8 {
				if err := s.visit(i); err != nil {
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

// visit is one client, which goes before its answer, with a reset, with its
// side ended first, or just so.
func (s *stand) visit(i int) error {
	var dialer net.Dialer
	if s.way.network == "tcp" { // from many addresses: a port stays taken for a minute
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%250))}
	}
	conn, err := dialer.Dial(s.way.network, s.address)
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
		_, _ = io.Copy(io.Discard, conn) // until the server has closed, or reset
	}
	return conn.Close()
}
