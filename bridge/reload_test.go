package bridge_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// reload replaces the world's settings.
func (w *world) reload(settings string) error {
	w.Helper()
	return w.Bridge.Reload(parse(w.TB, "upstreams: {app: {target: 'passthrough:///memory'}}\n"+settings))
}

// reloaded is reload that must succeed.
func (w *world) reloaded(settings string) {
	w.Helper()
	if err := w.reload(settings); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

// routesOf is the YAML of routes at /a, /b, …, with further keys. "" is no route.
func routesOf(keys ...string) string {
	var text strings.Builder
	text.WriteString("routes:\n")
	for i, more := range keys {
		if more != "" {
			if !strings.Contains(more, "share:") {
				more += ", share: true"
			}
			text.WriteString("  - {path: /" + string(rune('a'+i)) + ", rpc: " + watch + ", upstream: app, " + more + "}\n")
		}
	}
	return text.String()
}

// A route with the same meaning keeps its topic and its RPC, even if it is written differently or
// has another index. New clients join the topic.
func TestAReloadKeepsUnchangedRoutes(t *testing.T) {
	const other = "  - {path: /b, rpc: " + watch + ", upstream: app, share: true, retry: 5s}\n"
	for name, settings := range map[string]string{
		"the same":        routesOf("retry: 3s"),
		"written out":     routesOf("methods: [GET], share: true, replay: {linger: 30s}, event: {data: {message: true}}"),
		"elsewhere":       "routes:\n" + other + strings.TrimPrefix(routesOf("retry: 3s"), "routes:\n"),
		"another drain":   "drain: {grace: 1s}\n" + routesOf("retry: 3s"),
		"request_bytes":   "limits: {request_bytes: 1KiB}\n" + routesOf("retry: 3s"),
		"limits of log":   "limits: {topics: 5, idle_topics: 1, replay_bytes: 1MiB, catchups: 1}\n" + routesOf("retry: 3s"),
		"one route added": routesOf("retry: 3s", "retry: 5s"),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, routesOf("retry: 3s"), func(t *testing.T, w *world) {
				c := w.listen("/a", ssetest.Options{})
				rpc := w.rpc()
				rpc.count(1, 1)
				w.reloaded(settings)
				rpc.count(2, 2)
				time.Sleep(10 * time.Second)
				expect(t, c, "open 1 2")
				joins := w.listen("/a", ssetest.Options{LastEventID: c.Snapshot().Events[1].ID})
				expect(t, joins, "open 2")
				w.noRPC()
			})
		})
	}
}

// A client that reconnects finds its position.
func TestAReloadKeepsLingeringTopics(t *testing.T) {
	inWorld(t, routesOf("retry: 3s"), func(t *testing.T, w *world) {
		c := w.listen("/a", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		c.Close()
		w.reloaded(routesOf("retry: 3s", "retry: 1s"))
		rpc.count(2, 2)
		c.Reconnect()
		expect(t, c, "open 1 open 2")
	})
}

// They are asked evenly over drain.grace, and served until then. New clients are served by the new configuration.
func TestTheClientsOfAChangedRouteAreAskedToReconnect(t *testing.T) {
	inWorld(t, "drain: {grace: 20s}\n"+routesOf("event: {id: seq}, resume: {field: after}", "retry: 3s"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		var clients []*ssetest.Client
		for range 40 {
			clients = append(clients, w.listen("/a", ssetest.Options{}))
		}
		spared := w.listen("/b", ssetest.Options{})
		l.publish(2)
		began := time.Now()
		w.reloaded("drain: {grace: 20s}\n" + routesOf("event: {id: seq, name: changed}, resume: {field: after}", "retry: 3s"))
		fresh := w.listen("/a", ssetest.Options{LastEventID: "1"})
		l.publish(1)
		expect(t, fresh, "open 2 3")
		if got := fresh.Snapshot().Events[1].Name; got != "changed" {
			t.Errorf("a client that connected after the reload got an event named %q", got)
		}
		for asked := 0; time.Since(began) < 20*time.Second; asked++ {
			ended := 0
			for _, c := range clients {
				if c.Snapshot().Ended != nil {
					ended++
				}
			}
			if want := asked + 1; ended < want-1 || ended > want+1 {
				t.Errorf("after %v %d of 40 were asked to reconnect, want %d", time.Since(began), ended, want)
			}
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
		}
		l.publish(1)
		for i, c := range clients {
			endedWell(t, c)
			seen := c.Snapshot()
			if story := story(seen); !strings.HasPrefix(story, "open 1 2 ") || !strings.HasSuffix(story, " retry:reload") || seen.Retry > time.Second {
				t.Fatalf("client %d saw %s, and is asked to reconnect after %v", i, story, seen.Retry)
			}
			c.Reconnect()
			synctest.Wait()
			counts(t, c, 1, 4)
		}
		expect(t, spared, "open 1 2 3 4")
		time.Sleep(time.Minute)
		if running, _ := l.now(); running != 2 {
			t.Errorf("%d RPCs run in the end, want one for each route", running)
		}
	})
}

// A failure of the retired route's RPC is hidden from them.
func TestTheClientsOfARetiredRouteAreServedUntilTheyAreAsked(t *testing.T) {
	inWorld(t, "drain: {grace: 0s}\n"+routesOf("event: {id: seq}, resume: {field: after}"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		var clients []*ssetest.Client
		for range 2 { // one of them is asked at once
			clients = append(clients, w.listen("/a", ssetest.Options{}))
		}
		l.publish(1)
		w.reloaded("drain: {grace: 1h}\n" + routesOf("event: {id: seq}, resume: {field: after}, retry: 5s"))
		for range 20 {
			opened := len(l.opened())
			l.fails(status.Error(codes.Unavailable, "a deploy"))
			synctest.Wait()
			l.fails(nil)
			l.publish(1)
			time.Sleep(time.Second)
			if n := len(l.opened()) - opened; n != 1 {
				t.Errorf("%d RPCs were opened", n)
			}
		}
		for _, c := range clients {
			if c.Snapshot().Ended == nil {
				counts(t, c, 1, 21)
				return
			}
		}
		t.Error("no client is left")
	})
}

// Positions belong to the log of the old route, so a client that reconnects is sent a gap.
func TestPositionsAreLostWithTheirRoute(t *testing.T) {
	inWorld(t, "drain: {grace: 0s}\n"+routesOf("retry: 3s"), func(t *testing.T, w *world) {
		c := w.listen("/a", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		w.reloaded("drain: {grace: 0s}\n" + routesOf("retry: 4s"))
		endedWell(t, c)
		<-rpc.Gone // the topic does not linger
		c.Reconnect()
		w.rpc().count(2, 2)
		expect(t, c, "open 1 retry:reload gap:restarted 2")
	})
}

// To the clients of a changed route it is a reconnect, on every kind of cursor route.
func TestAReloadLosesNothingOnRoutesWithCursors(t *testing.T) {
	onCursors(t, "", func(t *testing.T, w *world, l *ledger, _ string) {
		keys := ""
		for _, kind := range cursorRoutes {
			if strings.HasSuffix(t.Name(), "/"+strings.ReplaceAll(kind.name, " ", "_")) {
				keys = kind.keys
			}
		}
		c := w.listen("/feed", ssetest.Options{})
		for round := range 5 {
			l.publish(3)
			w.reloaded("drain: {grace: 2s}\n" + feedRoute(keys+", retry: "+[]string{"1s", "2s"}[round%2]))
			l.publish(2)
			time.Sleep(3 * time.Second)
			endedWell(t, c)
			l.publish(2)
			c.Reconnect()
			synctest.Wait()
		}
		l.publish(1)
		counts(t, c, 1, 36)
	})
}

// An EventSource stops, and the path is unknown.
func TestTheClientsOfARemovedRouteAreSentTheEnd(t *testing.T) {
	inWorld(t, "drain: {grace: 4s}\n"+routesOf("retry: 3s", "retry: 3s", `event: {id: ""}`), func(t *testing.T, w *world) {
		kept := w.listen("/a", ssetest.Options{})
		w.rpc().count(1, 1)
		removed := w.listen("/b", ssetest.Options{})
		w.rpc().count(1, 1)
		plain := w.listen("/c", ssetest.Options{NoIDs: true})
		w.rpc().count(1, 1)
		w.reloaded("drain: {grace: 4s}\n" + routesOf("retry: 3s", "", "", "retry: 1s"))
		if got := w.do(http.MethodGet, "/b", ""); got.Status != http.StatusNotFound {
			t.Errorf("a removed route answers %d", got.Status)
		}
		time.Sleep(5 * time.Second)
		for _, c := range []*ssetest.Client{removed, plain} {
			endedWell(t, c)
		}
		expect(t, removed, "open 1 end")
		if id := canonical(removed.Snapshot().LastEventID); id != "~end" {
			t.Errorf("the client reconnects with %q", id)
		}
		expect(t, plain, "1 end")
		added := w.listen("/d", ssetest.Options{})
		w.rpc().count(1, 1)
		expect(t, added, "open 1")
		expect(t, kept, "open 1")
		time.Sleep(time.Minute)
		if running := w.Stage.running.Load(); running != 2 {
			t.Errorf("%d RPCs run, want those of /a and /d", running)
		}
	})
}

// Another template matches their requests.
func TestTheClientsOfAMovedRouteAreAskedToReconnect(t *testing.T) {
	const before = "drain: {grace: 0s}\nroutes: [{path: '/rooms/{topic}', rpc: " + watch + ", upstream: app, share: true}]"
	for path, want := range map[string]string{"/rooms/{kinds.string_value}": "retry:reload", "/{topic=rooms/*}": "retry:reload", "/room/{topic}": "end"} {
		inWorld(t, before, func(t *testing.T, w *world) {
			c := w.listen("/rooms/x", ssetest.Options{})
			w.rpc().accept()
			w.reloaded(strings.Replace(before, "/rooms/{topic}", path, 1))
			endedWell(t, c)
			expect(t, c, "open "+want)
		})
	}
}

func TestIdleTopicsOfAChangedRouteEndAtOnce(t *testing.T) {
	inWorld(t, routesOf("retry: 3s"), func(t *testing.T, w *world) {
		c := w.listen("/a", ssetest.Options{})
		rpc := w.rpc()
		rpc.accept()
		c.Close()
		synctest.Wait()
		w.reloaded(routesOf("retry: 4s"))
		select {
		case <-rpc.Gone:
		default:
			t.Error("a topic that no client can reconnect to lingers")
		}
	})
}
