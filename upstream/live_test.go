package upstream

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/internal/pause"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// permissive lets clients ping at any rate.
func permissive() backendtest.Option {
	return backendtest.WithServerOptions(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 1, PermitWithoutStream: true}))
}

// A backend that hangs is given up within Ping.Every and Ping.Timeout, in clear and by TLS, and
// used again once it answers.
func TestPingFindsABackendThatHangs(t *testing.T) {
	authority := backendtest.NewAuthority(t)
	for name, c := range map[string]struct {
		opts []backendtest.Option
		tls  *TLS
	}{
		"clear": {opts: []backendtest.Option{permissive()}},
		"TLS":   {opts: []backendtest.Option{permissive(), backendtest.WithTLS(authority)}, tls: &TLS{CA: authority.CAFile}},
	} {
		t.Run(name, func(t *testing.T) {
			backend := backendtest.Start(t, c.opts...)
			backend.OnWatch(silent)
			f := backendtest.StartFreezer(t, backend.Addr())
			var log lines
			ping := Ping{Every: 300 * time.Millisecond, Timeout: time.Second}
			u := connect(t, Params{Target: f.Addr(), Schema: quiet(), Ping: &ping, TLS: c.tls, Logger: log.logger()})
			s := watch(t, u, nil)
			backend.AwaitRunning(1)
			// The backend is silent for a long time, and alive.
			u.pool.mu.Lock()
			l := s.slot.connection.live
			u.pool.mu.Unlock()
			for begin := time.Now(); time.Since(begin) < 5*ping.Every; {
				if pause.For(within(t), 10*time.Millisecond) != nil || s.end != nil {
					t.Fatal("the RPC ended")
				}
			}
			if l.dead.Load() {
				t.Fatal("a backend that answers PINGs was given up")
			}
			f.Freeze(true)
			froze := time.Now()
			err := s.Next(discard)
			wantCode(t, err, codes.Unavailable)
			if took := time.Since(froze); took > ping.Every+ping.Timeout+700*time.Millisecond || took < ping.Timeout {
				t.Errorf("it took %v", took)
			}
			if log.count("does not answer a PING") != 1 {
				t.Errorf("the log says:\n%s", log.text.String())
			}
			f.Freeze(false)
			awaitConnections(t, u, 1)
			s.Close()
			backend.AwaitRunning(0)
			checkCarriesSilently(t, u, backend)
		})
	}
}

// A connection without RPCs is pinged, too: a hanging backend is known before an RPC is placed
// there.
func TestPingFindsABackendThatHangsWithoutRPCs(t *testing.T) {
	hangs, works := backendtest.Start(t, permissive()), backendtest.Start(t, permissive())
	f := backendtest.StartFreezer(t, hangs.Addr())
	r := manual.NewBuilderWithScheme("idle")
	resolver.Register(r)
	r.InitialState(stateOf(f.Addr(), works.Addr()))
	ping := Ping{Every: 300 * time.Millisecond, Timeout: time.Second}
	u := connect(t, Params{Target: "idle:///app", Schema: quiet(), Ping: &ping})
	awaitAddresses(t, u, 2)
	for begin := time.Now(); time.Since(begin) < 3*ping.Every; {
		if pause.For(within(t), 10*time.Millisecond) != nil || addresses(u) != 2 {
			t.Fatal("an address that answers PINGs was given up")
		}
	}
	f.Freeze(true)
	froze := time.Now()
	awaitAddresses(t, u, 1)
	if took := time.Since(froze); took > ping.Every+ping.Timeout+700*time.Millisecond {
		t.Errorf("found after %v", took)
	}
	for range 4 {
		watch(t, u, nil)
	}
	works.AwaitRunning(4)
	f.Freeze(false)
	awaitAddresses(t, u, 2)
	watch(t, u, nil)
	hangs.AwaitRunning(1)
}

// Most servers refuse PINGs on connections without RPCs. The pool stops sending those, and keeps
// pinging connections with RPCs.
func TestRefusedPingsWithoutRPCsStop(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithServerOptions(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 1})))
	backend.OnWatch(silent)
	f := backendtest.StartFreezer(t, backend.Addr())
	var log lines
	ping := Ping{Every: 100 * time.Millisecond, Timeout: time.Second}
	u := connect(t, Params{Target: f.Addr(), Schema: quiet(), Ping: &ping, Logger: log.logger()})
	for ctx := within(t); log.count("too_many_pings") == 0; {
		if pause.For(ctx, time.Millisecond) != nil {
			t.Fatal("not refused")
		}
	}
	awaitGeneration(t, u, 2)
	time.Sleep(25 * ping.Every) // a second until the first PING, and time for more PINGs than the server tolerates
	s := watch(t, u, nil)
	backend.AwaitRunning(1)
	time.Sleep(10 * ping.Every)
	if got := log.count("too_many_pings"); got != 1 || u.pool.newestGeneration() != 2 || backend.Running() != 1 {
		t.Errorf("refused %d times, connected %d times:\n%s", got, u.pool.newestGeneration(), log.text.String())
	}
	f.Freeze(true)
	froze := time.Now()
	wantCode(t, s.Next(discard), codes.Unavailable)
	if took := time.Since(froze); took > ping.Every+ping.Timeout+700*time.Millisecond {
		t.Errorf("found after %v", took)
	}
}

// Without Ping, the connection of an RPC that is not accepted is pinged once. A backend that hangs
// gets no more RPCs until it answers; one that is only silent keeps them.
func TestAnUnacceptedRPCHasItsConnectionPinged(t *testing.T) {
	backend := backendtest.Start(t) // with the default enforcement
	backend.OnWatch(silent)
	f := backendtest.StartFreezer(t, backend.Addr())
	u := connect(t, Params{Target: f.Addr(), Schema: quiet(), OpenTimeout: 600 * time.Millisecond})
	quietly := watch(t, u, nil)
	backend.AwaitRunning(1)
	ended := make(chan error, 1)
	go func() { ended <- quietly.Accepted() }()
	select {
	case err := <-ended:
		t.Fatalf("an RPC of a backend that is merely silent ended with %v", err)
	case <-time.After(4 * u.params.OpenTimeout):
	}
	quietly.Close()
	wantCode(t, <-ended, codes.Canceled)

	// Pretend that the last PING was sent long ago.
	f.Freeze(true)
	u.pool.mu.Lock()
	for c := range u.pool.connectionsLocked() {
		c.live.last = time.Time{}
	}
	u.pool.mu.Unlock()
	hung := watch(t, u, nil)
	begin := time.Now()
	err := hung.Accepted()
	wantCode(t, err, codes.Unavailable)
	if took := time.Since(begin); !errors.Is(err, ErrSilent) || took < u.params.OpenTimeout || took > u.params.OpenTimeout+700*time.Millisecond {
		t.Errorf("ended after %v with %v", took, err)
	}
	if usage := u.Usage(); usage.Ready != 0 || usage.Silent != 1 {
		t.Errorf("%+v", usage)
	}
	_, err = u.Open(t.Context(), Call{Method: watchMethod})
	wantCode(t, err, codes.Unavailable)
	wantHidden(t, err, ErrSilent.Error())
	f.Freeze(false)
	awaitUsage(t, u, "not up again", func(usage Usage) bool { return usage.Ready == 1 && usage.Silent == 0 })
	checkCarriesAgain(t, u, backend)
}

// If one of two addresses hangs, the RPCs that end there are opened at the other.
func TestAnIdleRPCGoesToAnotherAddress(t *testing.T) {
	f := startFleet(t, 2)
	u := connectTo(t, f, Params{})
	streams := []*Stream{watch(t, u, nil), watch(t, u, nil)}
	for _, b := range f.Backends {
		b.AwaitRunning(1)
	}
	streams[0].GiveUp()
	if err := streams[0].Next(discard); err != ErrIdle { //nolint:errorlint // it is the sentinel itself
		t.Fatalf("ended with %v", err)
	}
	// The backend answers the PING at once and gets RPCs again.
	awaitUsage(t, u, "mute for good", func(usage Usage) bool { return usage.Ready == 2 })
	watch(t, u, nil)
	for _, b := range f.Backends {
		b.AwaitRunning(1)
	}
}

// A backend that refuses such frequent PINGs is pinged less often.
func TestRefusedPingsAreSentLessOften(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithServerOptions(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 250 * time.Millisecond, PermitWithoutStream: true})))
	backend.OnWatch(silent)
	var log lines
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet(), Ping: &Ping{Every: 100 * time.Millisecond, Timeout: 5 * time.Second}, Logger: log.logger()})
	ctx := within(t)
	for lost := 0; ; {
		s := watch(t, u, nil)
		ended := make(chan error, 1)
		go func() { ended <- s.Next(discard) }()
		select {
		case err := <-ended:
			wantCode(t, err, codes.Unavailable)
			if lost++; lost > 3 {
				t.Fatalf("lost again and again:\n%s", log.text.String())
			}
			continue
		case <-time.After(2 * time.Second): // 5 PINGs at 400 ms
		case <-ctx.Done():
			t.Fatal("no end")
		}
		s.Close()
		wantCode(t, <-ended, codes.Canceled)
		break
	}
	if log.count("too_many_pings") == 0 {
		t.Errorf("the log does not say why:\n%s", log.text.String())
	}
}

// If the server closes a connection because of PINGs, no RPC is a suspect.
func TestRefusedPingsAreNoRPCsFault(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithServerOptions(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Hour, PermitWithoutStream: true})))
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet(), Ping: &Ping{Every: 100 * time.Millisecond, Timeout: time.Minute}})
	streams := []*Stream{watch(t, u, nil), watch(t, u, &testv1.WatchRequest{After: 1})}
	for _, s := range streams {
		wantCode(t, s.Next(discard), codes.Unavailable)
	}
	u.pool.mu.Lock()
	defer u.pool.mu.Unlock()
	if n := u.pool.strikes.Len(); n != 0 {
		t.Errorf("%d RPCs are suspects", n)
	}
}

// Many connections that are refused at once double the interval of PINGs once. Doubling it for each
// would overflow a duration.
func TestManyRefusalsAtOnceHalveTheRateOfPingsOnce(t *testing.T) {
	const connections = 40
	backend := backendtest.Start(t, backendtest.WithServerOptions(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Minute, PermitWithoutStream: true})))
	backend.OnWatch(silent)
	var log lines
	const every = 200 * time.Millisecond
	u := connect(t, Params{
		Target: backend.Addr(), Schema: quiet(), Connections: connections, Opens: connections,
		Ping: &Ping{Every: every, Timeout: time.Minute}, Logger: log.logger(),
	})
	awaitUsage(t, u, "up", func(usage Usage) bool { return usage.Ready == connections })
	for range connections {
		watch(t, u, nil)
	}
	eventually(t, func() bool { return log.count("too_many_pings") >= connections })
	u.pool.mu.Lock()
	defer u.pool.mu.Unlock()
	if got := u.pool.pingEvery; got < 2*every || got > 4*every {
		t.Errorf("the backend is pinged every %v after that", got)
	}
}

// PINGs are sent between frames, for all ways in which grpc-go splits its writes.
func TestPingsGoBetweenFrames(t *testing.T) {
	backend := backendtest.Start(t, permissive())
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet(), Ping: &Ping{Every: time.Millisecond, Timeout: 10 * time.Second}})
	large := wire(t, &testv1.GetRequest{Name: string(make([]byte, 1<<20))})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				if _, err := u.Invoke(within(t), Call{Method: getMethod, Request: large}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	pinging := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-pinging:
				return
			default:
			}
			u.pool.mu.Lock()
			for c := range u.pool.connectionsLocked() {
				if l := c.live; l != nil {
					u.pool.mu.Unlock()
					if err := l.ping(); err != nil {
						t.Error(err)
					}
					u.pool.mu.Lock()
				}
				break
			}
			u.pool.mu.Unlock()
			time.Sleep(100 * time.Microsecond)
		}
	}()
	all.Wait()
	close(pinging)
	<-stopped
}

// lonePool returns a pool with one connection that is up and has no peer.
func lonePool(params Params) (*pool, *connection) {
	p := &pool{params: params.withDefaults(), changed: make(chan struct{}), lookupDue: make(chan struct{}, 1)}
	c := &connection{
		ready: true, limit: unlimitedStreams, endpoint: &endpoint{tried: true},
		starting: map[*slot]struct{}{}, movable: map[*Stream]struct{}{}, opening: map[*Stream]time.Time{},
	}
	c.endpoint.connections = []*connection{c}
	p.endpoints = []*endpoint{c.endpoint}
	return p, c
}

// An RPC that is given up ends at once, even if its connection accepts no PING.
func TestGivingUpWaitsForNoPing(t *testing.T) {
	p, c := lonePool(Params{})
	here, there := net.Pipe() // the other end reads nothing
	c.live = newLiveConn(here, here)
	c.live.left = 0
	ended := make(chan struct{})
	s := &Stream{slot: &slot{pool: p, connection: c}, cancel: func() { close(ended) }}
	go s.GiveUp()
	select {
	case <-ended:
	case <-within(t).Done():
		t.Error("GiveUp waits for the connection")
	}
	if !c.mute {
		t.Error("the connection takes RPCs though its server has sent nothing since")
	}
	_ = errors.Join(here.Close(), there.Close())
	p.wg.Wait()
}

// An RPC that is not accepted when its connection is lost ends, even if the loss comes between the
// RPC's stream and the record of it. grpc-go may try to open the RPC again at the same address for
// as long as that is down.
func TestAnUnacceptedRPCOfALostConnectionEnds(t *testing.T) {
	for name, late := range map[string]bool{"before": false, "meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			p, c := lonePool(Params{OpenTimeout: 10 * time.Millisecond})
			ended := make(chan struct{})
			s := &Stream{slot: &slot{pool: p, connection: c}, cancel: func() { close(ended) }}
			lose := func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				c.ready = false
				p.lostLocked(c)
			}
			if late {
				lose()
			}
			s.slot.opened(s)
			if !late {
				lose()
			}
			select {
			case <-ended:
			case <-within(t).Done():
				t.Fatal("it does not end")
			}
			if !s.silent.Load() {
				t.Error("it does not end with ErrSilent")
			}
		})
	}
}

// An RPC has its connection checked after half of the time for its acceptance, and no sooner: a
// check visits all RPCs that are not accepted.
func TestOpenedRPCsDoNotEachTriggerACheck(t *testing.T) {
	for timeout, sooner := range map[time.Duration]bool{10 * time.Second: false, 100 * time.Millisecond: true} {
		p, c := lonePool(Params{OpenTimeout: timeout})
		l := newLiveConn(nil, nil)
		p.live(c, l)
		l.timer.Stop()
		want := l.nextCheck
		s := &Stream{slot: &slot{pool: p, connection: c}}
		s.slot.opened(s)
		if sooner {
			want = c.opening[s].Add(timeout / 2)
		}
		if l.timer.Stop() != sooner || !l.nextCheck.Equal(want) {
			t.Errorf("with a timeout of %v the next look is %v late", timeout, l.nextCheck.Sub(want))
		}
	}
}
