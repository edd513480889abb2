package bridge_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// permissive makes a backend accept PINGs at any rate.
func permissive() backendtest.Option {
	return backendtest.WithServerOptions(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 1, PermitWithoutStream: true}))
}

// One backend of two hangs, as by SIGSTOP. With ping its streams continue at the other within
// ping.timeout and a second. No event is lost or repeated, also when the backend continues.
func TestABackendThatHangsLosesItsRPCsToTheOther(t *testing.T) {
	f := backendtest.StartFleet(t, 2, permissive())
	r := manual.NewBuilderWithScheme("hangs")
	resolver.Register(r)
	var freezers []*backendtest.Freezer
	var state resolver.State
	for _, b := range f.Backends {
		freezer := backendtest.StartFreezer(t, b.Addr())
		freezers = append(freezers, freezer)
		state.Addresses = append(state.Addresses, resolver.Address{Addr: freezer.Addr()})
	}
	r.InitialState(state)
	g, clients := cursorClients(t, f, "hangs:///app", "ping: {every: 500ms, timeout: 1s}", 10)
	if got := f.Running(); !evenly(5)(got) {
		t.Errorf("RPCs at each address: %v", got)
	}
	freezers[0].Freeze(true)
	froze := time.Now()
	stop := publishing(f)
	awaitFleet(t, f, "all RPCs at the other", func(running []int) bool { return running[1] == 10 })
	if took := time.Since(froze); took > 2*time.Second+500*time.Millisecond {
		t.Errorf("it took %v until the RPCs went on at the other address", took)
	}
	if got := scrape(t, g.Bridge)[`ssebridge_upstream_addresses{state="connecting",upstream="app"}`]; got != 1 {
		t.Errorf("%v addresses are counted as down, want 1", got)
	}
	freezers[0].Freeze(false)
	awaitFleet(t, f, "the old RPCs are gone", func(running []int) bool { return slices.Equal(running, []int{0, 10}) })
	wantEach(t, clients, 1+stop())
	if !strings.Contains(g.Log.String(), "does not answer a PING") {
		t.Error("the log does not report the hang")
	}
}

// Without ping, an RPC to a backend that hangs is not accepted: clients are sent stream-stale, the
// metrics show it, and the stream continues when the backend does.
func TestABackendThatHangsIsStale(t *testing.T) {
	b := backend(t)
	freezer := backendtest.StartFreezer(t, b.Addr())
	g := startWith(t, parse(t, `
upstreams: {app: {target: '`+freezer.Addr()+`', open_timeout: 1s}}
drain: {delay: 0s, grace: 0s}
routes:
  - {path: /feed, rpc: `+watch+`, upstream: app, event: {id: seq}, resume: {field: after}}
`), bridge.Options{})
	first := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	b.AwaitRunning(1)
	b.Feed.Publish(&testv1.FeedEvent{Kind: "k"})
	first.AwaitMessages(1)
	freezer.Freeze(true)
	began := time.Now()
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{LastEventID: "1"})
	c.AwaitNamed("stream-stale", 0)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the client was sent stream-stale after %v", took)
	}
	metrics := scrape(t, g.Bridge)
	for name, want := range map[string]float64{
		`ssebridge_upstream_connections{state="ready",upstream="app"}`:    0,
		`ssebridge_upstream_connections{state="silent",upstream="app"}`:   1,
		`ssebridge_upstream_addresses{state="connecting",upstream="app"}`: 1,
	} {
		if got := metrics[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	stale := 0.0
	for name, value := range metrics {
		if strings.HasPrefix(name, "ssebridge_topics{") && strings.Contains(name, `state="stale"`) {
			stale += value
		}
	}
	if stale != 1 {
		t.Errorf("%v topics are counted as stale, want 1", stale)
	}
	freezer.Freeze(false)
	b.Feed.Publish(&testv1.FeedEvent{Kind: "k"})
	c.AwaitMessages(1)
	first.AwaitMessages(2)
	if seen := c.Snapshot(); seen.Gaps > 0 || seen.Messages()[0].ID != "2" {
		t.Errorf("the client saw %s", story(seen))
	}
}

// It is reopened at its cursor, and clients notice nothing.
func TestIdleTimeoutReopensASilentRPC(t *testing.T) {
	b := backend(t)
	g := startWith(t, parse(t, `
upstreams: {app: {target: '`+b.Target()+`'}}
drain: {delay: 0s, grace: 0s}
routes:
  - {path: /feed, rpc: `+watch+`, upstream: app, idle_timeout: 200ms, event: {id: seq}, resume: {field: after}}
`), bridge.Options{})
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	b.AwaitRunning(1)
	b.Feed.Publish(&testv1.FeedEvent{Kind: "k"})
	c.AwaitMessages(1)
	b.AwaitOpens(4)
	b.AwaitRunning(1)
	for range 20 {
		b.Feed.Publish(&testv1.FeedEvent{Kind: "k"})
	}
	wantEach(t, []*ssetest.Client{c}, 21)
	if got := scrape(t, g.Bridge)[`ssebridge_upstream_idle_total{upstream="app"}`]; got < 3 {
		t.Errorf("%v RPCs were idle, want 3 or more", got)
	}
}
