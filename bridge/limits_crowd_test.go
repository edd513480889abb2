package bridge_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// eventually polls a condition that notifies of no change.
func eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	each := time.NewTicker(time.Millisecond)
	defer each.Stop()
	for end := time.Now().Add(time.Minute); !done(); <-each.C {
		if time.Now().After(end) {
			tb.Errorf("a minute has passed without %s", what)
			return
		}
	}
}

// from returns a transport whose connections come from an address of this machine.
func from(tb testing.TB, addr string, h2 bool) *http.Transport {
	tb.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	transport := &http.Transport{DialContext: dialer.DialContext, Protocols: protocols(!h2, h2), DisableCompression: true}
	tb.Cleanup(transport.CloseIdleConnections)
	return transport
}

// rush is a number of clients that want to listen, with fewer slots than clients.
type rush struct {
	tb    testing.TB
	g     *gateway
	slots int64
	in    atomic.Int64
	shed  atomic.Int64
	// toServe is the number of clients that have not been served yet.
	toServe atomic.Int64
	// leave makes all clients leave. It is closed when all have been served.
	leave chan struct{}
}

// come runs a client until it has been served.
func (c *rush) come(ctx context.Context, transport http.RoundTripper, id string) {
	for !c.try(ctx, transport, id) {
		c.shed.Add(1)
		eventually(c.tb, "a slot", func() bool {
			select {
			case c.leave <- struct{}{}:
			default:
			}
			return c.g.Bridge.TakenSlots() < int(c.slots)
		})
	}
}

// try reports whether a client got a slot. It kept the slot until it was asked to leave.
func (c *rush) try(ctx context.Context, transport http.RoundTripper, id string) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.g.URL+"/feed", http.NoBody)
	if err != nil {
		c.tb.Error(err)
		return true
	}
	request.Header.Set("Last-Event-ID", id)
	response, err := transport.RoundTrip(request)
	if err != nil {
		c.tb.Error(err)
		return true
	}
	defer func() { _ = response.Body.Close() }()
	var got strings.Builder
	first := make([]byte, 1)
	// The client's id is unknown, so the first block of its stream is a gap.
	for !strings.Contains(got.String(), "stream-gap") {
		if _, err = io.ReadFull(response.Body, first); err != nil {
			break
		}
		got.Write(first)
	}
	if err != nil {
		wantShed(c.tb, reply{response.StatusCode, response.Header, got.String()}, id)
		if err != io.EOF { //nolint:errorlint // exactly so
			c.tb.Errorf("the answer of a client that was shed ended with %v", err)
		}
		return false
	}
	if n := c.in.Add(1); n > c.slots {
		c.tb.Errorf("%d clients listen", n)
	}
	if n := c.g.Bridge.TakenSlots(); n > int(c.slots) {
		c.tb.Errorf("%d clients are counted", n)
	}
	if c.toServe.Add(-1) == 0 {
		close(c.leave) // all clients have been served
	}
	<-c.leave
	c.in.Add(-1)
	return true
}

// glance is a client that leaves as soon as it has connected, or sooner.
func (c *rush) glance(ctx context.Context, transport http.RoundTripper) {
	ctx, cancel := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.g.URL+"/feed", http.NoBody)
	if err != nil {
		c.tb.Error(err)
		cancel()
		return
	}
	if rand.IntN(2) == 0 {
		go cancel()
	}
	response, err := transport.RoundTrip(request)
	cancel()
	if err == nil {
		_ = response.Body.Close()
	}
}

// 200 clients share 50 slots, served by the shard, over clear HTTP/2, or both. There are never more
// than 50 at once, each is served in the end, a shed client gets the right bytes, and no slot is
// lost.
func TestClientsComeAndGoAtTheLimit(t *testing.T) {
	const clients, slots = 200, 50
	for name, h2s := range map[string][]bool{"HTTP/1.1": {false}, "h2c": {true}, "both": {false, true}} {
		t.Run(name, func(t *testing.T) {
			b := backend(t)
			g := startWith(t, parse(t, "upstreams: {app: {target: '"+b.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\n"+
				limited("clients: "+strconv.Itoa(slots), "")), bridge.Options{})
			c := &rush{tb: t, g: g, slots: slots, leave: make(chan struct{})}
			c.toServe.Store(clients)
			transports := map[bool]*http.Transport{}
			for _, h2 := range h2s {
				transports[h2] = from(t, "127.0.0.1", h2)
			}
			var all sync.WaitGroup
			for i := range clients {
				transport := transports[h2s[i%len(h2s)]]
				all.Go(func() {
					c.glance(t.Context(), transport)
					c.come(t.Context(), transport, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-"+strconv.Itoa(i))
				})
			}
			all.Wait()
			eventually(t, "the last slot", func() bool { return g.Bridge.TakenSlots() == 0 })
			t.Logf("%d clients at %d slots were asked to reconnect %d times", clients, slots, c.shed.Load())
			if c.shed.Load() == 0 {
				t.Error("no client was shed, so the test shows nothing")
			}
		})
	}
}

// They count over all transports. A proxy that is missing in trusted_proxies is logged once.
func TestEachAddressHasItsOwnSlots(t *testing.T) {
	b := backend(t)
	g := startWith(t, parse(t, "upstreams: {app: {target: '"+b.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\n"+
		limited("clients_per_ip: 2", "open_grace: 0s")), bridge.Options{})
	for i := range 4 {
		addr := "127.0.0." + strconv.Itoa(i+2)
		one, two := from(t, addr, false), from(t, addr, true)
		first := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{Transport: one})
		second := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{Transport: two})
		first.AwaitEvents(1)
		second.AwaitEvents(1)
		third := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{
			Transport: one, LastEventID: "ABCDEFGHIJKLMNOPQRSTUVWXYZ-5", Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}},
		})
		if end := third.AwaitEnd(); end != io.EOF || story(third.Snapshot()) != "open retry:shed" { //nolint:errorlint // exactly so
			t.Errorf("the third saw %s, %v", story(third.Snapshot()), end)
		}
		eventually(t, "the line about the proxy", func() bool { return strings.Count(g.Log.String(), "X-Forwarded-For") == 1 })
		if i%2 == 0 {
			first.Close()
		} else {
			second.Close()
		}
		eventually(t, "the place", func() bool { return g.Bridge.TakenSlots() == 2*i+1 })
		third.Reconnect()
		third.Await("a stream", func(s ssetest.Snapshot) bool { return s.Connections == 2 && s.Gaps == 1 })
	}
	if !strings.Contains(g.Log.String(), "count as one\" limit=limits.clients_per_ip address=127.0.0.2\n") {
		t.Errorf("the proxy's address is not named:\n%s", g.Log)
	}
}

// IPv6 addresses count by their /64.
func TestClientsOfATrustedProxyHaveTheirOwnSlots(t *testing.T) {
	b := backend(t)
	g := startWith(t, parse(t, "upstreams: {app: {target: '"+b.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\ntrusted_proxies: [127.0.0.0/8]\n"+
		limited("clients_per_ip: 1", "open_grace: 0s")), bridge.Options{})
	proxy := from(t, "127.0.0.9", false)
	comes := func(forwarded, want string) {
		t.Helper()
		c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{Transport: proxy, Header: http.Header{"X-Forwarded-For": {forwarded}}})
		c.Await(want, func(s ssetest.Snapshot) bool { return story(s) == want })
	}
	comes("203.0.113.7", "open")
	comes("203.0.113.7", "open retry:shed")
	comes("203.0.113.8, 203.0.113.7, 127.0.0.3", "open retry:shed") // the client forged the first entry
	comes("203.0.113.8", "open")
	comes("2001:db8::1", "open")
	comes("2001:db8::2", "open retry:shed")
	comes("2001:db8:0:1::1", "open")
	eventually(t, "the line that names the address", func() bool {
		return strings.Contains(g.Log.String(), "limit is reached\" limit=limits.clients_per_ip clients=1 address=203.0.113.7\n")
	})
	if n := strings.Count(g.Log.String(), "limit is reached"); n != 1 {
		t.Errorf("%d lines say that the limit is reached:\n%s", n, g.Log)
	}
	if strings.Contains(g.Log.String(), "X-Forwarded-For") {
		t.Errorf("the log names a trusted proxy:\n%s", g.Log)
	}

	// No proxy is trusted any more: from now on all of the proxy's new clients count as one.
	if err := g.Bridge.Reload(parse(t, "upstreams: {app: {target: '"+b.Target()+"'}}\ndrain: {delay: 0s, grace: 0s}\n"+
		limited("clients_per_ip: 1", "open_grace: 0s"))); err != nil {
		t.Fatal(err)
	}
	comes("203.0.113.9", "open")
	comes("203.0.113.10", "open retry:shed")
	eventually(t, "the line about the proxy", func() bool { return strings.Count(g.Log.String(), "address=127.0.0.9") == 1 })
}

// They have connections like others.
func TestClientsThatWaitForTheSchemaAreCounted(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // accepts connections and sends nothing
	g := startWith(t, parse(t, "upstreams: {app: {target: '"+listener.Addr().String()+"', open_timeout: 1m}}\ndrain: {delay: 0s, grace: 0s}\n"+
		limited("clients: 1", "methods: [GET, POST]")), bridge.Options{})
	waits := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	eventually(t, "the first client", func() bool { return g.Bridge.TakenSlots() == 1 })
	wantShed(t, do(t, http.MethodGet, g.URL+"/feed", ""), "~0")
	wantShedStatus(t, do(t, http.MethodGet, g.URL+"/feed", "", "Prefer", "status"))
	// The method may be unary, and then 200 would mean success.
	wantShedStatus(t, do(t, http.MethodPost, g.URL+"/feed", "{}", "Content-Type", "application/json"))
	wantShed(t, do(t, http.MethodPost, g.URL+"/feed", "{}", "Content-Type", "application/json", "Accept", "text/event-stream"), "~0")
	waits.Close()
	eventually(t, "its slot", func() bool { return g.Bridge.TakenSlots() == 0 })
}
