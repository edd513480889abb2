package bridge_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// connections counts the connections of a backend. It is a stats.Handler.
type connections struct {
	open, ever atomic.Int32

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
}

func countConnections() *connections { return &connections{changed: make(chan struct{})} }

// TagRPC implements stats.Handler.
func (*connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (*connections) HandleRPC(context.Context, stats.RPCStats) {}

// TagConn implements stats.Handler.
func (*connections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn counts connections.
func (c *connections) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnBegin:
		c.open.Add(1)
		c.ever.Add(1)
	case *stats.ConnEnd:
		c.open.Add(-1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until n connections are open.
func (c *connections) await(t *testing.T, n int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if c.open.Load() == n {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d connections are open, want %d", c.open.Load(), n)
		}
	}
}

// 200 clients of two routes use real sockets. Of 30 reloads half are refused, and the others change
// another route, an upstream or limits. No stream ends, every event arrives exactly once, and the
// connection to the backend stays.
func TestReloadsDoNotDisturbStreams(t *testing.T) {
	const clients, reloads, perReload = 200, 30, 5
	counted := countConnections()
	b := backend(t, backendtest.WithServerOptions(grpc.StatsHandler(counted)))
	l := newLedger()
	b.OnWatch(l.watch)
	settings := func(n int) string {
		broken := ""
		if n%2 == 1 {
			broken = ", event: {id: sek}"
		}
		return fmt.Sprintf(`limits: {topics: %d, catchups: %d}
drain: {grace: 0s}
upstreams:
  app: {target: '%s'}
  side: {target: '%s', keepalive: %ds}
routes:
  - {path: /positions, rpc: %[6]s, upstream: app, share: true}
  - {path: /changing, rpc: %[6]s, upstream: app, share: true, retry: %[5]ds%[7]s}
  - {path: /side, rpc: %[6]s, upstream: side, share: true}
  - {path: /cursors, rpc: %[6]s, upstream: app, share: true, event: {id: seq}, resume: {field: after}}
`, 100+n, 10+n, b.Target(), b.Target(), 30+n, watch, broken)
	}
	g := startWith(t, parse(t, settings(0)), bridge.Options{})
	var all []*ssetest.Client
	for i := range clients {
		all = append(all, ssetest.Connect(t, g.URL+[]string{"/positions", "/cursors"}[i%2], ssetest.Options{H2C: i%4 >= 2}))
	}
	for _, c := range all {
		c.AwaitEvents(1)
	}
	newest := 0
	for n := range reloads {
		changing := ssetest.Connect(t, g.URL+[]string{"/changing", "/side"}[n/2%2], ssetest.Options{})
		changing.AwaitEvents(1)
		err := g.Bridge.Reload(parse(t, settings(n+1)))
		if wrong := n%2 == 0; wrong != (err != nil) {
			t.Fatalf("reload %d: %v", n, err)
		}
		l.change(func() { l.newest += perReload })
		if newest += perReload; n%2 == 1 {
			if err := changing.AwaitEnd(); err == nil || !strings.HasSuffix(story(changing.Snapshot()), "retry:reload") {
				t.Fatalf("a client of a changed route saw %s, and %v", story(changing.Snapshot()), err)
			}
		}
		changing.Close()
	}
	for i, c := range all {
		c.AwaitMessages(newest)
		seen := c.Snapshot()
		counts(t, c, 1, int64(newest))
		if seen.Ended != nil || len(seen.Events) != newest+1 {
			t.Fatalf("client %d: %s", i, story(seen))
		}
	}
	counted.await(t, 2) // app's connection, which never changed, and side's newest
	if counted := g.Bridge.Reloads(); counted.OK != reloads/2 || counted.Failed != reloads/2 {
		t.Errorf("Reloads has %+v", counted)
	}
}

// Clients of the old target are asked to reconnect, and find the new one. The old upstream is
// closed when its last client has left. A running call is not cut.
func TestAReloadReplacesATarget(t *testing.T) {
	from, to := countConnections(), countConnections()
	one := backend(t, backendtest.WithServerOptions(grpc.StatsHandler(from)))
	two := backend(t, backendtest.WithServerOptions(grpc.StatsHandler(to)))
	l := newLedger()
	one.OnWatch(l.watch)
	two.OnWatch(l.watch)
	began, end := make(chan struct{}), make(chan struct{})
	one.OnGet(func(ctx context.Context, _ *testv1.GetRequest) (*testv1.GetResponse, error) {
		close(began)
		select {
		case <-end:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return &testv1.GetResponse{Name: "one"}, nil
	})
	settings := func(target string) string {
		return "upstreams: {app: {target: '" + target + "'}}\ndrain: {grace: 0s}\nroutes:\n" +
			"  - {path: /feed, rpc: " + watch + ", upstream: app, share: true, event: {id: seq}, resume: {field: after}}\n" +
			"  - {path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app}\n"
	}
	g := startWith(t, parse(t, settings(one.Target())), bridge.Options{})
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	c.AwaitEvents(1)
	l.change(func() { l.newest = 3 })
	c.AwaitMessages(3)
	called := make(chan reply, 1)
	go func() { called <- do(t, "GET", g.URL+"/get", "") }()
	<-began
	if err := g.Bridge.Reload(parse(t, settings(two.Target()))); err != nil {
		t.Fatal(err)
	}
	endedWell(t, c)
	c.Reconnect()
	two.AwaitOpens(1)
	l.change(func() { l.newest = 6 })
	c.AwaitMessages(6)
	counts(t, c, 1, 6)
	if from.open.Load() != 1 {
		t.Error("the upstream of a running call was closed")
	}
	close(end)
	if got := <-called; got.Status != 200 || !strings.Contains(got.Body, "one") {
		t.Errorf("the call was answered %d %s", got.Status, got.Body)
	}
	from.await(t, 0)
	if n := to.ever.Load(); n != 2 {
		t.Errorf("%d connections to the new target, want one and one for replays", n)
	}
}

// An unchanged file does not.
func TestAChangedSchemaFileReplacesItsUpstream(t *testing.T) {
	counted := countConnections()
	b := backend(t, backendtest.WithServerOptions(grpc.StatsHandler(counted)))
	path := filepath.Join(t.TempDir(), "app.binpb")
	write := func(kind string) {
		t.Helper()
		feed := protodesc.ToFileDescriptorProto(testv1.File_ssebridge_test_v1_feed_proto)
		rename(kind)(feed)
		wire, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
			feed, protodesc.ToFileDescriptorProto(testv1.File_ssebridge_test_v1_kinds_proto),
		}})
		if err == nil {
			err = os.WriteFile(path, wire, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	cfg := parse(t, "upstreams: {app: {target: '"+b.Target()+"', schema: {descriptor_set: '"+path+"'}}}\ndrain: {grace: 0s}\nroutes:\n"+feedRoutes)
	g := startWith(t, cfg, bridge.Options{})
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	c.AwaitEvents(1)
	b.AwaitRunning(1)
	write("old") // the same content
	if err := g.Bridge.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	b.Feed.Publish(&testv1.FeedEvent{Kind: "k"})
	if got := c.AwaitMessages(1)[0].Data; got != `{"seq":"1","old":"k"}` {
		t.Errorf("got %s", got)
	}
	write("new")
	if err := g.Bridge.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	endedWell(t, c)
	firstMessage(t, g, b, `{"seq":"1","new":"k"}`)
	if err := os.WriteFile(path, []byte("no schema"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.Bridge.Reload(cfg); err == nil || !strings.HasPrefix(err.Error(), "upstreams.app.schema.descriptor_set: ") {
		t.Errorf("a broken file: %v", err)
	}
}

// An absent upstream that a reload adds is only reported.
func TestAReloadKeepsTheBridgeReady(t *testing.T) {
	b := backend(t)
	app := "upstreams:\n  app: {target: '" + b.Target() + "'}\n"
	route := "routes:\n  - {path: /feed, rpc: " + watch + ", upstream: app, share: true}\n"
	g := startWith(t, parse(t, app+route), bridge.Options{})
	ssetest.Connect(t, g.URL+"/feed", ssetest.Options{}).AwaitEvents(1)
	if err := g.Bridge.Reload(parse(t, app+"  away: {target: '127.0.0.1:1'}\n"+route+"  - {path: /away, rpc: a.B/C, upstream: away}\n")); err != nil {
		t.Fatal(err)
	}
	if err := g.Bridge.Ready(); err != nil {
		t.Error(err)
	}
	if _, text := probe(g.Bridge.Admin(), "/readyz"); !strings.HasPrefix(text, "ready\nthe schema is not known yet of: away\nreloads: 1 ok, 0 failed; ") {
		t.Errorf("/readyz says %s", text)
	}
}

// A schema by reflection counts like one from files, and the error has the route's new index.
func TestAReloadThatContradictsAReflectedSchemaIsRefused(t *testing.T) {
	b := backend(t)
	app := "upstreams:\n  app: {target: '" + b.Target() + "'}\nroutes:\n"
	g := startWith(t, parse(t, app+feedRoutes), bridge.Options{})
	ssetest.Connect(t, g.URL+"/feed", ssetest.Options{}).AwaitEvents(1)
	err := g.Bridge.Reload(parse(t, app+"  - {path: /bad, rpc: "+watch+", upstream: app, share: true, event: {id: sek}}\n"+feedRoutes))
	if want := `routes[0].event.id: ssebridge.test.v1.FeedEvent has no field "sek"; did you mean "seq"?`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, text := probe(g.Bridge.Admin(), "/readyz"); !strings.Contains(text, "ready\nreloads: 0 ok, 1 failed; ") {
		t.Errorf("/readyz says %s", text)
	}
}

// Clients connect and leave meanwhile, and the bridge is closed.
func TestReloadsRunConcurrently(t *testing.T) {
	b := backend(t)
	l := newLedger()
	b.OnWatch(l.watch)
	settings := func(n int) string {
		return fmt.Sprintf("upstreams: {app: {target: '%s', keepalive: %ds}}\ndrain: {grace: 50ms}\n%s",
			b.Target(), 10+n%3, feedRoute(fmt.Sprintf("event: {id: seq}, resume: {field: after}, retry: %ds", 1+n%2)))
	}
	served, err := bridge.New(parse(t, settings(0)), bridge.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	crowd := gather(t, served, 50, func(int) string { return "" }, func(int) int64 { return 1 }, nil)
	var all sync.WaitGroup
	for side := range 4 {
		all.Go(func() {
			for n := range 25 {
				if err := served.Reload(parse(t, settings(side+n))); err != nil && !strings.HasSuffix(err.Error(), "draining") {
					t.Error(err)
				}
				if side == 3 && n == 15 {
					if err := served.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	crowd.goAway()
}
