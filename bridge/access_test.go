package bridge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// entry is a line of a JSON log.
type entry map[string]any

// withAccess makes a world's bridge write access lines as JSON.
func withAccess(log io.Writer, access bridge.AccessLog) func(*bridge.Options) {
	return func(o *bridge.Options) {
		o.Logger, o.AccessLog = slog.New(slog.NewJSONHandler(log, nil)), access
	}
}

// entries returns the access lines in a log, without their times.
func entries(t *testing.T, log string) []entry {
	t.Helper()
	var found []entry
	for line := range strings.Lines(log) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if e["msg"] == "request" || e["msg"] == "stream begins" || e["msg"] == "stream ended" {
			delete(e, "time")
			delete(e, "level")
			found = append(found, e)
		}
	}
	return found
}

// one returns the only access line that was logged since the last call.
func one(t *testing.T, w *world, log *logs, seen *int) entry {
	t.Helper()
	synctest.Wait()
	all := entries(t, log.String())[*seen:]
	*seen += len(all)
	if len(all) != 1 {
		t.Fatalf("%d lines, want one: %v", len(all), all)
	}
	return all[0]
}

// has checks some of an entry's values. A nil value must be absent.
func (e entry) has(t *testing.T, want entry) {
	t.Helper()
	for key, value := range want {
		got, there := e[key]
		if text, ok := got.(string); ok {
			got = canonical(text)
		}
		if value == nil && there || value != nil && got != value {
			t.Errorf("%s is %v, want %v\n%v", key, got, value, e)
		}
	}
}

// A stream has one line when it begins and one when it ends. Both identify the client.
func TestAccessLinesOfAStream(t *testing.T) {
	log, seen := &logs{}, 0
	inWorldWith(t, "trusted_proxies: [10.0.0.0/8]\n"+feedRoute("request: {query: true}, open_grace: 0s"), withAccess(log, bridge.AccessAll), func(t *testing.T, w *world) {
		c := w.listen("/feed?topic=secret", ssetest.Options{Header: http.Header{"X-Request-Id": {"req-1"}, "User-Agent": {"test/1.0"}}})
		rpc := w.rpc()
		rpc.accept()
		c.AwaitStatus()
		both := entry{
			"request_id": "req-1", "route": "/feed", "method": "GET", "path": "/feed", "http": "1.1", "transport": "tcp", "user_agent": "test/1.0",
		}
		begin := one(t, w, log, &seen)
		begin.has(t, both)
		begin.has(t, entry{"msg": "stream begins", "start": "new", "gap": nil, "from_id": nil, "reason": nil})
		rpc.count(1, 3)
		time.Sleep(2 * time.Second)
		id := c.Snapshot().LastEventID
		c.Close()
		end := one(t, w, log, &seen)
		end.has(t, both)
		end.has(t, entry{"msg": "stream ended", "reason": "gone", "events": 3.0, "seconds": 2.0, "last_id": "EPOCH-3"})
		least := 0
		for _, event := range c.Snapshot().Events {
			least += len(event.Raw)
		}
		if bytes, _ := end["bytes"].(float64); int(bytes) < least || int(bytes) > 2*least {
			t.Errorf("%v bytes were sent, of which %d are blocks", bytes, least)
		}

		again := w.listen("/feed?topic=secret", ssetest.Options{H2C: true, LastEventID: strings.TrimSuffix(id, "3") + "1"})
		one(t, w, log, &seen).has(t, entry{"msg": "stream begins", "start": "resumed", "from_id": "EPOCH-1", "http": "2"})
		rpc.end(status.Error(codes.NotFound, "closed"))
		_ = again.AwaitEnd()
		one(t, w, log, &seen).has(t, entry{"msg": "stream ended", "reason": "error", "events": 3.0, "last_id": "EPOCH-3~end"})

		lost := w.listen("/feed", ssetest.Options{LastEventID: "NOSUCHEPOCHNOSUCHEPOCHNOSU-5", H2C: true})
		other := w.rpc()
		other.accept()
		lost.AwaitStatus()
		one(t, w, log, &seen).has(t, entry{"start": "missed", "gap": "forgotten"})
		other.end(nil)
		_ = lost.AwaitEnd()
		one(t, w, log, &seen).has(t, entry{"reason": "end", "events": 1.0})
		if strings.Contains(log.String(), "secret") {
			t.Error("a query reached the log")
		}
	})
}

// Its client would reconnect with that id.
func TestTheLastIDOfACompleteStreamIsItsFinalID(t *testing.T) {
	for name, ids := range both {
		t.Run(name, func(t *testing.T) {
			log, seen := &logs{}, 0
			inWorldWith(t, feedRoute(ids), withAccess(log, bridge.AccessEnds), func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{})
				rpc := w.rpc()
				rpc.count(1, 3)
				rpc.end(nil)
				_ = c.AwaitEnd()
				id := c.Snapshot().LastEventID
				if got := one(t, w, log, &seen); got["last_id"] != id || !strings.HasSuffix(id, "~end") {
					t.Errorf("the client has %q, and the log %v", id, got)
				}
			})
		})
	}
}

// The client has sent that id, or stream-open has given it.
func TestTheLastIDOfAStreamWithoutEventsIsItsFirst(t *testing.T) {
	for name, ids := range both {
		t.Run(name, func(t *testing.T) {
			log, seen := &logs{}, 0
			inWorldWith(t, feedRoute(ids), withAccess(log, bridge.AccessEnds), func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{})
				w.rpc().accept()
				c.AwaitStatus()
				synctest.Wait()
				id := c.Snapshot().LastEventID
				c.Close()
				if got := one(t, w, log, &seen); got["last_id"] != id || id == "" {
					t.Errorf("the client has %q, and the log %v", id, got)
				}
			})
		})
	}
}

// Streams of a single event, such as stream-retry, have one line, too.
func TestARequestHasOneAccessLine(t *testing.T) {
	log, seen := &logs{}, 0
	inWorldWith(t, fewRoutes, withAccess(log, bridge.AccessAll), func(t *testing.T, w *world) {
		got := w.do(http.MethodGet, "/things/a?kinds.string_value=secret", "")
		one(t, w, log, &seen).has(t, entry{
			"msg": "request", "route": "/things/{name}", "path": "/things/a", "status": 200.0, "bytes": float64(len(got.Body)),
			"request_id": got.Header.Get("X-Request-ID"), "events": nil,
		})
		w.do(http.MethodGet, "/nowhere", "")
		one(t, w, log, &seen).has(t, entry{"msg": "request", "route": nil, "status": 404.0})
		w.do(http.MethodGet, "/feeds/a?limit=x", "")
		one(t, w, log, &seen).has(t, entry{"route": "/feeds/{topic}", "status": 400.0})
		w.do(http.MethodOptions, "/feeds/a", "")
		one(t, w, log, &seen).has(t, entry{"method": "OPTIONS", "status": 204.0})
		w.do(http.MethodGet, "/feeds/a", "", "Last-Event-ID", sse.FinalID(""))
		one(t, w, log, &seen).has(t, entry{"status": 204.0})
		ended := make(chan error, 1)
		go func() { ended <- w.Bridge.Drain(t.Context()) }()
		time.Sleep(time.Minute)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		late := w.listen("/feeds/a", ssetest.Options{H2C: true})
		expect(t, late, "open retry:drain")
		one(t, w, log, &seen).has(t, entry{"msg": "stream ended", "reason": "drain", "events": 0.0, "status": nil})
		if strings.Contains(log.String(), "secret") {
			t.Error("a query reached the log")
		}
	})
}

// Without the level Info there are none.
func TestTheAccessLevelSelectsLines(t *testing.T) {
	for name, test := range map[string]struct {
		access bridge.AccessLog
		level  slog.Level
		want   int
	}{
		"off": {bridge.AccessOff, slog.LevelInfo, 0}, "ends": {bridge.AccessEnds, slog.LevelInfo, 1},
		"all": {bridge.AccessAll, slog.LevelInfo, 2}, "warnings only": {bridge.AccessAll, slog.LevelWarn, 0},
	} {
		t.Run(name, func(t *testing.T) {
			log := &logs{}
			inWorldWith(t, feedRoute(""), func(o *bridge.Options) {
				o.Logger, o.AccessLog = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: test.level})), test.access
			}, func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{})
				w.rpc().end(nil)
				_ = c.AwaitEnd()
				synctest.Wait()
				if got := entries(t, log.String()); len(got) != test.want {
					t.Errorf("%d lines, want %d: %v", len(got), test.want, got)
				}
			})
		})
	}
}

// Whatever a client sends, a record is one line of bounded length, in printable ASCII.
func TestHostileRequestsCannotBreakALogLine(t *testing.T) {
	long := strings.Repeat("\xff", 60<<10)
	requests := []struct {
		target  string
		headers []string
	}{
		{"/feed?x=" + strings.Repeat("token", 100), nil},
		{"/feed/%0d%0a%7b%22msg%22:%22forged%22%7d%1b%5b2J%00%7f", nil},
		{"/" + strings.Repeat("%0a", 8000), nil},
		{"/feed", []string{"User-Agent", "a\tb\"} msg=forged \xff\xfe\u202e"}},
		{"/feed", []string{"User-Agent", long}},
		{"/feed", []string{"X-Request-Id", "a\" msg=forged"}},
		{"/feed", []string{"X-Request-Id", strings.Repeat("a", 65)}},
		{"/feed", []string{"X-Request-Id", long}},
		{"/feed", []string{"X-Forwarded-For", "forged\"\xff"}},
		{"/feed?last_event_id=" + strings.Repeat("%0a", 5000), nil},
		{"/feed", []string{"Last-Event-ID", "\xff\" msg=forged " + strings.Repeat("b", 3000)}},
		{"/feed?last_event_id=a%0alevel=ERROR%20msg=forged~end", nil},
	}
	printable := regexp.MustCompile(`^[ -~]+$`)
	handlers := map[string]func(io.Writer) slog.Handler{
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			log := &logs{}
			inWorldWith(t, "limits: {request_bytes: 64KiB}\n"+feedRoute("event: {id: cursor}"), func(o *bridge.Options) {
				o.Logger, o.AccessLog = slog.New(handler(log)), bridge.AccessAll
			}, func(t *testing.T, w *world) {
				w.Stage.watch = numbers(0, status.Error(codes.NotFound, "no such\nthing\x1b[2J"))
				for _, request := range requests {
					got := w.do(http.MethodGet, request.target, "", request.headers...)
					if id := got.Header.Get("X-Request-ID"); !regexp.MustCompile(`^[A-Z2-7]{16}$`).MatchString(id) {
						t.Errorf("the request's id is %q", id)
					}
				}
				synctest.Wait()
				lines := slices.Collect(strings.Lines(log.String()))
				if len(lines) < len(requests) {
					t.Errorf("%d lines for %d requests", len(lines), len(requests))
				}
				for _, line := range lines {
					line = strings.TrimSuffix(line, "\n")
					if !printable.MatchString(line) || len(line) > 2000 {
						t.Errorf("a line of %d bytes: %q", len(line), line[:min(len(line), 300)])
					}
					if regexp.MustCompile(`^[^"]*(msg=forged|level=ERROR)`).MatchString(line) || strings.Contains(line, `"msg":"forged"`) {
						t.Errorf("forged: %s", line)
					}
				}
				if name == "json" {
					entries(t, log.String())
				}
			})
		})
	}
}

// gate is a log that accepts nothing until it is opened.
type gate struct {
	logs

	mu sync.RWMutex // write-locked while the log is blocked
}

func (g *gate) Write(line []byte) (int, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.logs.Write(line)
}

// While the embedder's log accepts nothing, clients connect, are sent their events and leave, a
// lost upstream is reconnected, the configuration is reloaded, and the bridge drains. Close does
// not wait forever.
func TestAStalledLogBlocksNoClient(t *testing.T) {
	backend := backend(t)
	log := &gate{}
	log.mu.Lock()
	configuration := func(paths ...string) config.Config {
		var text strings.Builder
		fmt.Fprintf(&text, "upstreams:\n  app: {target: '%s'}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n", backend.Target())
		for _, path := range paths {
			fmt.Fprintf(&text, "  - {path: %s, rpc: %s, upstream: app, share: true, join: held, request: {set: {history: true}}}\n", path, watch)
		}
		return parse(t, text.String())
	}
	b, err := bridge.New(configuration("/feed"), bridge.Options{Logger: slog.New(slog.NewJSONHandler(log, nil)), AccessLog: bridge.AccessAll})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(b)
	server.Config.Protocols = protocols(true, true)
	server.Start()
	defer server.Close()
	backend.Feed.Publish(&testv1.FeedEvent{}, &testv1.FeedEvent{})
	for range 10 {
		for _, h2c := range []bool{false, true} {
			c := ssetest.Connect(t, server.URL+"/feed", ssetest.Options{H2C: h2c})
			c.AwaitMessages(2)
			c.Close()
		}
	}
	last := ssetest.Connect(t, server.URL+"/feed", ssetest.Options{})
	last.AwaitMessages(2)
	backend.Feed.Publish(&testv1.FeedEvent{})
	last.AwaitMessages(3)
	if err := b.Reload(configuration("/feed", "/more")); err != nil {
		t.Error(err)
	}
	ssetest.Connect(t, server.URL+"/more", ssetest.Options{}).AwaitMessages(3)
	if err := b.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	_ = last.AwaitEnd()
	if err := b.Close(); err == nil || !strings.Contains(err.Error(), "the log accepts no lines") {
		t.Errorf("closing with a stalled log: %v", err)
	}
	log.mu.Unlock()
}

func TestCloseWritesTheLinesInTheQueue(t *testing.T) {
	log := &logs{}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, feedRoute(""), withAccess(log, bridge.AccessAll))
		var clients []*ssetest.Client
		for range 20 {
			clients = append(clients, w.listen("/feed", ssetest.Options{H2C: true}))
		}
		w.rpc().accept()
		for _, c := range clients {
			c.AwaitStatus()
		}
		if err := w.Bridge.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		ends := 0
		for _, e := range entries(t, log.String()) {
			if e["msg"] == "stream ended" && e["reason"] == "drain" {
				ends++
			}
		}
		if ends != len(clients) {
			t.Errorf("the log has %d ends of streams, want %d", ends, len(clients))
		}
	})
}

// A safe id is answered, logged and forwarded; another one is replaced. The id does not affect
// which topic the request joins.
func TestRequestIDs(t *testing.T) {
	routes := "routes:\n  - {path: /feed, rpc: " + watch + ", upstream: app, share: false, request: {metadata: [x-request-id]}}\n" +
		"  - {path: /other, rpc: " + watch + ", upstream: app, share: false}\n"
	inWorld(t, routes, func(t *testing.T, w *world) {
		for _, test := range []struct{ path, sent, want string }{
			{"/feed", "0a1b-2c.d_e:f/g+h=i@j", "^0a1b-2c.d_e:f/g\\+h=i@j$"},
			{"/feed", "", "^[A-Z2-7]{16}$"},
			{"/feed", "two words", "^[A-Z2-7]{16}$"},
			{"/feed", "\xff", "^[A-Z2-7]{16}$"},
			{"/feed", strings.Repeat("x", 65), "^[A-Z2-7]{16}$"},
			{"/other", "seven", "^seven$"},
		} {
			var header http.Header
			if test.sent != "" {
				header = http.Header{"X-Request-Id": {test.sent}}
			}
			c := w.listen(test.path, ssetest.Options{Header: header})
			rpc := w.rpc()
			rpc.accept()
			c.AwaitStatus()
			answered := c.Snapshot().Header.Get("X-Request-ID")
			if !regexp.MustCompile(test.want).MatchString(answered) {
				t.Errorf("%q is answered with %q", test.sent, answered)
			}
			got := rpc.Metadata.Get("x-request-id")
			if test.path == "/other" && got != nil || test.path == "/feed" && !slices.Equal(got, []string{answered}) {
				t.Errorf("%s: the backend gets the id %q, and the client %q", test.path, got, answered)
			}
			c.Close()
		}
	})
}
