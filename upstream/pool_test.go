package upstream

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

func connections(u *Upstream) (n, active int) {
	u.pool.mu.Lock()
	defer u.pool.mu.Unlock()
	for c := range u.pool.connectionsLocked() {
		n++
		active += c.active
	}
	return n, active
}

// quiet returns a schema that needs no RPC, for tests that count RPCs.
func quiet() SchemaParams { return SchemaParams{Descriptors: wellKnownFiles()} }

// 150 RPCs are opened at once, and a connection carries 100.
func TestMoreRPCsThanAConnectionCarriesGetFurtherConnections(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithMaxConcurrentStreams(100))
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet()})
	var opening sync.WaitGroup
	for range 150 {
		opening.Go(func() { watch(t, u, nil) })
	}
	opening.Wait()
	backend.AwaitRunning(150)
	if n, active := connections(u); n != 2 || active != 150 {
		t.Errorf("%d connections carry %d RPCs", n, active)
	}
}

func TestFurtherConnectionsAreClosedWhenTheyAreIdle(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithMaxConcurrentStreams(1))
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet()})
	streams := []*Stream{watch(t, u, nil), watch(t, u, nil), watch(t, u, nil)}
	backend.AwaitRunning(3)
	if n, _ := connections(u); n != 3 {
		t.Fatalf("%d connections", n)
	}
	streams[0].Close() // on the first connection, which stays open
	streams[1].Close()
	backend.AwaitRunning(1)

	u.pool.closeIdle()
	if n, _ := connections(u); n != 3 {
		t.Errorf("idle for no time: %d connections are left", n)
	}
	u.pool.mu.Lock()
	for c := range u.pool.connectionsLocked() {
		c.idleSince = time.Now().Add(-extraIdle)
	}
	u.pool.mu.Unlock()
	u.pool.closeIdle()
	if n, active := connections(u); n != 2 || active != 1 {
		t.Errorf("%d connections with %d RPCs are left", n, active)
	}
	if backend.Running() != 1 {
		t.Error("a running RPC was cut")
	}
	checkCarriesSilently(t, u, backend)
}

// checkCarriesSilently opens an RPC at a backend that does not answer.
func checkCarriesSilently(t *testing.T, u *Upstream, backend *backendtest.Backend) {
	t.Helper()
	running := backend.Running()
	s := watch(t, u, nil)
	backend.AwaitRunning(running + 1)
	s.Close()
	backend.AwaitRunning(running)
}

// checkCarriesAgain is checkCarriesSilently for a backend that was frozen: an RPC that ended
// meanwhile may arrive there late.
func checkCarriesAgain(t *testing.T, u *Upstream, backend *backendtest.Backend) {
	t.Helper()
	backend.OnWatch(sendGreeting)
	if got := next(t, watch(t, u, nil)).GetKind(); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestAFixedNumberOfConnections(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithMaxConcurrentStreams(2))
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr(), Connections: 2, OpenTimeout: 200 * time.Millisecond, Schema: quiet()})
	ctx := within(t)
	awaitConnections(t, u, 2)
	streams := []*Stream{watch(t, u, nil), watch(t, u, nil), watch(t, u, nil), watch(t, u, nil)}
	backend.AwaitRunning(4)

	_, err := u.Open(ctx, Call{Method: watchMethod})
	wantCode(t, err, codes.Unavailable)
	if want := "upstream app: all 4 streams that the backend allows are in use within 200ms"; status.Convert(err).Message() != want {
		t.Errorf("got %q", err)
	}
	if n, _ := connections(u); n != 2 {
		t.Errorf("%d connections", n)
	}
	streams[2].Close()
	backend.AwaitRunning(3)
	checkCarriesSilently(t, u, backend)
}

// awaitConnections waits until n connections are up.
func awaitConnections(t *testing.T, u *Upstream, n int) {
	t.Helper()
	ctx := within(t)
	u.pool.mu.Lock()
	defer u.pool.mu.Unlock()
	for {
		ready := 0
		for c := range u.pool.connectionsLocked() {
			if c.ready {
				ready++
			}
		}
		if ready == n {
			return
		}
		if err := u.pool.waitLocked(ctx); err != nil {
			t.Fatalf("%d connections are up: %v", ready, err)
		}
	}
}

func TestABackendThatAllowsNoStreamsGetsOneConnection(t *testing.T) {
	p := &pool{params: Params{}.withDefaults(), changed: make(chan struct{})}
	e := &endpoint{connections: []*connection{{ready: true, limit: 0}}}
	p.endpoints = []*endpoint{e}
	if err := p.growLocked(); err != nil || len(e.connections) != 1 {
		t.Errorf("%d connections to a backend that takes no RPC, %v", len(e.connections), err)
	}
}

func TestOpensBoundsWaitingRPCs(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr(), Opens: 1, OpenTimeout: 200 * time.Millisecond})
	checkCarries(t, u, backend)
	u.opening <- struct{}{} // like an RPC that waits for a slot
	_, err := u.Open(t.Context(), Call{Method: watchMethod})
	wantCode(t, err, codes.Unavailable)
	if want := "upstream app: no turn, since too many RPCs wait for a place already, within 200ms"; status.Convert(err).Message() != want {
		t.Errorf("got %q", err)
	}
	<-u.opening
	checkCarries(t, u, backend)
	if len(u.opening) != 0 {
		t.Error("an opening slot is lost")
	}
}

// RPCs that wait for a slot give their opening slots back, however they end.
func TestOpensAreGivenBack(t *testing.T) {
	backend := backendtest.Start(t)
	backend.Stop()
	u := connect(t, Params{Target: backend.Addr(), Opens: 2, OpenTimeout: 100 * time.Millisecond})
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			_, err := u.Open(t.Context(), Call{Method: watchMethod})
			errs <- err
		}()
	}
	for range cap(errs) {
		wantCode(t, <-errs, codes.Unavailable)
	}
	if len(u.opening) != 0 {
		t.Error("an opening slot is lost")
	}
	backend.Restart()
	awaitConnections(t, u, 1)
	checkCarries(t, u, backend)
}

func TestOpenEndsWithItsContext(t *testing.T) {
	backend := backendtest.Start(t)
	backend.Stop()
	u := connect(t, Params{Target: backend.Addr()})
	opened := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := u.Open(ctx, Call{Method: watchMethod})
		opened <- err
	}()
	cancel()
	wantCode(t, <-opened, codes.Canceled)
}

// A connection that comes back has its former room.
func TestAReconnectedConnectionHasItsRoom(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithMaxConcurrentStreams(2))
	u := connect(t, Params{Target: backend.Addr(), Connections: 1, Schema: quiet()})
	for range 3 {
		a, b := watch(t, u, nil), watch(t, u, nil)
		backend.AwaitRunning(2)
		backend.Restart()
		wantCode(t, a.Next(discard), codes.Unavailable)
		wantCode(t, b.Next(discard), codes.Unavailable)
	}
	checkCarries(t, u, backend)
	if _, active := connections(u); active != 0 {
		t.Errorf("%d places are lost", active)
	}
}

// Nothing would close a connection that is opened while the pool closes.
func TestAPoolThatClosesOpensNoConnection(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithMaxConcurrentStreams(1))
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet()})
	watch(t, u, nil)
	awaitUsage(t, u, "not full", func(Usage) bool { return u.pool.endpoints[0].full() })
	u.pool.mu.Lock()
	defer u.pool.mu.Unlock()
	u.pool.closed = true
	err := u.pool.growLocked()
	u.pool.closed = false
	if n := len(u.pool.endpoints[0].connections); n != 1 || err != nil {
		t.Errorf("there are %d connections, %v", n, err)
	}
}
