package bridge_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// cursorClients starts a bridge with n clients of a route with cursors. Each has a topic, and so an
// RPC, of its own, and has received the first event.
func cursorClients(t *testing.T, f *backendtest.Fleet, target, keys string, n int) (*gateway, []*ssetest.Client) {
	t.Helper()
	g := startWith(t, parse(t, fmt.Sprintf(`
upstreams: {app: {target: '%s', %s}}
drain: {delay: 0s, grace: 0s}
routes:
  - path: /feed/{topic}
    rpc: %s
    upstream: app
    event: {id: seq}
    resume: {field: after}
`, target, keys, watch)), bridge.Options{})
	clients := make([]*ssetest.Client, n)
	for i := range clients {
		clients[i] = ssetest.Connect(t, fmt.Sprintf("%s/feed/%d", g.URL, i), ssetest.Options{})
	}
	awaitFleet(t, f, "all clients have an RPC", func(running []int) bool { return sum(running) == n })
	f.Backends[0].Feed.Publish(&testv1.FeedEvent{Kind: "first"})
	for _, c := range clients {
		c.AwaitMessages(1)
	}
	return g, clients
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}

// awaitFleet waits until done accepts the numbers of RPCs at the backends, and returns how long that took.
func awaitFleet(t *testing.T, f *backendtest.Fleet, what string, done func(running []int) bool) time.Duration {
	t.Helper()
	begin := time.Now()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !done(f.Running()) {
		<-ticker.C
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%s: %v", what, f.Running())
		}
	}
	return time.Since(begin)
}

func evenly(n int) func([]int) bool {
	return func(running []int) bool {
		return !slices.ContainsFunc(running, func(r int) bool { return r != n })
	}
}

// publishing makes the fleet publish events until stop is called, which returns their number.
func publishing(f *backendtest.Fleet) (stop func() int) {
	done, stopped := make(chan struct{}), make(chan int)
	go func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ticker.C:
				f.Backends[0].Feed.Publish(&testv1.FeedEvent{Kind: "tick"})
			case <-done:
				stopped <- n
				return
			}
		}
	}()
	return func() int {
		close(done)
		return <-stopped
	}
}

// wantEach checks that each client has the first n events, each once, in order, without a gap and
// over its first connection.
func wantEach(t *testing.T, clients []*ssetest.Client, n int) {
	t.Helper()
	want := make([]string, n)
	for i := range want {
		want[i] = strconv.Itoa(i + 1)
	}
	for _, c := range clients {
		c.AwaitMessages(n)
		seen := c.Snapshot()
		var ids []string
		for _, m := range seen.Messages() {
			ids = append(ids, m.ID)
		}
		if !slices.Equal(ids, want) || seen.Gaps > 0 || seen.Connections != 1 {
			t.Fatalf("a client has %v, %d gaps and %d connections, want 1 to %d", ids, seen.Gaps, seen.Connections, n)
		}
	}
}

// They are reopened within a second, and clients of a route with cursors notice nothing.
func TestTheRPCsOfALostAddressAreReopenedAtTheOthers(t *testing.T) {
	f := backendtest.StartFleet(t, 3)
	g, clients := cursorClients(t, f, f.Target(), "", 30)
	if got := f.Running(); !evenly(10)(got) {
		t.Errorf("RPCs at each address: %v", got)
	}
	metrics := scrape(t, g.Bridge)
	for _, b := range f.Backends {
		if got := metrics[fmt.Sprintf(`ssebridge_upstream_address_streams{address=%q,upstream="app"}`, b.Addr())]; got != 10 {
			t.Errorf("the metric has %v RPCs at %s", got, b.Addr())
		}
	}
	stop := publishing(f)
	f.Backends[1].Stop()
	took := awaitFleet(t, f, "the RPCs go on elsewhere", func(running []int) bool { return sum(running) == 30 })
	t.Logf("all RPCs are open again after %v", took)
	if took > 5*time.Second { // on a quiet machine it takes a second
		t.Errorf("it took %v until all RPCs were open again", took)
	}
	if got := f.Running(); got[0] < 13 || got[2] < 13 {
		t.Errorf("RPCs at each address: %v", got)
	}
	wantEach(t, clients, 1+stop())
}

// A backend is scaled from one address to three. Its RPCs are spread within the time of balance.rebalance.
func TestRebalanceMovesRPCsWithoutAGap(t *testing.T) {
	f := backendtest.StartFleet(t, 3)
	r := manual.NewBuilderWithScheme("scaled")
	resolver.Register(r)
	state := func(backends ...*backendtest.Backend) (s resolver.State) {
		for _, b := range backends {
			s.Addresses = append(s.Addresses, resolver.Address{Addr: b.Addr()})
		}
		return s
	}
	r.InitialState(state(f.Backends[0]))
	g, clients := cursorClients(t, f, "scaled:///app", "balance: {rebalance: 3s}", 30)
	if got := f.Running(); got[0] != 30 {
		t.Errorf("RPCs at each address: %v", got)
	}
	stop := publishing(f)
	r.UpdateState(state(f.Backends...))
	if took := awaitFleet(t, f, "spread", evenly(10)); took > 10*time.Second || took < time.Second { // it may take longer on a busy machine
		t.Errorf("the RPCs were spread over %v, want 3s", took)
	}
	// Scaled down again: the RPCs leave the removed addresses.
	r.UpdateState(state(f.Backends[2]))
	awaitFleet(t, f, "all at the one that is left", func(running []int) bool { return running[2] == 30 })
	wantEach(t, clients, 1+stop())
	metrics := scrape(t, g.Bridge)
	if got := metrics[`ssebridge_upstream_moves_total{upstream="app"}`]; got < 40 || got > 44 {
		t.Errorf("%v RPCs were moved, want 40", got)
	}
	if got := metrics[`ssebridge_upstream_ends_total{code="UNAVAILABLE",kind="stream",upstream="app"}`]; got != 0 {
		t.Errorf("%v RPCs failed", got)
	}
}
