package bridge_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// limited is a configuration with one route, /feed, and limits.
func limited(limits, keys string) string {
	return "limits: {" + limits + "}\n" + feedRoute(strings.Trim("request: {query: true}, "+keys, ", "))
}

var shedding = regexp.MustCompile(`^(?:: ok\nretry: \d+\n|retry: \d+\nid: ([!-~]+)\nevent: stream-open\ndata: \{\}\n\n)retry: (\d+)\nevent: stream-retry\ndata: \{"reason":"shed"\}\n\n$`)

// wantShed expects exactly the bytes that ask a client to come back later. id is the id that they repeat.
func wantShed(tb testing.TB, got reply, id string) {
	tb.Helper()
	match := shedding.FindStringSubmatch(got.Body)
	if got.Status != http.StatusOK || got.Header.Get("Content-Type") != "text/event-stream" || match == nil || match[1] != id {
		tb.Errorf("answered %d %v\n%s", got.Status, got.Header, got.Body)
		return
	}
	if after, err := strconv.Atoi(match[2]); err != nil || after < 10_000 || after > 60_000 {
		tb.Errorf("asked to reconnect after %s ms", match[2])
	}
}

// wantShedStatus expects the answer of a shed client that prefers a status.
func wantShedStatus(tb testing.TB, got reply) {
	tb.Helper()
	after, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if got.Status != http.StatusServiceUnavailable || got.Body != `{"code":14,"message":"come back later: shed"}`+"\n" || err != nil || after < 10 || after > 60 {
		tb.Errorf("answered %d, Retry-After %q, %s", got.Status, got.Header.Get("Retry-After"), got.Body)
	}
}

// It is asked in band to reconnect, and keeps its id, whatever the limit and the route.
func TestBytesOfAShedClient(t *testing.T) {
	const epochID = "ABCDEFGHIJKLMNOPQRSTUVWXYZ-5"
	for name, limits := range map[string]string{"clients": "clients: 1", "clients_per_ip": "clients_per_ip: 1", "topics": "topics: 1"} {
		for route, test := range map[string]struct{ keys, id, want string }{
			"positions":        {"", "", "~0"},
			"at a position":    {"", epochID, epochID},
			"cursors":          {"event: {id: seq}", "", "~0"},
			"at a cursor":      {"event: {id: seq}, resume: {field: after}", "a%7Eb", "a%7Eb"},
			"at an ordinal":    {"event: {id: seq}, resume: {field: after}", "7~2", "7~2"},
			"without ids":      {"event: {id: ''}", "", ""},
			"a topic a client": {"share: false", "", "~0"},
			"by POST":          {"methods: [GET, POST]", epochID, epochID},
		} {
			t.Run(name+"/"+route, func(t *testing.T) {
				inWorld(t, limited(limits, test.keys), func(t *testing.T, w *world) {
					w.listen("/feed?topic=first", ssetest.Options{NoIDs: route == "without ids"})
					var headers []string
					if test.id != "" {
						headers = []string{"Last-Event-ID", test.id}
					}
					method := http.MethodGet
					if route == "by POST" {
						method = http.MethodPost
						headers = append(headers, "Content-Type", "application/json", "Accept", "text/event-stream")
					}
					body := map[string]string{http.MethodPost: "{}"}[method]
					wantShed(t, w.do(method, "/feed?topic=second", body, headers...), test.want)
					wantShedStatus(t, w.do(method, "/feed?topic=second", body, append(headers, "Prefer", "status")...))
					if opens := w.Stage.opens.Load(); opens != 1 {
						t.Errorf("%d RPCs were opened", opens)
					}
				})
			})
		}
	}
}

// The line names the limit. There is not one for each client.
func TestShedIsLoggedOnceAMinute(t *testing.T) {
	inWorld(t, limited("clients: 1", ""), func(t *testing.T, w *world) {
		w.listen("/feed", ssetest.Options{})
		lines := func() int { return strings.Count(w.Logged.String(), "limit=limits.clients clients=1\n") }
		for range 100 {
			wantShed(t, w.do(http.MethodGet, "/feed", ""), "~0")
		}
		if lines() != 1 {
			t.Errorf("%d lines are logged:\n%s", lines(), w.Logged)
		}
		time.Sleep(time.Minute)
		wantShed(t, w.do(http.MethodGet, "/feed", ""), "~0")
		synctest.Wait() // the line may be written after the answer
		if lines() != 2 {
			t.Errorf("%d lines are logged after a minute:\n%s", lines(), w.Logged)
		}
	})
}

// A slot is free after a stream's end or failure, of every kind. A request that needs no slot is
// answered while none is free.
func TestSlotsAreReturned(t *testing.T) {
	refused := status.Error(codes.PermissionDenied, "not you")
	for name, test := range map[string]struct {
		keys string
		play func(t *testing.T, w *world, c *ssetest.Client)
	}{
		"it leaves":       {"", func(_ *testing.T, w *world, c *ssetest.Client) { w.rpc().count(1, 3); c.Close() }},
		"it leaves early": {"open_grace: 1m", func(_ *testing.T, _ *world, c *ssetest.Client) { c.Close() }},
		"refused":         {"open_grace: 1m", func(_ *testing.T, w *world, _ *ssetest.Client) { w.rpc().end(refused) }},
		"the end":         {"", func(_ *testing.T, w *world, _ *ssetest.Client) { r := w.rpc(); r.count(1, 1); r.end(nil) }},
		"an error":        {"", func(_ *testing.T, w *world, _ *ssetest.Client) { r := w.rpc(); r.count(1, 1); r.end(refused) }},
		"max_age":         {"max_age: 1m", func(*testing.T, *world, *ssetest.Client) { time.Sleep(2 * time.Minute) }},
		"its own, it":     {"share: false", func(_ *testing.T, w *world, c *ssetest.Client) { w.rpc().count(1, 1); c.Close() }},
		"reload": {"", func(_ *testing.T, w *world, _ *ssetest.Client) {
			w.reloaded(limited("clients: 1", "retry: 7s"))
			time.Sleep(time.Minute)
		}},
		"reload, waiting": {"open_grace: 1m", func(_ *testing.T, w *world, _ *ssetest.Client) {
			w.reloaded(limited("clients: 1", ""))
			time.Sleep(2 * time.Minute)
		}},
		"drain": {"", func(t *testing.T, w *world, _ *ssetest.Client) { drained(t, w) }},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, h2c %v", name, h2), func(t *testing.T) {
				inWorld(t, limited("clients: 1", test.keys), func(t *testing.T, w *world) {
					c := w.listen("/feed", ssetest.Options{H2C: h2})
					if n := w.Bridge.TakenSlots(); n != 1 {
						t.Fatalf("%d clients are counted while one listens or waits", n)
					}
					wantShedStatus(t, w.do(http.MethodGet, "/feed", "", "Prefer", "status"))
					for method, code := range map[string]int{http.MethodHead: http.StatusOK, http.MethodOptions: http.StatusNoContent} {
						if got := w.do(method, "/feed", ""); got.Status != code {
							t.Errorf("%s is answered %d", method, got.Status)
						}
					}
					if got := w.do(http.MethodGet, "/feed", "", "Last-Event-ID", sse.FinalID("5")); got.Status != http.StatusNoContent {
						t.Errorf("a client that has seen the end is answered %d", got.Status)
					}
					if got := w.do(http.MethodGet, "/feed?nothing=1", ""); got.Status != http.StatusOK {
						t.Errorf("a bad request is answered %d before there is room", got.Status)
					}
					test.play(t, w, c)
					synctest.Wait()
					if n := w.Bridge.TakenSlots(); n != 0 {
						t.Errorf("%d clients are counted, want none", n)
					}
				})
			})
		}
	}
}

// Nor do requests whose body is not complete.
func TestBadRequestsTakeNoSlot(t *testing.T) {
	inWorld(t, limited("clients: 2", ""), func(t *testing.T, w *world) {
		for _, path := range []string{"/feed?nothing=1", "/feed?topic=a&limit=x", "/nowhere"} {
			if got := w.do(http.MethodGet, path, ""); got.Status < 400 {
				t.Errorf("%s is answered %d", path, got.Status)
			}
			if n := w.Bridge.TakenSlots(); n != 0 {
				t.Errorf("after %s %d clients are counted", path, n)
			}
		}
	})
}

func TestUnaryCallsAreServedWhileAllSlotsAreTaken(t *testing.T) {
	const settings = "limits: {clients: 1}\nroutes:\n  - {path: /feed, rpc: " + watch + ", upstream: app, share: true}\n" +
		"  - {path: '/things/{name}', rpc: ssebridge.test.v1.FeedService/Get, upstream: app}\n"
	inWorld(t, settings, func(t *testing.T, w *world) {
		w.listen("/feed", ssetest.Options{})
		wantShed(t, w.do(http.MethodGet, "/feed", ""), "~0")
		for range 3 {
			if got := w.do(http.MethodGet, "/things/a", ""); got.Status != http.StatusOK || !strings.Contains(got.Body, `"a"`) {
				t.Errorf("answered %d %s", got.Status, got.Body)
			}
		}
	})
}

// No client has to leave, and none is admitted above them.
func TestReloadedLimitsApplyAtOnce(t *testing.T) {
	for _, limit := range []string{"clients", "clients_per_ip"} {
		t.Run(limit, func(t *testing.T) {
			is := func(n int) string { return limited(fmt.Sprintf("%s: %d", limit, n), "") }
			inWorld(t, is(3), func(t *testing.T, w *world) {
				var clients []*ssetest.Client
				enters := func() {
					t.Helper()
					c := w.listen("/feed", ssetest.Options{})
					expect(t, c, "open")
					clients = append(clients, c)
				}
				full := func() { t.Helper(); wantShed(t, w.do(http.MethodGet, "/feed", ""), "~0") }
				for range 3 {
					enters()
				}
				full()
				w.reloaded(is(4))
				enters()
				full()
				w.reloaded(is(2))
				full()
				rpc := w.rpc()
				rpc.count(1, 1)
				for _, c := range clients {
					expect(t, c, "open 1")
				}
				for _, c := range clients[:2] {
					c.Close()
					synctest.Wait()
					full()
				}
				clients[2].Close()
				synctest.Wait()
				enters()
				full()
				if limit == "clients" {
					return
				}
				w.reloaded(limited("clients_per_ip: 0", ""))
				enters()
				w.reloaded(is(2))
				full()
			})
		})
	}
}

// A client that joins a running topic is admitted.
func TestOpensPerIPLimitsNewTopics(t *testing.T) {
	for name, test := range map[string]struct {
		keys string
		id   func(i int) string
	}{
		"topics":    {"", func(int) string { return "" }},
		"private":   {"share: false", func(int) string { return "" }},
		"catch-ups": {"event: {id: seq}, resume: {field: after}", strconv.Itoa},
		"own RPCs":  {"event: {id: seq}, resume: {field: after}, join: own", func(int) string { return "" }},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, limited("opens_per_ip: 1, catchups: 1000", strings.Trim("open_grace: 0s, "+test.keys, ", ")), func(t *testing.T, w *world) {
				path := func(i int) string {
					if name == "topics" {
						return "/feed?topic=" + strconv.Itoa(i)
					}
					return "/feed"
				}
				for i := range 10 {
					expect(t, w.listen(path(i), ssetest.Options{LastEventID: test.id(i + 1)}), "open")
				}
				expect(t, w.listen(path(10), ssetest.Options{LastEventID: test.id(11)}), "open retry:shed")
				wantShedStatus(t, w.do(http.MethodGet, path(10), "", "Prefer", "status", "Last-Event-ID", test.id(11)))
				time.Sleep(time.Second)
				expect(t, w.listen(path(10), ssetest.Options{LastEventID: test.id(11)}), "open")
				expect(t, w.listen(path(11), ssetest.Options{LastEventID: test.id(12)}), "open retry:shed")
				if name == "topics" || name == "catch-ups" { // the other routes have no shared topic
					for i := range 30 {
						expect(t, w.listen(path(i%11), ssetest.Options{LastEventID: test.id(i%11 + 1)}), "open")
					}
				}
			})
		})
	}
}

// Nor is one to a broken topic.
func TestAReconnectToALingeringTopicIsNoOpen(t *testing.T) {
	for _, share := range []string{"true", "false"} {
		t.Run("share "+share, func(t *testing.T) {
			inWorld(t, limited("opens_per_ip: 1", "open_grace: 0s, share: "+share), func(t *testing.T, w *world) {
				c := w.listen("/feed?topic=a", ssetest.Options{})
				w.rpc().count(1, 1)
				for i := range 9 {
					w.listen("/feed?topic=b"+strconv.Itoa(i), ssetest.Options{})
				}
				expect(t, w.listen("/feed?topic=c", ssetest.Options{}), "open retry:shed")
				for range 20 {
					c.Close()
					synctest.Wait()
					c.Reconnect()
					synctest.Wait()
				}
				expect(t, c, "open 1"+strings.Repeat(" open", 20))
			})
		})
	}
}

func TestADrainFreesSlotsForNewClients(t *testing.T) {
	inWorld(t, "drain: {delay: 0s, grace: 20s}\n"+limited("clients: 2", ""), func(t *testing.T, w *world) {
		for range 2 {
			w.listen("/feed", ssetest.Options{})
		}
		w.rpc().count(1, 1)
		done := make(chan error, 1)
		go func() { done <- w.Bridge.Drain(t.Context()) }()
		synctest.Wait()
		expect(t, w.listen("/feed", ssetest.Options{}), "open retry:drain")
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := w.Bridge.TakenSlots(); n != 0 {
			t.Errorf("%d clients are counted after the drain", n)
		}
	})
}
