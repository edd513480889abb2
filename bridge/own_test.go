package bridge

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// The defaults by address hold for addresses that are a client's own, so that an ingress that is not in
// trusted_proxies locks no client out; written limits hold for all.
func TestDefaultsByAddress(t *testing.T) {
	proxies := trust{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("198.51.100.7/32")}
	for _, test := range []struct {
		peer, forwarded string
		own             bool
	}{
		{"203.0.113.5:1", "", true},
		{"[2001:db8::1]:1", "", true},
		{"203.0.113.5:1", "192.0.2.1", true}, // it is not believed
		{"192.168.1.1:1", "", false},         // perhaps an ingress
		{"192.168.1.1:1", "203.0.113.5", false},
		{"127.0.0.1:1", "", false},
		{"100.64.1.1:1", "", false},
		{"[fd00::1]:1", "", false},
		{"[fe80::1]:1", "", false},
		{"10.1.2.3:1", "", false}, // a trusted proxy that names no client
		{"198.51.100.7:1", "", false},
		{"10.1.2.3:1", "203.0.113.5", true},
		{"10.1.2.3:1", "192.168.1.1", true}, // a client in the company's network
		{"10.1.2.3:1", "10.9.9.9", false},
		{"@", "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = test.peer
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := proxies.from(r).own; got != test.own {
			t.Errorf("from %s for %q: own %t", test.peer, test.forwarded, got)
		}
	}
	limits := config.Config{}.WithDefaults().Limits
	taken := func(written config.Limits, from client) (n int) {
		var s shedding
		s.limit(limits, written)
		for ; n < 2000; n++ {
			if _, err := s.seats.take(from, ""); err != nil {
				break
			}
		}
		return n
	}
	addr := netip.MustParseAddr("203.0.113.5")
	if n := taken(config.Limits{}, client{addr: addr, own: true}); n != 500 {
		t.Errorf("an address has %d places", n)
	}
	if n := taken(config.Limits{}, client{addr: addr}); n != 2000 {
		t.Errorf("what may be an ingress has %d places", n)
	}
	if n := taken(config.Limits{ClientsPerIP: limits.ClientsPerIP}, client{addr: addr}); n != 500 {
		t.Errorf("with a written limit there are %d places", n)
	}
}

// A peer of HTTP/2 that gives up what it begins has to slow down; other peers do not.
func TestAborts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a aborts
		from := func(conn string, c client) peerKey {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.ProtoMajor, r.RemoteAddr = 2, conn
			return peerKeyOf(r.WithContext(context.WithValue(r.Context(), clientKey{}, c)))
		}
		allowed := func(peer peerKey) (n int) {
			for ; n < 1000 && a.allows(peer); n++ {
				a.count(peer)
			}
			return n
		}
		want := func(what string, got, want int) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %d requests are given up before the peer is held back, want %d", what, got, want)
			}
		}
		private, public := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("203.0.113.5")
		want("a connection", allowed(from("10.0.0.1:1", client{addr: private})), abortsBurst)
		want("the same", allowed(from("10.0.0.1:1", client{addr: private})), 0)
		want("another connection of an address that may be an ingress", allowed(from("10.0.0.1:2", client{addr: private})), abortsBurst)
		want("a client's own address", allowed(from("203.0.113.5:1", client{addr: public, own: true})), abortsBurst)
		want("another connection of it", allowed(from("203.0.113.5:2", client{addr: public, own: true})), 0)
		want("a client that a trusted proxy names", allowed(from("10.0.0.2:1", client{addr: public.Next(), own: true, proxy: true})), abortsBurst)
		want("a trusted proxy that names no client", allowed(from("10.0.0.2:1", client{addr: private.Next(), proxy: true})), 1000)
		time.Sleep(time.Second)
		want("a second later", allowed(from("10.0.0.1:1", client{addr: private})), abortsPerSecond)
		time.Sleep(time.Minute)
		want("a minute later", allowed(from("10.0.0.1:1", client{addr: private})), abortsBurst)
	})
}

// A trusted proxy has many clients on one connection of HTTP/2. One that gives up what it begins costs the others nothing.
func TestAbortsOfAProxiedClientAreItsOwn(t *testing.T) {
	var a aborts
	proxies := trust{netip.MustParsePrefix("10.0.0.0/8")}
	from := func(client string) peerKey {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.ProtoMajor, r.RemoteAddr = 2, "10.0.0.1:1"
		r.Header.Set("X-Forwarded-For", client)
		return peerKeyOf(r.WithContext(context.WithValue(r.Context(), clientKey{}, proxies.from(r))))
	}
	for range 2 * abortsBurst {
		a.count(from("203.0.113.5"))
	}
	if a.allows(from("203.0.113.5")) {
		t.Error("a client that resets all that it begins may go on")
	}
	if !a.allows(from("203.0.113.6")) {
		t.Error("another client of the same proxy is held back")
	}
}

// A unary call whose time is up while its answer waits for a processor is DEADLINE_EXCEEDED, and no unknown failure.
func TestACallThatWaitsForAProcessorKeepsItsTimeout(t *testing.T) {
	e := &endpoint{bridge: &Bridge{rendering: newRenderings()}, upstream: &backend{}}
	for range cap(e.bridge.rendering.free) {
		e.bridge.rendering.free <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := e.render(ctx, nil, make([]byte, largeRendering)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

// The id in the query is read as the rest of the query is, and at no cost to speak of: several steps of a request look for it, before its
// size bounds how many processors it may use.
func TestTheIDInTheQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                                  "",
		"last_event_id=7":                   "7",
		"lastEventId=7":                     "7",
		"x=1&last_event_id=a%20b+c&y":       "a b c",
		"last_event_id=a;b":                 "a;b",
		"last%5Fevent_id=7":                 "7",
		"last_event_id=&lastEventId=8":      "8",
		"lastEventId=8&last_event_id=7":     "7",
		"last_event_id=%zz":                 "",
		"last_event_id2=7&xlast_event_id=8": "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+query, http.NoBody)
		if got := lastEventID(r); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
		r.Header.Set("Last-Event-ID", "9")
		if got := lastEventID(r); got != "9" {
			t.Errorf("%s: %q in place of the header's", query, got)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/?"+strings.Repeat("a&", 30_000), http.NoBody)
	if allocs := testing.AllocsPerRun(10, func() { lastEventID(r) }); allocs > 2 {
		t.Errorf("%v allocations", allocs)
	}
}
