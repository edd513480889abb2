package admit

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/peer"
)

func TestDefaultLimitsByAddressApplyToAClientsOwnAddress(t *testing.T) {
	limits := config.Config{}.WithDefaults().Limits
	taken := func(written config.Limits, from peer.Client) (n int) {
		g := NewGate(slog.New(slog.DiscardHandler))
		g.SetLimits(limits, written)
		for ; n < 2000 && g.streams.take(from, "") == nil; n++ {
		}
		return n
	}
	addr := netip.MustParseAddr("203.0.113.5")
	if n := taken(config.Limits{}, peer.Client{Addr: addr, Own: true}); n != 500 {
		t.Errorf("a client's own address gets %d slots", n)
	}
	if n := taken(config.Limits{}, peer.Client{Addr: addr}); n != 2000 {
		t.Errorf("an address that may be an ingress gets %d slots", n)
	}
	if n := taken(config.Limits{ClientsPerIP: limits.ClientsPerIP}, peer.Client{Addr: addr}); n != 500 {
		t.Errorf("with a limit in the file an address gets %d slots", n)
	}
}

// permitOf returns the permit of an HTTP/2 request.
func permitOf(g *Gate, conn string, from peer.Client) *Permit {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.ProtoMajor, r.RemoteAddr = 2, conn
	return g.Enter(peer.With(r, from), NewPresence())
}

func TestAnHTTP2PeerThatAbortsRequestsIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(slog.New(slog.DiscardHandler))
		allowed := func(conn string, from peer.Client) (n int) {
			for ; n < 1000; n++ {
				p := permitOf(g, conn, from)
				if p.MayOpen(0) != nil {
					break
				}
				p.GaveUp(true)
				p.Release()
			}
			return n
		}
		want := func(what string, got, want int) {
			t.Helper()
			if got != want {
				t.Errorf("%s: the peer aborts %d requests before it is limited, want %d", what, got, want)
			}
		}
		private, public := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("203.0.113.5")
		want("a connection", allowed("10.0.0.1:1", peer.Client{Addr: private}), abortsBurst)
		want("the same connection", allowed("10.0.0.1:1", peer.Client{Addr: private}), 0)
		want("another connection of an address that may be an ingress", allowed("10.0.0.1:2", peer.Client{Addr: private}), abortsBurst)
		want("a client's own address", allowed("203.0.113.5:1", peer.Client{Addr: public, Own: true}), abortsBurst)
		want("another connection of a client's own address", allowed("203.0.113.5:2", peer.Client{Addr: public, Own: true}), 0)
		want("a client that a trusted proxy names", allowed("10.0.0.2:1", peer.Client{Addr: public.Next(), Own: true, Proxy: true}), abortsBurst)
		want("a trusted proxy that names no client", allowed("10.0.0.2:1", peer.Client{Addr: private.Next(), Proxy: true}), 1000)
		time.Sleep(time.Second)
		want("a second later", allowed("10.0.0.1:1", peer.Client{Addr: private}), abortsPerSecond)
		time.Sleep(time.Minute)
		want("a minute later", allowed("10.0.0.1:1", peer.Client{Addr: private}), abortsBurst)
	})
}

// A trusted proxy has many clients on one HTTP/2 connection.
func TestAbortsOfAProxiedClientDoNotLimitOthers(t *testing.T) {
	g := NewGate(slog.New(slog.DiscardHandler))
	from := func(client string) *Permit {
		return permitOf(g, "10.0.0.1:1", peer.Client{Addr: netip.MustParseAddr(client), Own: true, Proxy: true})
	}
	for range 2 * abortsBurst {
		from("203.0.113.5").GaveUp(false)
	}
	if from("203.0.113.5").MayOpen(0) == nil {
		t.Error("a client that aborts all of its requests is not limited")
	}
	if err := from("203.0.113.6").MayOpen(0); err != nil {
		t.Errorf("another client of the same proxy is limited: %v", err)
	}
}

func TestAPermitReturnsAllSlotsAndMemory(t *testing.T) {
	cfg := config.Config{}.WithDefaults()
	for _, streams := range []bool{false, true} {
		g, presence := NewGate(slog.New(slog.DiscardHandler)), NewPresence()
		g.SetLimits(cfg.Limits, config.Limits{})
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		p := g.Enter(r, presence)
		for _, err := range []error{p.TakeCallSlot(), p.TakeStreamSlot(), p.Request().Grow(1 << 20), p.Keep(1 << 20), p.MayOpen(1 << 20)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if requests, _ := g.PendingBytes(); g.Clients() != 1 || requests != 2*(1<<20-freeBytes) {
			t.Fatalf("%d clients, %d bytes are counted", g.Clients(), requests)
		}
		if streams {
			p.Streaming()
			if requests, _ := g.PendingBytes(); g.Clients() != 1 || g.calls.count() != 0 || requests != 1<<20-freeBytes {
				t.Errorf("during the stream, %d clients, %d calls, %d bytes are counted", g.Clients(), g.calls.count(), requests)
			}
			p.Ended(true)
		} else {
			p.Release()
		}
		if requests, _ := g.PendingBytes(); g.Clients() != 0 || g.calls.count() != 0 || requests != 0 {
			t.Errorf("after the release, %d clients, %d calls, %d bytes are counted", g.Clients(), g.calls.count(), requests)
		}
		presence.Retire()
		select {
		case <-presence.Gone():
		default:
			t.Error("the route still counts a request")
		}
		if g.Enter(r, presence) != nil {
			t.Error("a retired route admits a request")
		}
	}
}
