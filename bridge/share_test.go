package bridge_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// They connect before the first has an answer. The backend counts the RPCs.
func TestAHundredClientsShareOneRPC(t *testing.T) {
	b := backend(t)
	g := start(t, b.Target(), "  - {path: /feed, rpc: "+watch+", upstream: app, share: true}")
	var clients []*ssetest.Client
	for range 100 {
		clients = append(clients, ssetest.Connect(t, g.URL+"/feed", ssetest.Options{}))
	}
	for _, c := range clients {
		c.AwaitEvents(1)
	}
	b.AwaitRunning(1)
	b.Feed.Publish(&testv1.FeedEvent{})
	for _, c := range clients {
		if message := c.AwaitMessages(1)[0]; message.Data != `{"seq":"1"}` {
			t.Errorf("got %s", message.Raw)
		}
	}
	if opens := b.Opens(); opens != 1 {
		t.Errorf("%d RPCs were opened, want 1", opens)
	}
}

// A stream that begins with history sends it to each page, as Envoy and grpc-gateway do, unless the route shares RPCs.
func TestEachPageLoadGetsTheHistory(t *testing.T) {
	b := backend(t)
	for range 50 {
		b.Feed.Publish(&testv1.FeedEvent{})
	}
	g := start(t, b.Target(), "  - {path: /feed, rpc: "+watch+", upstream: app, request: {set: {history: true}}}")
	for load := range 4 {
		page := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
		messages := page.AwaitMessages(50)
		if first := messages[0].Data; first != `{"seq":"1"}` {
			t.Errorf("load %d begins with %s", load, first)
		}
		page.Close()
	}
	if opens := b.Opens(); opens != 4 {
		t.Errorf("%d RPCs were opened, want 4", opens)
	}
}

// The backend allows 100 streams on a connection. No client hangs.
func TestABackendsStreamLimitOpensASecondConnection(t *testing.T) {
	b := backend(t, backendtest.WithMaxConcurrentStreams(100))
	g := start(t, b.Target(), "  - {path: /feed, rpc: "+watch+", upstream: app, share: true, request: {query: true}}")
	var clients []*ssetest.Client
	for i := range 150 {
		clients = append(clients, ssetest.Connect(t, fmt.Sprintf("%s/feed?topic=%d", g.URL, i), ssetest.Options{}))
	}
	b.AwaitRunning(150)
	b.Feed.Publish(&testv1.FeedEvent{})
	for _, c := range clients {
		if seen := c.Await("a message", func(s ssetest.Snapshot) bool { return len(s.Messages()) == 1 }); seen.Gaps > 0 {
			t.Errorf("got %s", seen)
		}
	}
	if opens := b.Opens(); opens != 150 {
		t.Errorf("%d RPCs were opened, want 150", opens)
	}
}

// Two clients share an RPC only if the backend cannot distinguish their requests, except by metadata with key: false.
func TestEqualRequestsShareAnRPC(t *testing.T) {
	const metadata = "request: {query: true, metadata: [authorization, {name: x-experiment, key: false}, x-request-id, traceparent]}"
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	for _, test := range []struct {
		name          string
		path1, path2  string
		first, second http.Header
		shared        bool
	}{
		{"equal", "?topic=a", "?topic=a", nil, nil, true},
		{"another field", "?topic=a", "?topic=b", nil, nil, false},
		{"another order, and JSON names", "?topic=a&kinds.int32_value=1", "?kinds.int32Value=1&topic=a", nil, nil, true},
		{"a default, and nothing", "?topic=", "", nil, nil, true},
		{"a default with presence", "?limit=0", "", nil, nil, false},
		{"an id", "?topic=a", "?topic=a&last_event_id=~0", nil, nil, true},
		{"equal identity", "", "", header("Authorization", "Bearer a"), header("authorization", "Bearer a"), true},
		{"another identity", "", "", header("Authorization", "Bearer a"), header("Authorization", "Bearer b"), false},
		{"no identity", "", "", header("Authorization", "Bearer a"), nil, false},
		{"an empty identity", "", "", header("Authorization", ""), nil, false},
		{"two identities", "", "", header("Authorization", "a", "Authorization", "b"), header("Authorization", "a, b"), false},
		{"key: false", "", "", header("X-Experiment", "a"), header("X-Experiment", "b"), true},
		{"request ids", "", "", header("X-Request-Id", "1", "Traceparent", "t1"), header("X-Request-Id", "2"), true},
		{"what is not forwarded", "", "", header("Cookie", "a"), header("Cookie", "b"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, feedRoute(metadata), func(t *testing.T, w *world) {
				one := w.listen("/feed"+test.path1, ssetest.Options{Header: test.first})
				rpc := w.rpc()
				rpc.count(1, 2)
				expect(t, one, "open 1 2")
				two := w.listen("/feed"+test.path2, ssetest.Options{Header: test.second})
				if test.shared {
					expect(t, two, "open")
					rpc.count(3, 3)
					w.noRPC()
				} else {
					w.rpc().count(3, 3)
				}
				expect(t, two, "open 3")
			})
		})
	}
}

// Hardening: on shared and on private routes, by position and by cursor.
func TestAnIDOfAnotherIdentityFindsNothing(t *testing.T) {
	for _, keys := range []string{"share: true", "share: false", "event: {id: seq}", "join: held"} {
		t.Run(keys, func(t *testing.T) {
			inWorld(t, feedRoute("request: {metadata: [authorization]}, "+keys), func(t *testing.T, w *world) {
				mine := w.listen("/feed", ssetest.Options{Header: http.Header{"Authorization": {"Bearer mine"}}})
				rpc := w.rpc()
				rpc.count(101, 103)
				expect(t, mine, "open 101 102 103")
				for _, event := range mine.Snapshot().Events {
					thief := w.listen("/feed", ssetest.Options{
						Header: http.Header{"Authorization": {"Bearer thief"}}, LastEventID: event.ID,
					})
					thief.AwaitEvents(1)
					want := "gap:forgotten"
					if keys == "event: {id: seq}" && event.ID[0] != '~' { // a cursor has no epoch
						want = "gap:restarted"
					}
					expect(t, thief, want)
					thief.Close()
					time.Sleep(time.Minute) // its topic has ended
					w.Stage.take()
				}
				rpc.count(104, 104)
				expect(t, mine, "open 101 102 103 104")
			})
		})
	}
}

func TestOnlyListedHeadersAreForwarded(t *testing.T) {
	inWorld(t, feedRoute("request: {metadata: [authorization, x-request-id]}"), func(t *testing.T, w *world) {
		w.listen("/feed", ssetest.Options{Header: http.Header{
			"Authorization": {"Bearer a"}, "X-Request-Id": {"7"}, "Cookie": {"secret"}, "X-Forwarded-For": {"10.0.0.1"},
		}})
		md := w.rpc().Metadata
		if fmt.Sprint(md["authorization"], md["x-request-id"], md["cookie"], md["x-forwarded-for"], md["last-event-id"]) != "[Bearer a] [7] [] [] []" {
			t.Errorf("the backend got %v", md)
		}
	})
}

func TestAnRPCLingersAfterItsLastClient(t *testing.T) {
	onBoth(t, "replay: {linger: 10s}", func(t *testing.T, w *world) {
		one, two := w.listen("/feed", ssetest.Options{}), w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		expect(t, two, "open 1")
		one.Close()
		time.Sleep(time.Minute)
		rpc.count(2, 2)
		expect(t, two, "open 1 2")
		for range 3 { // each reconnect restarts the linger
			two.Close()
			time.Sleep(9 * time.Second)
			two.Reconnect()
			synctest.Wait()
		}
		w.noRPC()
		two.Close()
		began := time.Now()
		<-rpc.Gone
		if lingered := time.Since(began); lingered != 10*time.Second {
			t.Errorf("the RPC lingered for %v", lingered)
		}
	})
}
