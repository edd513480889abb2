package upstream

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/internal/pause"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// startFleet starts backends that answer no RPC.
func startFleet(t *testing.T, n int, opts ...backendtest.Option) *backendtest.Fleet {
	t.Helper()
	f := backendtest.StartFleet(t, n, opts...)
	for _, b := range f.Backends {
		b.OnWatch(silent)
	}
	return f
}

// addTo adds such a backend to a fleet.
func addTo(f *backendtest.Fleet) *backendtest.Backend {
	b := f.Add()
	b.OnWatch(silent)
	return b
}

// connectTo makes an upstream that looks a fleet's name up every 100 ms.
func connectTo(t *testing.T, f *backendtest.Fleet, params Params) *Upstream {
	t.Helper()
	params.Target = f.Target()
	params.Schema = quiet()
	params.resolveEvery = cmp.Or(params.resolveEvery, 100*time.Millisecond)
	return connect(t, params)
}

// addresses returns the number of addresses that are up and that the resolver names.
func addresses(u *Upstream) int {
	n := 0
	for _, a := range u.Usage().Addresses {
		if a.Ready && !a.Gone {
			n++
		}
	}
	return n
}

// awaitUsage waits until the usage of an upstream satisfies done.
func awaitUsage(t *testing.T, u *Upstream, what string, done func(Usage) bool) {
	t.Helper()
	ctx := within(t)
	for {
		u.pool.mu.Lock()
		changed := u.pool.changed // before it is looked at, so that no change is missed
		u.pool.mu.Unlock()
		if done(u.Usage()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s: %+v", what, u.Usage())
		}
	}
}

func awaitAddresses(t *testing.T, u *Upstream, n int) {
	t.Helper()
	awaitUsage(t, u, fmt.Sprintf("%d addresses are not up", n), func(Usage) bool { return addresses(u) == n })
}

func TestRPCsAreSpreadOverTheAddressesOfAName(t *testing.T) {
	f := startFleet(t, 3)
	u := connectTo(t, f, Params{})
	for range 30 { // from the first moment on
		watch(t, u, nil)
	}
	for i, b := range f.Backends {
		b.AwaitRunning(10)
		if got := u.Usage().Addresses[i].Streams; got != 10 {
			t.Errorf("%s has %d RPCs in the usage", b.Addr(), got)
		}
	}
	// A fourth address gets the RPCs that are opened from now on, and no RPC is moved.
	addTo(f)
	f.Publish(f.Backends...)
	awaitAddresses(t, u, 4)
	for range 10 {
		watch(t, u, nil)
	}
	f.Backends[3].AwaitRunning(10)
	if got := f.Running(); !slices.Equal(got, []int{10, 10, 10, 10}) {
		t.Errorf("RPCs at each address: %v", got)
	}
	if moves := u.pool.moves.Load(); moves != 0 {
		t.Errorf("%d RPCs were moved", moves)
	}
}

// A new address is used within 30 s, even if no loss triggers an earlier lookup.
func TestANewAddressIsUsedWithin30Seconds(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	u := connectTo(t, f, Params{resolveEvery: resolveEvery})
	for range 30 {
		watch(t, u, nil)
	}
	for _, b := range f.Backends {
		b.AwaitRunning(10)
	}
	addTo(f)
	begin := time.Now()
	f.Publish(f.Backends...)
	for addresses(u) < 4 {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("the new address is not up after 30 s")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for range 5 {
		watch(t, u, nil)
	}
	f.Backends[3].AwaitRunning(5)
	took := time.Since(begin)
	t.Logf("used after %v", took)
	if took > 30*time.Second {
		t.Errorf("used after %v", took)
	}
	if got := f.Running(); !slices.Equal(got, []int{10, 10, 10, 5}) {
		t.Errorf("RPCs at each address: %v", got)
	}
}

func TestBalanceFirstUsesOneAddress(t *testing.T) {
	backends := []*backendtest.Backend{backendtest.Start(t), backendtest.Start(t)}
	r := manual.NewBuilderWithScheme("first-only")
	resolver.Register(r)
	r.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: backends[0].Addr()}, {Addr: backends[1].Addr()}}})
	u := connect(t, Params{Target: "first-only:///app", Schema: quiet(), Balance: Balance{First: true}})
	for range 6 {
		watch(t, u, nil)
	}
	backends[0].AwaitRunning(6)
	if n := backends[1].Running(); n != 0 {
		t.Errorf("%d RPCs at the second address", n)
	}
}

func TestAnAddressThatDiesLosesItsRPCs(t *testing.T) {
	f := startFleet(t, 3)
	u := connectTo(t, f, Params{})
	streams := make([]*Stream, 0, 9)
	for range 9 {
		streams = append(streams, watch(t, u, nil))
	}
	f.Backends[0].AwaitRunning(3)
	f.Backends[0].Stop()
	lost := 0
	for _, s := range streams {
		if s.slot.connection.endpoint.name == f.Backends[0].Addr() {
			wantCode(t, s.Next(discard), codes.Unavailable)
			lost++
			watch(t, u, nil)
		}
	}
	if lost != 3 {
		t.Errorf("%d RPCs were lost", lost)
	}
	awaitUsage(t, u, "not evenly", func(usage Usage) bool {
		return usage.Addresses[0].Streams == 0 && usage.Addresses[1].Streams+usage.Addresses[2].Streams == 9
	})
	for _, a := range u.Usage().Addresses[1:] {
		if a.Streams < 4 {
			t.Errorf("%+v", u.Usage().Addresses)
		}
	}
	// The address comes back, and has the fewest RPCs.
	f.Backends[0].Restart()
	awaitAddresses(t, u, 3)
	for range 3 {
		watch(t, u, nil)
	}
	f.Backends[0].AwaitRunning(3)
}

func TestRPCsOnAnAddressThatIsGoneGoOn(t *testing.T) {
	f := startFleet(t, 2)
	u := connectTo(t, f, Params{})
	a, b := watch(t, u, nil), watch(t, u, nil)
	f.Backends[0].AwaitRunning(1)
	f.Backends[1].AwaitRunning(1)
	f.Publish(f.Backends[0])
	awaitUsage(t, u, "no address is gone", func(usage Usage) bool { return usage.Addresses[1].Gone })
	watch(t, u, nil)
	watch(t, u, nil)
	f.Backends[0].AwaitRunning(3)
	if n := f.Backends[1].Running(); n != 1 {
		t.Errorf("%d RPCs at the address that is gone", n)
	}
	for _, s := range []*Stream{a, b} {
		if s.slot.connection.endpoint.gone {
			s.Close()
		}
	}
	awaitUsage(t, u, "still connected", func(usage Usage) bool { return len(usage.Addresses) == 1 && usage.Connections == 1 })

	// A name server that is down, or that reports an unknown name, does not remove the addresses.
	f.Names.Set("fleet.test")
	lookups := f.Names.Lookups()
	awaitLookups(t, f.Names, lookups+2)
	if addresses(u) != 1 {
		t.Errorf("the last address was given up: %+v", u.Usage())
	}
}

func awaitLookups(t *testing.T, names *backendtest.Names, n int) {
	t.Helper()
	ctx := within(t)
	for names.Lookups() < n {
		if pause.For(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("%d lookups, want %d", names.Lookups(), n)
		}
	}
}

func TestALostConnectionHasTheNameLookedUp(t *testing.T) {
	f := startFleet(t, 1)
	u := connectTo(t, f, Params{resolveEvery: time.Hour})
	awaitAddresses(t, u, 1)
	// The backend moves, like a pod that is replaced.
	moved := addTo(f)
	f.Publish(moved)
	f.Backends[0].Stop()
	awaitUsage(t, u, "not moved", func(usage Usage) bool {
		return len(usage.Addresses) == 1 && usage.Addresses[0].Address == moved.Addr() && usage.Ready == 1
	})
	watch(t, u, nil)
	moved.AwaitRunning(1)
}

// A lost connection triggers a lookup at once, since connecting again may hang.
func TestALossHasTheNameLookedUpAtOnce(t *testing.T) {
	p, c := lonePool(Params{})
	p.mu.Lock()
	defer p.mu.Unlock()
	c.ready = false
	p.lostLocked(c)
	if len(p.lookupDue) != 1 {
		t.Error("no lookup is due")
	}
}

// When all addresses were down, the waiting RPCs do not all go to the first that comes back.
func TestRPCsThatWaitForAllAddressesAreSpread(t *testing.T) {
	f := startFleet(t, 3)
	u := connectTo(t, f, Params{OpenTimeout: time.Minute})
	awaitAddresses(t, u, 3)
	var rounds [][]int
	for range 5 { // the other addresses have 250 ms, which may be too short on a busy machine
		for _, b := range f.Backends {
			b.Stop()
		}
		awaitAddresses(t, u, 0)
		var opening sync.WaitGroup
		streams := make(chan *Stream, 30)
		for range cap(streams) {
			opening.Go(func() {
				s, err := u.Open(t.Context(), Call{Method: watchMethod})
				if err != nil {
					t.Error(err)
					return
				}
				streams <- s
			})
		}
		awaitUsage(t, u, "not all wait", func(usage Usage) bool { return usage.Opening == cap(streams) })
		for _, b := range f.Backends {
			b.Restart()
		}
		opening.Wait()
		var each []int
		for _, a := range u.Usage().Addresses {
			each = append(each, a.Streams)
		}
		close(streams)
		for s := range streams {
			s.Close()
		}
		if slices.Min(each) >= 5 {
			return
		}
		rounds = append(rounds, each)
	}
	t.Errorf("RPCs at each address: %v", rounds)
}

// A failed attempt to connect triggers a lookup, too: the backend may have moved before.
func TestAConnectionThatFailsHasTheNameLookedUp(t *testing.T) {
	f := startFleet(t, 1)
	moved := addTo(f)
	f.Publish(f.Backends[0])
	f.Backends[0].Stop()
	u := connectTo(t, f, Params{resolveEvery: time.Hour})
	awaitUsage(t, u, "no address is found", func(usage Usage) bool { return len(usage.Addresses) == 1 })
	f.Publish(moved)
	awaitUsage(t, u, "not moved", func(usage Usage) bool { return usage.Ready == 1 && addressOf(u, moved.Addr()).Ready })
}

// A resolver that the program has registered reports by itself that the addresses have changed.
func TestARegisteredResolverReportsChanges(t *testing.T) {
	backends := []*backendtest.Backend{backendtest.Start(t), backendtest.Start(t, backendtest.WithUnixSocket())}
	state := func(backends ...*backendtest.Backend) resolver.State {
		var s resolver.State
		for _, b := range backends {
			s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: b.Target()}}})
		}
		return s
	}
	r := manual.NewBuilderWithScheme("registered")
	resolver.Register(r)
	r.InitialState(state(backends[0]))
	u := connect(t, Params{Target: "registered:///app", Schema: quiet(), Balance: Balance{Rebalance: time.Hour}})
	awaitAddresses(t, u, 1)
	r.UpdateState(state(backends...))
	awaitAddresses(t, u, 2)
	for range 6 {
		watch(t, u, nil)
	}
	for _, b := range backends {
		b.AwaitRunning(3)
	}
}

// An empty result of a resolver does not remove the addresses.
func TestAResolverThatFindsNothingChangesNothing(t *testing.T) {
	backend := backendtest.Start(t)
	backend.OnWatch(silent)
	r := manual.NewBuilderWithScheme("nothing")
	resolver.Register(r)
	r.InitialState(stateOf(backend.Addr()))
	u := connect(t, Params{Target: "nothing:///app", Schema: quiet()})
	awaitAddresses(t, u, 1)
	r.UpdateState(resolver.State{})
	watch(t, u, nil)
	backend.AwaitRunning(1)
	if addresses(u) != 1 {
		t.Errorf("%+v", u.Usage())
	}
}

func TestEachAddressHasItsOwnStreamLimit(t *testing.T) {
	f := startFleet(t, 2, backendtest.WithMaxConcurrentStreams(2))
	u := connectTo(t, f, Params{})
	for range 8 {
		watch(t, u, nil)
	}
	for _, b := range f.Backends {
		b.AwaitRunning(4)
	}
	if usage := u.Usage(); usage.Connections != 4 {
		t.Errorf("%d connections", usage.Connections)
	}
}

func TestAnAddressThatDoesNotServeGetsNoNewRPC(t *testing.T) {
	f := startFleet(t, 2)
	f.Backends[1].Health.SetServingStatus("orders", healthv1.HealthCheckResponse_NOT_SERVING)
	f.Backends[0].Health.SetServingStatus("orders", healthv1.HealthCheckResponse_SERVING)
	u := connectTo(t, f, Params{Health: &Health{Service: "orders"}, OpenTimeout: time.Second})
	streams := []*Stream{watch(t, u, nil), watch(t, u, nil)}
	f.Backends[0].AwaitRunning(2)
	f.Backends[1].Health.SetServingStatus("orders", healthv1.HealthCheckResponse_SERVING)
	awaitAddresses(t, u, 2)
	watch(t, u, nil)
	watch(t, u, nil)
	f.Backends[1].AwaitRunning(2)
	// RPCs that run are left alone.
	for _, b := range f.Backends {
		b.Health.SetServingStatus("orders", healthv1.HealthCheckResponse_NOT_SERVING)
	}
	awaitAddresses(t, u, 0)
	_, err := u.Open(t.Context(), Call{Method: watchMethod})
	wantCode(t, err, codes.Unavailable)
	wantHidden(t, err, "the backend does not serve, by grpc.health.v1")
	if got := f.Running(); !slices.Equal(got, []int{2, 2}) {
		t.Errorf("RPCs at each address: %v", got)
	}
	streams[0].Close()
}

// The RPC that watches a connection's health counts against the stream limit.
func TestHealthTakesAStream(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithMaxConcurrentStreams(3))
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr(), Schema: quiet(), Health: &Health{}})
	for range 4 {
		watch(t, u, nil)
	}
	backend.AwaitRunning(4)
	if usage := u.Usage(); usage.Connections != 2 {
		t.Errorf("4 RPCs are on %d connections that take 2 each", usage.Connections)
	}
}

// Many bridges with few RPCs each do not all choose the same of several equally loaded addresses.
func TestTiesAreBrokenAtRandom(t *testing.T) {
	p, _ := lonePool(Params{})
	p.avoid, p.endpoints = newRecords[string](), nil
	for i := range 4 {
		_, c := lonePool(Params{})
		c.endpoint.name = strconv.Itoa(i)
		p.endpoints = append(p.endpoints, c.endpoint)
	}
	chosen := map[string]int{}
	for range 1000 {
		chosen[p.pickLocked(0).endpoint.name]++
	}
	for _, e := range p.endpoints {
		if n := chosen[e.name]; n < 150 || n > 350 {
			t.Errorf("chosen: %v", chosen)
		}
	}
}

// Even without rebalancing, an address gets no more RPCs than a full one without that one getting a
// further connection.
func TestAFullAddressGetsAFurtherConnection(t *testing.T) {
	f := startFleet(t, 2, backendtest.WithMaxConcurrentStreams(10))
	f.Publish(f.Backends[0])
	u := connectTo(t, f, Params{})
	awaitAddresses(t, u, 1)
	var streams []*Stream
	for range 40 {
		streams = append(streams, watch(t, u, nil))
	}
	f.Publish(f.Backends...)
	awaitAddresses(t, u, 2)
	for _, s := range streams[:5] {
		s.Close() // frees room at the first address
	}
	for range 20 {
		watch(t, u, nil)
		awaitUsage(t, u, "not all connections are up", func(usage Usage) bool { return usage.Ready == usage.Connections })
	}
	// One RPC more than its connection takes leads to a further connection.
	eventually(t, func() bool { return f.Backends[1].Running() >= 19 })
}

// RPCs name a backend by its name, independent of their address.
func TestTheAuthorityIsTheName(t *testing.T) {
	f := startFleet(t, 2)
	authorities := make(chan string, 2)
	for _, b := range f.Backends {
		b.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
			md, _ := metadata.FromIncomingContext(stream.Context())
			authorities <- strings.Join(md.Get(":authority"), ",")
			return silent(nil, stream)
		})
	}
	u := connectTo(t, f, Params{})
	awaitAddresses(t, u, 2)
	for range cap(authorities) {
		watch(t, u, nil)
		if got, want := <-authorities, strings.TrimPrefix(f.Target(), "dns://"); !strings.HasSuffix(want, "/"+got) {
			t.Errorf("called %q, and the target is %s", got, f.Target())
		}
	}
}

// Of too many addresses the upstream uses a part, and logs that once.
func TestTooManyAddressesAreNotAllUsed(t *testing.T) {
	var state resolver.State
	for i := range maxEndpoints + 50 {
		addr := resolver.Address{Addr: fmt.Sprintf("127.9.%d.%d:1", i/250, i%250+1)}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{addr}})
	}
	r := manual.NewBuilderWithScheme("many")
	resolver.Register(r)
	r.InitialState(state)
	var log lines
	u := connect(t, Params{Target: "many:///app", Schema: quiet(), Logger: log.logger()})
	awaitUsage(t, u, "nothing is found", func(usage Usage) bool { return len(usage.Addresses) > 0 })
	r.UpdateState(state)
	if n := len(u.Usage().Addresses); n != maxEndpoints || log.count("too many addresses") != 1 {
		t.Errorf("%d addresses are used, and the log says so %d times", n, log.count("too many addresses"))
	}
}

func TestTheChoiceOfAddressesIsStable(t *testing.T) {
	p := &pool{params: Params{}.withDefaults(), changed: make(chan struct{}), seed: maphash.MakeSeed()}
	many := make([]resolver.Endpoint, 3*maxEndpoints)
	for i := range many {
		many[i] = resolver.Endpoint{Addresses: []resolver.Address{{Addr: fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)}}}
	}
	first := p.choose(slices.Clone(many))
	slices.Reverse(many)
	second := p.choose(slices.Clone(many))
	if len(first) != maxEndpoints || endpointName(first[7]) != endpointName(second[7]) {
		t.Errorf("%d addresses are used, and others in another order", len(first))
	}
}
