package delivery

import (
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// limitDescriptors lowers the limit on descriptors until the test ends, so that every number is reserved.
func limitDescriptors(t *testing.T) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = spareDescriptors
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
}

// Otherwise taking connections over would bypass the listener's bound.
func TestReservedDescriptorsAreNotTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	there, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = there.Close() }()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	limitDescriptors(t)
	if taken, err := takeSocket(conn); !errors.Is(err, errReserved) {
		t.Fatalf("took %d, %v", taken, err)
	}
	if _, err := io.WriteString(conn, "x"); err != nil {
		t.Errorf("the connection is not as it was: %v", err)
	}
}

// A client that is not taken over is served by a Stream.
func TestStreamWithFewDescriptorsOnEveryPath(t *testing.T) {
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		limitDescriptors(t)
		source, want := longSource(200)
		source.log.Close()
		s.serve(source, Policy{})
		e := s.connect(t)
		e.expectEnd(t, true, "first\n\n"+want)
		s.expectEnds(t, 1, reason.EndComplete)
	})
}
