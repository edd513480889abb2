package upstream

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

func TestTheKernelProbesASilentConnection(t *testing.T) {
	backend := backendtest.Start(t)
	target, err := parseTarget(backend.Addr())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := target.dialed.dial(within(t), 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("got a %T", conn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[int]int{syscall.TCP_KEEPIDLE: 30, syscall.TCP_KEEPINTVL: 10, syscall.TCP_KEEPCNT: 3} {
		var got int
		var optErr error
		if err := raw.Control(func(fd uintptr) {
			got, optErr = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, option)
		}); err != nil || optErr != nil {
			t.Fatal(err, optErr)
		}
		if got != want {
			t.Errorf("option %d: got %d, want %d", option, got, want)
		}
	}
}
