package upstream

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// sendPeerAddress answers each Watch with the address of its connection and then stays silent.
func sendPeerAddress(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	p, _ := peer.FromContext(stream.Context())
	if err := stream.Send(&testv1.FeedEvent{Kind: p.Addr.String()}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// replay is watch for a replaying RPC.
func replay(t *testing.T, u *Upstream) *Stream {
	t.Helper()
	s, err := u.Open(t.Context(), Call{Method: watchMethod, Replay: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestReplaysHaveConnectionsOfTheirOwn(t *testing.T) {
	backend := backendtest.Start(t)
	backend.OnWatch(sendPeerAddress)
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet()})
	live, first, second := watch(t, u, nil), replay(t, u), replay(t, u)
	shared, own := next(t, live).GetKind(), next(t, first).GetKind()
	if own == shared {
		t.Error("a replay is on the connection of the others")
	}
	if got := next(t, second).GetKind(); got != own {
		t.Error("the second replay has another connection than the first")
	}
	if got := next(t, watch(t, u, nil)).GetKind(); got != shared {
		t.Error("an RPC that does not replay is not on the connection of the others")
	}
	if got := u.Usage(); got.Connections != 2 || got.Ready != 2 {
		t.Errorf("%d connections are counted, %d of them up", got.Connections, got.Ready)
	}

	first.Close()
	second.Close()
	backend.AwaitRunning(2)
	u.pool.closeIdle()
	if n := u.Usage().Connections; n != 2 {
		t.Errorf("idle for no time: %d connections are left", n)
	}
	u.pool.mu.Lock()
	for c := range u.pool.endpoints[0].all() {
		c.idleSince = time.Now().Add(-extraIdle)
	}
	u.pool.mu.Unlock()
	u.pool.closeIdle()
	if n := u.Usage().Connections; n != 1 {
		t.Errorf("idle for long: %d connections are left", n)
	}
	if next(t, replay(t, u)).GetKind() == shared {
		t.Error("a replay after that is on the connection of the others")
	}
}

func TestReplaysBeyondTheStreamLimitGetFurtherConnections(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithMaxConcurrentStreams(2))
	backend.OnWatch(sendPeerAddress)
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet()})
	shared := next(t, watch(t, u, nil)).GetKind()
	for range 5 {
		if next(t, replay(t, u)).GetKind() == shared {
			t.Error("a replay is on the connection of the others")
		}
	}
	if n := u.Usage().Connections; n != 4 {
		t.Errorf("%d connections, want one and three for five replays", n)
	}
}

func TestAFixedNumberOfConnectionsIsForReplaysToo(t *testing.T) {
	backend := backendtest.Start(t)
	backend.OnWatch(sendPeerAddress)
	u := connect(t, Params{Target: backend.Addr(), Connections: 1, Schema: quiet()})
	if next(t, replay(t, u)).GetKind() != next(t, watch(t, u, nil)).GetKind() {
		t.Error("a replay has a connection that may not be")
	}
}

// A backend that accepts only one connection serves replays on that one. The first replay waits a
// moment for another, the next does not.
func TestABackendWithOneConnectionServesReplays(t *testing.T) {
	for name, further := range map[string]func(net.Conn){
		"further ones are hung up": func(conn net.Conn) { _ = conn.Close() },
		"further ones hang":        func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) },
	} {
		t.Run(name, func(t *testing.T) {
			backend := backendtest.Start(t)
			backend.OnWatch(sendPeerAddress)
			addr, taken := onlyOne(t, backend.Addr(), further)
			u := connect(t, Params{Target: addr, Schema: quiet()})
			shared := next(t, watch(t, u, nil)).GetKind()
			for range 3 {
				if next(t, replay(t, u)).GetKind() != shared {
					t.Error("a replay has another connection")
				}
			}
			if n := taken.Load(); n != 2 {
				t.Errorf("%d connections were attempted, want one and one for replays", n)
			}
			awaitUsage(t, u, "a connection that failed is left", func(usage Usage) bool { return usage.Connections == 1 })
		})
	}
}

// onlyOne returns the address of a proxy to a backend that passes on only the first connection, and
// the number of accepted ones.
func onlyOne(t *testing.T, backend string, further func(net.Conn)) (addr string, taken *atomic.Int32) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	taken = new(atomic.Int32)
	count := taken
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if count.Add(1) > 1 {
				go further(conn)
				continue
			}
			to, err := new(net.Dialer).DialContext(t.Context(), "tcp", backend)
			if err != nil {
				_ = conn.Close()
				continue
			}
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_, _ = to.Close(), from.Close()
			}
			go pass(to, conn)
			go pass(conn, to)
		}
	}()
	return listener.Addr().String(), taken
}

// The loss of a replay connection affects no other RPC, and the next replay gets a new one.
func TestALostReplayConnectionIsReplaced(t *testing.T) {
	conns := make(chan *backendtest.RawConn, 8)
	backend := backendtest.StartRaw(t, func(c *backendtest.RawConn, stream backendtest.RawStream, req *testv1.WatchRequest) {
		conns <- c
		c.Ticks(stream, req)
	})
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet()})
	live := watch(t, u, nil)
	next(t, live)
	<-conns
	lost := replay(t, u)
	next(t, lost)
	(<-conns).Abort()
	for lost.Next(discard) == nil {
	}
	lost.Close()
	next(t, replay(t, u))
	for range 10 {
		next(t, live)
	}
	if n := backend.Connections(); n != 3 {
		t.Errorf("%d connections were made, want one and two for replays", n)
	}
	if n := u.Usage().Connections; n != 2 {
		t.Errorf("%d connections are left", n)
	}
}
