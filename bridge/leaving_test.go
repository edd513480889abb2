package bridge_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// page is a browser's page on a bridge that is embedded in a net/http server. Its streams share an HTTP/2 connection.
type page struct {
	t      *testing.T
	bridge *bridge.Bridge
	url    string
	web    *http.Transport
	dials  atomic.Int32
}

// onFramed runs a test over HTTP/2, in clear and by TLS, with a stream at a ledger of ten events.
func onFramed(t *testing.T, settings, keys string, play func(t *testing.T, p *page)) {
	t.Helper()
	for name, secure := range map[string]bool{"h2c": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			app, l := backend(t), newLedger()
			l.newest = 10
			app.OnWatch(l.watch)
			b, err := bridge.New(parse(t, "upstreams: {app: {target: '"+app.Target()+"'}}\n"+settings+"\n"+feedRoute("event: {id: seq}, resume: {field: after}"+keys)),
				bridge.Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewUnstartedServer(b)
			server.Config.Protocols = protocols(true, true)
			server.EnableHTTP2 = secure
			p := &page{t: t, bridge: b, web: &http.Transport{
				Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			}}
			p.web.Protocols.SetHTTP2(secure)
			p.web.Protocols.SetUnencryptedHTTP2(!secure)
			p.web.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				p.dials.Add(1)
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
			if secure {
				server.Config.Protocols.SetHTTP2(true)
				server.StartTLS()
			} else {
				server.Start()
			}
			p.url = server.URL + "/feed"
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				p.web.CloseIdleConnections()
				server.Close()
			})
			play(t, p)
		})
	}
}

// listen opens a stream at an event and waits for the further ones.
func (p *page) listen(after int) *ssetest.Client {
	p.t.Helper()
	c := ssetest.Connect(p.t, p.url, ssetest.Options{Transport: p.web, LastEventID: strconv.Itoa(after)})
	c.AwaitMessages(10 - after)
	return c
}

// askedFor waits until a client is asked to reconnect, and returns its reconnection time.
func (p *page) askedFor(c *ssetest.Client, reason string) time.Duration {
	p.t.Helper()
	c.Await("stream-retry", func(s ssetest.Snapshot) bool { return s.Ended != nil })
	seen := c.Snapshot()
	if last := seen.Events[len(seen.Events)-1]; last.Name != "stream-retry" || last.Data != `{"reason":"`+reason+`"}` || !errors.Is(seen.Ended, io.EOF) {
		p.t.Fatalf("want stream-retry %s and the end\n%s", reason, seen)
	}
	return seen.Retry
}

// expectDials checks how many connections the page has made.
func (p *page) expectDials(want int32) {
	p.t.Helper()
	if got := p.dials.Load(); got != want {
		p.t.Errorf("%d connections, want %d", got, want)
	}
}

// An embedded bridge cannot send GOAWAY for a running stream. The first client that reconnects by
// the old connection is answered with it, and reconnects at once by a new connection, for a
// balancer to choose a bridge. The page's other streams continue.
func TestAnEmbeddedBridgeSendsGOAWAYWhenAClientReconnects(t *testing.T) {
	onFramed(t, "drain: {delay: 0s, grace: 30s}", "", func(t *testing.T, p *page) {
		first, second := p.listen(5), p.listen(6)
		p.expectDials(1)
		ctx, cancel := context.WithCancel(context.Background())
		drained := make(chan error, 1)
		go func() { drained <- p.bridge.Drain(ctx) }()
		for first.Snapshot().Ended == nil && second.Snapshot().Ended == nil {
			time.Sleep(time.Millisecond)
		}
		if first.Snapshot().Ended == nil {
			first, second = second, first
		}
		if retry := p.askedFor(first, "drain"); retry > time.Second {
			t.Errorf("the first client is asked to reconnect after %v", retry)
		}
		first.Reconnect()
		if retry := p.askedFor(first, "drain"); retry > 200*time.Millisecond {
			t.Errorf("by the old connection it is asked to reconnect after %v", retry)
		}
		p.expectDials(1)
		first.Reconnect()
		// It reaches the same bridge by the new connection, so there is no other.
		if retry := p.askedFor(first, "drain"); retry < 25*time.Second || retry > 32*time.Second {
			t.Errorf("by a new connection it is asked to reconnect after %v", retry)
		}
		p.expectDials(2)
		if s := second.Snapshot(); s.Ended != nil {
			t.Errorf("the page's other stream has ended\n%s", s)
		}
		cancel()
		if err := <-drained; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// A new connection leads to no other bridge. So a client that reconnects by the old connection
// waits for the end of the drain like any other.
func TestALoneBridgeAsksForNoNewConnection(t *testing.T) {
	onFramed(t, "drain: {alone: true, delay: 0s, grace: 30s}", "", func(t *testing.T, p *page) {
		first, second := p.listen(5), p.listen(6)
		ctx, cancel := context.WithCancel(context.Background())
		drained := make(chan error, 1)
		go func() { drained <- p.bridge.Drain(ctx) }()
		for first.Snapshot().Ended == nil && second.Snapshot().Ended == nil {
			time.Sleep(time.Millisecond)
		}
		if first.Snapshot().Ended == nil {
			first = second
		}
		p.askedFor(first, "drain")
		first.Reconnect()
		if retry := p.askedFor(first, "drain"); retry < 20*time.Second {
			t.Errorf("by the old connection it is asked to reconnect after %v", retry)
		}
		p.expectDials(1)
		cancel()
		if err := <-drained; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// A balancer should choose its bridge, and balancers place connections.
func TestAfterMaxAgeAClientUsesANewConnection(t *testing.T) {
	onFramed(t, "drain: {delay: 0s, grace: 0s}", ", max_age: 500ms", func(t *testing.T, p *page) {
		c := p.listen(5)
		p.askedFor(c, "max_age")
		c.Reconnect()
		if retry := p.askedFor(c, "max_age"); retry > 200*time.Millisecond {
			t.Errorf("by the old connection it is asked to reconnect after %v", retry)
		}
		p.expectDials(1)
		c.Reconnect()
		c.Await("a stream by a new connection", func(s ssetest.Snapshot) bool {
			return s.Connections == 3 && len(s.Events) > 0 && s.Events[len(s.Events)-1].Name == "stream-open"
		})
		p.expectDials(2)
	})
}

// Another bridge may have a slot. The same holds for a page all of whose streams are shed, whatever the limit.
func TestAShedClientUsesANewConnection(t *testing.T) {
	for _, limit := range []string{"clients", "topics"} {
		t.Run(limit, func(t *testing.T) {
			onFramed(t, "limits: {"+limit+": 1}\ndrain: {delay: 0s, grace: 0s}", "", func(t *testing.T, p *page) {
				other := &http.Transport{Protocols: p.web.Protocols, TLSClientConfig: p.web.TLSClientConfig}
				t.Cleanup(other.CloseIdleConnections)
				ssetest.Connect(t, p.url, ssetest.Options{Transport: other, LastEventID: "5"}).AwaitMessages(5)
				for want := int32(1); want <= 2; want++ {
					c := ssetest.Connect(t, p.url, ssetest.Options{Transport: p.web})
					p.askedFor(c, "shed")
					p.expectDials(want)
				}
			})
		})
	}
}

// It may be that of a proxy, which would need a new one for each client that is shed.
func TestAConnectionWithOtherClientsIsKeptWhenOneIsShed(t *testing.T) {
	for _, limit := range []string{"clients", "topics"} {
		t.Run(limit, func(t *testing.T) {
			onFramed(t, "limits: {"+limit+": 1}\ndrain: {delay: 0s, grace: 0s}", "", func(t *testing.T, p *page) {
				stays := p.listen(5)
				for range 3 {
					p.askedFor(ssetest.Connect(t, p.url, ssetest.Options{Transport: p.web}), "shed")
				}
				p.expectDials(1)
				if s := stays.Snapshot(); s.Ended != nil {
					t.Errorf("the stream of the same connection has ended\n%s", s)
				}
				stays.Close()
				eventually(t, "the place", func() bool { return p.bridge.TakenSlots() == 0 })
				eventually(t, "a stream by the same connection", func() bool {
					c := ssetest.Connect(t, p.url, ssetest.Options{Transport: p.web, LastEventID: "5"})
					defer c.Close()
					c.Await("an answer", func(s ssetest.Snapshot) bool { return s.Ended != nil || len(s.Messages()) > 0 })
					return len(c.Snapshot().Messages()) > 0
				})
			})
		})
	}
}

// It is the only client of its connection.
func TestAShedHTTP1ClientUsesANewConnection(t *testing.T) {
	g := startWith(t, parse(t, "upstreams: {app: {target: '"+backend(t).Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\n"+
		limited("clients: 1", "open_grace: 0s")), bridge.Options{})
	stays := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	stays.AwaitEvents(1)
	for range 2 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/feed", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || !response.Close {
			t.Errorf("Connection: close %t, %v", response.Close, err)
		}
	}
}

// Each client of a lone bridge that drains reconnects to the same bridge. It then waits for the
// next process, and is not asked once more.
func TestAClientThatReconnectsDuringADrainWaitsForItsEnd(t *testing.T) {
	inWorld(t, "drain: {delay: 5s, grace: 20s}\n"+feedRoute("event: {id: seq}, resume: {field: after}, methods: [GET, POST]"), func(t *testing.T, w *world) {
		l := newLedger()
		w.Stage.watch = l.watch
		l.publish(1)
		stays := []*ssetest.Client{w.listen("/feed", ssetest.Options{}), w.listen("/feed", ssetest.Options{})}
		go func() { _ = w.Bridge.Drain(context.Background()) }()
		time.Sleep(9 * time.Second)
		for _, h2 := range []bool{false, true} {
			c := w.listen("/feed", ssetest.Options{LastEventID: "1", H2C: h2})
			expect(t, c, "open retry:drain")
			// 16 s of the drain are left. The client reconnects when the next process is expected.
			if retry := c.Snapshot().Retry; retry < 16500*time.Millisecond || retry > 17500*time.Millisecond {
				t.Errorf("HTTP/2 %t: asked to reconnect after %v", h2, retry)
			}
		}
		got := w.do(http.MethodGet, "/feed", "", "Prefer", "status")
		if after, _ := strconv.Atoi(got.Header.Get("Retry-After")); got.Status != http.StatusServiceUnavailable || after < 17 || after > 18 {
			t.Errorf("with Prefer: status it is answered %d, Retry-After %q", got.Status, got.Header.Get("Retry-After"))
		}
		// A request that is not a stream closes the connection, too.
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://bridge/nothing", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := w.http1.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusNotFound || !response.Close {
			t.Errorf("answered %d, Connection: close %t, %v", response.StatusCode, response.Close, err)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for _, c := range stays {
			endedWell(t, c)
		}
	})
}

// With drain.alone there is no other bridge: clients are asked once, all at the same time, to
// reconnect when this one has been restarted.
func TestALoneBridgeAsksItsClientsOnce(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		inWorld(t, "drain: {alone: true}\n"+feedRoute("event: {id: seq}, resume: {field: after}"), func(t *testing.T, w *world) {
			l := newLedger()
			w.Stage.watch = l.watch
			var all []*ssetest.Client
			for range 50 {
				all = append(all, w.listen("/feed", ssetest.Options{H2C: h2}))
			}
			began := time.Now()
			if err := w.Bridge.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("the drain took %v", took)
			}
			earliest, latest := time.Hour, time.Duration(0)
			for _, c := range all {
				endedWell(t, c)
				expect(t, c, "open retry:drain")
				earliest, latest = min(earliest, c.Snapshot().Retry), max(latest, c.Snapshot().Retry)
			}
			if earliest < 500*time.Millisecond || latest > 1500*time.Millisecond || latest-earliest < 300*time.Millisecond {
				t.Errorf("clients are asked to reconnect after %v to %v", earliest, latest)
			}
		})
	}
}

// It is called once.
func TestLeavingIsCalledBeforeClientsAreAsked(t *testing.T) {
	calls := 0
	var clients []*ssetest.Client
	inWorldWith(t, "drain: {delay: 1s, grace: 1s}\n"+feedRoute("event: {id: seq}, resume: {field: after}"), func(o *bridge.Options) {
		o.Leaving = func() {
			calls++
			synctest.Wait()
			for _, c := range clients {
				if s := c.Snapshot(); s.Ended != nil {
					t.Errorf("a client has been asked before\n%s", s)
				}
			}
		}
	}, func(t *testing.T, w *world) {
		w.Stage.watch = newLedger().watch
		clients = append(clients, w.listen("/feed", ssetest.Options{}))
		if err := w.Bridge.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if err := w.Bridge.Close(); err != nil {
			t.Error(err)
		}
	})
	if calls != 1 {
		t.Errorf("called %d times", calls)
	}
}

// A request that waits for an absent backend would otherwise wait until the process ends.
func TestRequestsThatWaitAreAnsweredWhenTheBridgeLeaves(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	absent := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for name, schema := range map[string]map[string]*protoregistry.Files{
		"for a schema": nil, "for a connection": {"app": protoregistry.GlobalFiles},
	} {
		t.Run(name, func(t *testing.T) {
			g := startWith(t, parse(t, "upstreams: {app: {target: '"+absent+"', open_timeout: 1m}}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n"+
				"  - {path: /feed, rpc: "+watch+", upstream: app, open_grace: 1m}\n"+
				"  - {path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app}\n"), bridge.Options{Descriptors: schema})
			answers := make(chan reply, 3)
			var asking sync.WaitGroup
			ask := func(path string, headers ...string) {
				asking.Go(func() { answers <- do(t, http.MethodGet, g.URL+path, "", headers...) })
			}
			ask("/feed", "Accept", "text/event-stream")
			ask("/feed", "Prefer", "status")
			want := 2
			if schema == nil { // else the call is running
				ask("/get", "Accept", "application/json")
				want = 3
			}
			time.Sleep(200 * time.Millisecond) // until the requests wait
			began := time.Now()
			if err := g.Bridge.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			asking.Wait()
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("answered after %v", took)
			}
			streams, statuses := 0, 0
			for range want {
				switch got := <-answers; {
				case got.Status == http.StatusOK && strings.Contains(got.Body, `event: stream-retry`+"\n"+`data: {"reason":"drain"}`):
					streams++
				case got.Status == http.StatusServiceUnavailable && strings.Contains(got.Body, "come back later: drain"):
					statuses++
				default:
					t.Errorf("answered %d %s", got.Status, got.Body)
				}
			}
			if streams != 1 || statuses != want-1 {
				t.Errorf("%d streams and %d statuses", streams, statuses)
			}
		})
	}
}
