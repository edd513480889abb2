package bridge_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// pendingGateway serves a stream and unary methods, by GET and by POST.
func pendingGateway(t *testing.T, pendingBytes string) *gateway {
	t.Helper()
	b := backend(t)
	b.OnGet(func(_ context.Context, r *testv1.GetRequest) (*testv1.GetResponse, error) {
		if r.GetName() == "large" {
			return &testv1.GetResponse{Name: strings.Repeat("x", 3900<<10)}, nil
		}
		return &testv1.GetResponse{Name: r.GetName()}, nil
	})
	cfg := parse(t, "upstreams:\n  app: {target: '"+b.Target()+"'}\ndrain: {delay: 0s, grace: 0s}\nlimits: {pending_bytes: "+pendingBytes+"}\nroutes:\n"+
		"  - {path: /feed, rpc: "+watch+", upstream: app, open_grace: 0s, request: {query: true}}\n"+
		"  - {path: /put, rpc: ssebridge.test.v1.FeedService/Put, upstream: app, methods: [POST]}\n"+
		"  - {path: '/things/{name}', rpc: ssebridge.test.v1.FeedService/Get, upstream: app}\n")
	g := startWith(t, cfg, bridge.Options{})
	wantThing(t, g) // now the schema is known
	return g
}

func wantThing(t *testing.T, g *gateway) {
	t.Helper()
	if got := do(t, http.MethodGet, g.URL+"/things/small", ""); got.Status != http.StatusOK {
		t.Fatalf("a small call is answered %d %s", got.Status, got.Body)
	}
}

// dialled sends bytes over a connection of its own, which lasts until the test ends.
func dialled(t *testing.T, g *gateway, text string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// They take no more memory than limits.pending_bytes. Small requests and streams are served
// meanwhile, and large ones again once the slow clients have left.
func TestUnfinishedBodiesAreBounded(t *testing.T) {
	g := pendingGateway(t, "512KiB")
	body := strings.Repeat(" ", 60<<10)
	var slow []net.Conn
	for range 30 {
		slow = append(slow, dialled(t, g, "POST /put HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 65000\r\n\r\n"+body))
	}
	eventually(t, "the limit to be reached", func() bool { return strings.Contains(g.Log.String(), "limit=limits.pending_bytes") })
	if counted := g.Bridge.PendingRequests(); counted > 256<<10 {
		t.Errorf("%d bytes are counted for requests", counted)
	}
	wantThing(t, g)
	if got := do(t, http.MethodPost, g.URL+"/put", `{"name":"small"}`, "Content-Type", "application/json"); got.Status != http.StatusOK {
		t.Errorf("a small body is answered %d", got.Status)
	}
	for _, conn := range slow {
		_ = conn.Close()
	}
	eventually(t, "the memory to be given back", func() bool { return g.Bridge.PendingRequests() == 0 })
	large := `{"name":"` + strings.Repeat("x", 60<<10) + `"}`
	if got := do(t, http.MethodPost, g.URL+"/put", large, "Content-Type", "application/json"); got.Status != http.StatusOK {
		t.Errorf("a large body is answered %d when there is room", got.Status)
	}
}

// They take no more memory than limits.pending_bytes. Further large answers are 503 with
// Retry-After, and small ones are sent.
func TestUnreadAnswersAreBounded(t *testing.T) {
	g := pendingGateway(t, "16MiB")
	var slow []net.Conn
	askSlowly := func() {
		conn := dialled(t, g, "")
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) //nolint:errcheck // it is one
		if _, err := io.WriteString(conn, "GET /things/large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn)
	}
	for range 6 {
		askSlowly()
	}
	defer func() {
		for _, conn := range slow {
			_ = conn.Close()
		}
		eventually(t, "the memory to be given back", func() bool { return g.Bridge.PendingAnswers() == 0 })
	}()
	eventually(t, "the limit to be reached", func() bool {
		if counted := g.Bridge.PendingAnswers(); counted > 8<<20 {
			t.Fatalf("%d bytes are counted for answers", counted)
		}
		return strings.Contains(g.Log.String(), "limit=limits.pending_bytes")
	})
	wantThing(t, g)
	// Slow clients are cut after two seconds, which makes room, and others come in their place.
	eventually(t, "a large answer to be refused", func() bool {
		askSlowly()
		got := do(t, http.MethodGet, g.URL+"/things/large", "")
		return got.Status == http.StatusServiceUnavailable && got.Header.Get("Retry-After") != ""
	})
}

// The number of requests on a connection does not matter. A stream keeps no headers.
func TestHeadersOfManyRequestsAreBounded(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			g := pendingGateway(t, "512KiB")
			transport := from(t, "127.0.0.1", proto == "h2c")
			cookie := strings.Repeat("c", 50<<10)
			for i := range 30 {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/feed?topic=%d", g.URL, i), http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Cookie", cookie)
				response, err := transport.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = response.Body.Close() }()
				if response.StatusCode != http.StatusOK {
					t.Fatalf("answered %d", response.StatusCode)
				}
			}
			eventually(t, "the headers to be forgotten", func() bool { return g.Bridge.PendingRequests() == 0 })
		})
	}
}

// A topic keeps its request until it ends. So does a client of a shared topic that may need an RPC
// of its own later. The heads of these requests are small: a constant of the route is large.
func TestRequestsOfStreamsAreBounded(t *testing.T) {
	for name, keys := range map[string]string{
		"topics":               "",
		"clients of one topic": ", share: true, event: {id: seq}, resume: {field: after}",
	} {
		t.Run(name, func(t *testing.T) {
			b := backend(t)
			g := startWith(t, parse(t, "upstreams:\n  app: {target: '"+b.Target()+"'}\ndrain: {delay: 0s, grace: 0s}\nlimits: {pending_bytes: 512KiB}\nroutes:\n"+
				"  - {path: /feed, rpc: "+watch+", upstream: app, open_grace: 0s, request: {set: {kinds.string_value: '"+strings.Repeat("x", 50<<10)+"'}}"+keys+"}\n"), bridge.Options{})
			first := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
			first.AwaitEvents(1) // now the schema is known
			for range 12 {
				ssetest.Connect(t, g.URL+"/feed", ssetest.Options{}).AwaitEvents(1)
			}
			eventually(t, "the limit to be logged", func() bool { return strings.Contains(g.Log.String(), "limit=limits.pending_bytes") })
			if counted := g.Bridge.PendingRequests(); counted > 256<<10 || counted < 100<<10 {
				t.Errorf("%d bytes are counted for the requests of streams", counted)
			}
		})
	}
}

// The peer sends its body slowly, or reads its answer slowly, while limits.pending_bytes is nearly used up.
func TestSlowPeersHaveLessTimeWhenMemoryIsShort(t *testing.T) {
	for name, test := range map[string]struct{ sent, want string }{
		"a body":    {"POST /put HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 408 "},
		"an answer": {"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, "routes: [{path: /put, methods: [POST], rpc: ssebridge.test.v1.FeedService/Put, upstream: app}]", func(t *testing.T, w *world) {
				w.Bridge.Fill()
				conn, err := w.front.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(conn, test.sent); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				got, err := io.ReadAll(conn)
				if err != nil || !strings.HasPrefix(string(got), test.want) || test.want == "" && len(got) > 0 {
					t.Errorf("after three seconds: %q, %v", got, err)
				}
			})
		})
	}
}
