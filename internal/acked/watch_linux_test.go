package acked

import (
	"net"
	"testing"
	"time"
)

// TestStuckAllocatesNothing: a bridge queries the socket of each client four times in write_timeout.
func TestStuckAllocatesNothing(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // nothing was written
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if _, ok := tcpInfo(int(fd)); !ok {
			t.Error("the kernel says nothing about a TCP socket")
		}
		var w Watch
		if allocs := testing.AllocsPerRun(100, func() { w.Stuck(time.Second, time.Second, int(fd)) }); allocs > 0 {
			t.Errorf("%v allocations", allocs)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
