package bridge_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// The RPC breaks its HTTP/2 connection each time it is opened, also for later clients. Its
// neighbours lose two connections at most, and no event.
func TestAnRPCThatBreaksItsConnectionLeavesItsNeighboursAlone(t *testing.T) {
	for name, breach := range map[string]func(c *backendtest.RawConn, stream uint32){
		"invalid HPACK": func(c *backendtest.RawConn, stream uint32) {
			c.Do(func(f *http2.Framer) error {
				return f.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, []byte{0xff, 0xff, 0xff, 0xff, 0x0f})
			})
		},
		"the server hangs up": func(c *backendtest.RawConn, _ uint32) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Int64
			var ticks atomic.Int64 // counts RPCs of neighbours
			backend := backendtest.StartRaw(t, func(c *backendtest.RawConn, stream backendtest.RawStream, req *testv1.WatchRequest) {
				if req.GetTopic() == "bad" {
					broken.Add(1)
					breach(c, stream.ID)
					return
				}
				ticks.Add(1)
				c.Ticks(stream, req)
			})
			g := startWith(t, parse(t, fmt.Sprintf(`
upstreams: {app: {target: '%s', reconnect: {initial: 10ms, max: 100ms}}}
drain: {delay: 0s, grace: 0s}
routes:
  - {path: '/feed/{topic}', rpc: %s, upstream: app, event: {id: seq}, resume: {field: after}, reconnect: {initial: 10ms, max: 100ms}}
`, backend.Addr(), watch)), bridge.Options{Descriptors: map[string]*protoregistry.Files{"app": protoregistry.GlobalFiles}})
			const neighbours = 5
			clients := make([]*ssetest.Client, neighbours)
			for i := range clients {
				clients[i] = ssetest.Connect(t, fmt.Sprintf("%s/feed/%d", g.URL, i), ssetest.Options{})
				clients[i].AwaitMessages(1)
			}
			bad := ssetest.Connect(t, g.URL+"/feed/bad", ssetest.Options{})
			deadline := time.Now().Add(20 * time.Second)
			for broken.Load() < 10 {
				if time.Sleep(5 * time.Millisecond); time.Now().After(deadline) {
					t.Fatalf("opened %d times", broken.Load())
				}
			}
			// Further clients of the same stream cost no further connection.
			for range 5 {
				before := broken.Load()
				other := ssetest.Connect(t, g.URL+"/feed/bad", ssetest.Options{})
				for broken.Load() == before && time.Now().Before(deadline) {
					time.Sleep(5 * time.Millisecond)
				}
				other.Close()
			}
			bad.Close()
			if n := ticks.Load(); n <= neighbours || n > 3*neighbours {
				t.Errorf("%d RPCs for %d neighbours, want each opened again, and twice at most", n, neighbours)
			}
			for _, c := range clients {
				c.AwaitMessages(100)
				seen := c.Snapshot()
				for i, m := range seen.Messages()[:100] {
					if m.ID != strconv.Itoa(i+1) {
						t.Fatalf("event %d has id %s", i, m.ID)
					}
				}
				if seen.Gaps > 0 || seen.Connections != 1 {
					t.Errorf("a neighbour has %d gaps and %d connections", seen.Gaps, seen.Connections)
				}
			}
			metrics := scrape(t, g.Bridge)
			if _, ok := metrics[`ssebridge_upstream_connections{state="apart",upstream="app"}`]; !ok {
				t.Error("no metric of connections apart")
			}
		})
	}
}
