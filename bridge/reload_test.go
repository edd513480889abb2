package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// reload puts other settings in place of the world's.
func (w *world) reload(settings string) error {
	w.Helper()
	return w.Bridge.Reload(parse(w.TB, "upstreams: {app: {target: 'passthrough:///memory'}}\n"+settings))
}

// reloaded does, and wants it to work.
func (w *world) reloaded(settings string) {
	w.Helper()
	if err := w.reload(settings); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

// routesOf is the YAML of routes at /a, /b, …, by their further keys; "" is no route.
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

// TestReloadSparesUnchangedRoutes: a route that is the same, be it written otherwise or at another place, goes on with its
// topic and its RPC, and newcomers join them.
func TestReloadSparesUnchangedRoutes(t *testing.T) {
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

// TestReloadSparesLingeringTopics: nobody listens to them, and who comes back still finds its place.
func TestReloadSparesLingeringTopics(t *testing.T) {
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

// TestReloadOfAChangedRoute: its clients are told evenly over drain.grace, and served on until then; who comes meanwhile
// is served by the new configuration.
func TestReloadOfAChangedRoute(t *testing.T) {
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
			t.Errorf("who came after the reload got an event named %q", got)
		}
		for told := 0; time.Since(began) < 20*time.Second; told++ {
			ended := 0
			for _, c := range clients {
				if c.Snapshot().Ended != nil {
					ended++
				}
			}
			if want := told + 1; ended < want-1 || ended > want+1 {
				t.Errorf("after %v %d of 40 were told, want %d", time.Since(began), ended, want)
			}
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
		}
		l.publish(1)
		for i, c := range clients {
			endedWell(t, c)
			seen := c.Snapshot()
			if story := story(seen); !strings.HasPrefix(story, "open 1 2 ") || !strings.HasSuffix(story, " retry:reload") || seen.Retry > time.Second {
				t.Fatalf("client %d saw %s, and is to come back after %v", i, story, seen.Retry)
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

// TestReloadServesClientsUntilTheyAreAsked: what breaks behind a route that is on its way out is still hidden from its clients.
func TestReloadServesClientsUntilTheyAreAsked(t *testing.T) {
	inWorld(t, "drain: {grace: 0s}\n"+routesOf("event: {id: seq}, resume: {field: after}"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		var clients []*ssetest.Client
		for range 2 { // one of them is told at once
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
		t.Error("nobody is left")
	})
}

// TestReloadOfAPositionRoute: positions are of the log that the route had, and who comes back hears so.
func TestReloadOfAPositionRoute(t *testing.T) {
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

// TestReloadExactOverChanges: on every kind of cursor route a reload that changes it is a reconnect, and nothing more.
func TestReloadExactOverChanges(t *testing.T) {
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

// TestReloadRemovesARoute: its clients are told the end, at which an EventSource stops, and its path is unknown.
func TestReloadRemovesARoute(t *testing.T) {
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
			t.Errorf("the client comes back with %q", id)
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

// TestReloadMovesARoute: where another template takes a route's requests, its clients come back.
func TestReloadMovesARoute(t *testing.T) {
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

// TestReloadRefused: what is wrong is told, and nothing changes.
func TestReloadRefused(t *testing.T) {
	inWorld(t, routesOf("retry: 3s"), func(t *testing.T, w *world) {
		c := w.listen("/a", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 1)
		if told := w.Bridge.Reloads(); told.OK+told.Failed > 0 || !told.Last.IsZero() {
			t.Errorf("before any reload: %+v", told)
		}
		for i, test := range []struct{ settings, want string }{
			{routesOf("retry: 4s, event: {id: sek}"), `routes[0].event.id: ssebridge.test.v1.FeedEvent has no field "sek"; did you mean "seq"?`},
			{routesOf("retry: 3s, timeout: 30s"), "routes[0].timeout: is for unary methods, and " + watch + " is a stream; leave it out, or use max_age"},
			{routesOf("retry: 3s") + "  - {path: '/{x=**}', rpc: " + watch + ", upstream: app, share: true}", "routes[1].path: GET /a matches routes[0] (/a) too; no request may match two routes"},
		} {
			err := w.reload(test.settings)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
			if told := w.Bridge.Reloads(); told.OK != 0 || told.Failed != i+1 || !told.Last.Equal(time.Now()) || told.Err == nil {
				t.Errorf("after %d: %+v", i+1, told)
			}
			time.Sleep(time.Second)
		}
		wrong := w.config
		wrong.Limits.Topics = -1
		if err := w.Bridge.Reload(wrong); err == nil || !strings.HasPrefix(err.Error(), "limits.topics: ") {
			t.Errorf("a configuration made in Go is not validated: %v", err)
		}
		code, text := probe(w.Bridge.Admin(), "/readyz")
		if code != http.StatusOK || !strings.Contains(text, "\nreloads: 0 ok, 4 failed; the last one, at 2000-01-01T00:00:0") ||
			!strings.HasSuffix(text, "Z, failed, and what was before it holds; the log says why: limits.topics\n") {
			t.Errorf("/readyz says %d %s", code, text)
		}
		rpc.count(2, 2)
		expect(t, c, "open 1 2")
		w.reloaded(routesOf("retry: 3s"))
		if told := w.Bridge.Reloads(); told.OK != 1 || told.Failed != 4 || told.Err != nil {
			t.Errorf("in the end: %+v", told)
		}
		if _, text := probe(w.Bridge.Admin(), "/readyz"); !strings.HasSuffix(text, "Z, was ok\n") {
			t.Errorf("/readyz says %s", text)
		}
		rpc.count(3, 3)
		expect(t, c, "open 1 2 3")
	})
}

// TestReloadCutsStalledClients, a second after drain.grace, and leaves nothing of the old route behind.
func TestReloadCutsStalledClients(t *testing.T) {
	inWorld(t, "drain: {grace: 10s}\n"+feedRoute("write_timeout: 1m"), func(t *testing.T, w *world) {
		rpc, end := w.listenStuck()
		rpc.flood()
		began := time.Now()
		w.reloaded("drain: {grace: 10s}\n" + feedRoute("write_timeout: 2m"))
		<-rpc.Gone
		if took := time.Since(began); took != 11*time.Second {
			t.Errorf("cut after %v", took)
		}
		if err := end(); err == nil {
			t.Error("the stuck stream ended as if all had been said")
		}
	})
}

// TestReloadOfIdleTopics: those of a changed route end at once.
func TestReloadOfIdleTopics(t *testing.T) {
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
			t.Error("a topic that nobody can come back to lingers")
		}
	})
}

// TestReloadOnTheWay: a request that a reload overtakes is asked to come back.
func TestReloadOnTheWay(t *testing.T) {
	inWorld(t, "drain: {grace: 0s}\n"+feedRoute("open_grace: 60s"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		strict := w.connect("/feed", ssetest.Options{Header: http.Header{"Prefer": {"status"}}})
		w.rpc() // which is not accepted
		synctest.Wait()
		w.reloaded("drain: {grace: 0s}\n" + feedRoute("open_grace: 50s"))
		endedWell(t, c)
		expect(t, c, "open retry:reload")
		if got := strict.AwaitStatus(); got != http.StatusServiceUnavailable {
			t.Errorf("who prefers a status is answered %d", got)
		}
	})
}

// TestReloadInARow: reloads do not wait for one another's clients.
func TestReloadInARow(t *testing.T) {
	inWorld(t, "drain: {grace: 30s}\n"+feedRoute("event: {id: seq}, resume: {field: after}"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		var clients []*ssetest.Client
		for i := range 60 {
			clients = append(clients, w.listen("/feed", ssetest.Options{}))
			if i%3 == 0 {
				w.reloaded("drain: {grace: 30s}\n" + feedRoute("event: {id: seq}, resume: {field: after}, retry: "+(time.Duration(i+1)*time.Second).String()))
			}
			l.publish(1)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		back := 0
		for _, c := range clients {
			if c.Snapshot().Ended == nil {
				continue // it came after the last change
			}
			endedWell(t, c)
			if seen := story(c.Snapshot()); strings.Count(seen, "retry:reload") != 1 {
				t.Errorf("a client saw %s", seen)
			}
			c.Reconnect()
			back++
		}
		synctest.Wait()
		l.publish(1)
		if back != 58 {
			t.Errorf("%d clients were told, want all but the last 2", back)
		}
		for _, c := range clients {
			seen := c.Snapshot()
			// Who had no cursor yet has nothing to come back with, and is told so.
			early := strings.HasPrefix(story(seen), "open retry:reload gap:restarted ") && seen.Gaps == 1
			first, err := strconv.ParseInt(word(seen.Messages()[0]), 10, 64)
			if err != nil || seen.Gaps > 0 && !early {
				t.Fatalf("a client saw %s", story(seen))
			}
			for i, message := range seen.Messages() {
				if word(message) != strconv.FormatInt(first+int64(i), 10) {
					t.Fatalf("a client saw %s", story(seen))
				}
			}
			if n := len(seen.Messages()); first+int64(n) != 62 {
				t.Errorf("a client saw %s", story(seen))
			}
		}
		if running, _ := l.now(); running != 1 {
			t.Errorf("%d RPCs run in the end", running)
		}
	})
}

// TestReloadToALongerDrain: the drain is by the configuration that holds when it begins.
func TestReloadToALongerDrain(t *testing.T) {
	inWorld(t, "drain: {delay: 0s, grace: 1s}\n"+feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		w.reloaded("drain: {delay: 1m, grace: 1h}\n" + feedRoute("retry: 3s"))
		var clients []*ssetest.Client
		for range 10 {
			clients = append(clients, w.listen("/feed", ssetest.Options{}))
		}
		w.rpc().accept()
		began := time.Now()
		if err := w.Bridge.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 50*time.Minute || took > 62*time.Minute {
			t.Errorf("took %v", took)
		}
		for _, c := range clients {
			endedWell(t, c)
			expect(t, c, "open retry:drain")
		}
	})
}

// TestReadyzShowsNoLines: what is wrong with a file quotes it, and anybody may ask.
func TestReadyzShowsNoLines(t *testing.T) {
	inWorld(t, feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		line := config.Errorf("upstreams.app.schema.descriptor_set", "open /etc/hidden: no such file")
		line.File, line.Line, line.Snippet = "/etc/hidden.yaml", 3, "metadata: {authorization: hidden}"
		many := config.Errors{line, line, config.Errorf("", "the document hidden")}
		for i := range 30 {
			many = append(many, config.Errorf(fmt.Sprintf("routes[%d].rpc", i), "hidden"))
		}
		for _, test := range []struct {
			err  error
			want string
		}{
			{errors.New("reading the configuration: open /etc/hidden.yaml"), ""},
			{fmt.Errorf("the configuration is not valid:\n%w", config.Errors{line}), ": upstreams.app.schema.descriptor_set"},
			{errors.Join(errors.New("hidden"), many), ": upstreams.app.schema.descriptor_set, routes[0].rpc, "},
		} {
			w.Bridge.ReloadFailed(test.err)
			_, text := probe(w.Bridge.Admin(), "/readyz")
			if strings.Contains(text, "hidden") || !strings.Contains(text, " failed, and what was before it holds; the log says why"+test.want) ||
				strings.Count(text, "\n") != 2 || len(text) > 600 {
				t.Errorf("got %s", text)
			}
		}
		// What the caller does with its error later is no matter of the bridge's.
		line.Path = "hidden"
		if _, text := probe(w.Bridge.Admin(), "/readyz"); strings.Contains(text, "hidden") {
			t.Errorf("got %s", text)
		}
		if told := w.Bridge.Reloads(); told.OK != 0 || told.Failed != 3 {
			t.Errorf("told %+v", told)
		}
	})
}

// TestReloadAndDrain: a drain takes those too whom a reload has not told yet, and no reload comes after it.
func TestReloadAndDrain(t *testing.T) {
	const settings = "drain: {delay: 0s, grace: 100s}\n"
	inWorld(t, settings+feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		var clients []*ssetest.Client
		for range 10 {
			clients = append(clients, w.listen("/feed", ssetest.Options{}))
		}
		w.rpc().accept()
		w.reloaded("drain: {delay: 0s, grace: 4s}\n" + feedRoute("retry: 4s"))
		drained := make(chan error, 1)
		go func() { drained <- w.Bridge.Drain(context.Background()) }()
		synctest.Wait()
		if err := w.reload(settings + feedRoute("retry: 3s")); err == nil || err.Error() != "the configuration is not reloaded: draining" {
			t.Errorf("a reload while the bridge drains: %v", err)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		for _, c := range clients {
			endedWell(t, c)
		}
		if err := w.Bridge.Close(); err != nil {
			t.Error(err)
		}
		if err := w.reload(settings + feedRoute("retry: 3s")); err == nil {
			t.Error("a reload after Close")
		}
		if told := w.Bridge.Reloads(); told.OK != 1 || told.Failed != 0 {
			t.Errorf("told %+v", told)
		}
	})
}

// TestReloadLimits: limits hold at once, for those there are.
func TestReloadLimits(t *testing.T) {
	const keys = "request: {query: true}"
	inWorld(t, feedRoute(keys), func(t *testing.T, w *world) {
		var rpcs []*rpc
		for _, topic := range []string{"1", "2", "3", "4"} {
			c := w.listen("/feed?topic="+topic, ssetest.Options{})
			rpcs = append(rpcs, w.rpc())
			rpcs[len(rpcs)-1].accept()
			if topic < "4" {
				c.Close()
			} else {
				defer expect(t, c, "open")
			}
			synctest.Wait()
		}
		w.reloaded("limits: {idle_topics: 2}\n" + feedRoute(keys))
		<-rpcs[0].Gone
		w.reloaded("limits: {topics: 2}\n" + feedRoute(keys))
		<-rpcs[1].Gone
		w.reloaded("limits: {topics: 1}\n" + feedRoute(keys))
		<-rpcs[2].Gone
		shed := w.listen("/feed?topic=5", ssetest.Options{})
		expect(t, shed, "open retry:shed")
		w.reloaded("limits: {topics: 2, request_bytes: 1KiB}\n" + feedRoute(keys))
		if got := w.do(http.MethodGet, "/feed?topic="+strings.Repeat("x", 2000), ""); got.Status != http.StatusRequestURITooLong && got.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("a request over request_bytes is answered %d", got.Status)
		}
		w.noRPC()
	})
}

// TestReloadReplayBytes: a lowered limits.replay_bytes takes what is too much at once.
func TestReloadReplayBytes(t *testing.T) {
	inWorld(t, feedRoute("retry: 3s"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		for range 64 {
			rpc.send(&testv1.FeedEvent{Kind: strings.Repeat("x", 16<<10)})
		}
		synctest.Wait()
		first := c.Snapshot().Events[1].ID
		again := w.listen("/feed", ssetest.Options{LastEventID: first})
		if n := len(again.Snapshot().Messages()); n != 63 {
			t.Errorf("%d events are held after the first", n)
		}
		w.reloaded("limits: {replay_bytes: 256KiB}\n" + feedRoute("retry: 3s"))
		late := w.listen("/feed", ssetest.Options{LastEventID: first})
		if n := len(late.Snapshot().Messages()); n > 16 || late.Snapshot().Gaps != 1 {
			t.Errorf("%d events are held within 256 KiB, and %d gaps told", n, late.Snapshot().Gaps)
		}
	})
}

// TestReplayBytesOfStreamsThatEnd: what the ends of streams add to their logs counts, too, though no message follows.
func TestReplayBytesOfStreamsThatEnd(t *testing.T) {
	inWorld(t, "limits: {replay_bytes: 128KiB}\n"+feedRoute("request: {query: true}, replay: {linger: 1h}"), func(t *testing.T, w *world) {
		var rpcs []*rpc
		for i := range 100 {
			w.listen("/feed?topic="+strconv.Itoa(i), ssetest.Options{})
			rpc := w.rpc()
			rpc.accept()
			rpc.send(&testv1.FeedEvent{Kind: strings.Repeat("x", 940)})
			synctest.Wait()
			rpcs = append(rpcs, rpc)
		}
		for _, rpc := range rpcs {
			rpc.end(nil)
		}
		synctest.Wait()
		if got := scrape(t, w.Bridge)["ssebridge_log_bytes"]; got == 0 || got > 128<<10 {
			t.Errorf("the logs have %v bytes", got)
		}
	})
}

// TestReloadMessageBytes: what a message may have changes with its route.
func TestReloadMessageBytes(t *testing.T) {
	inWorld(t, "drain: {grace: 0s}\n"+feedRoute("event: {id: seq}"), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		w.rpc().accept()
		w.reloaded("drain: {grace: 0s}\nlimits: {message_bytes: 1KiB}\n" + feedRoute("event: {id: seq}"))
		endedWell(t, c)
		c.Reconnect()
		rpc := w.rpc()
		rpc.send(&testv1.FeedEvent{Seq: 1, Kind: strings.Repeat("x", 2<<10)})
		rpc.count(2, 2)
		if seen := story(c.Snapshot()); !strings.HasSuffix(seen, "gap:untranscodable 2") {
			t.Errorf("the client saw %s", seen)
		}
	})
}
