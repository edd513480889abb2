package bridge

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/ssebridge/ssebridge/internal/address"
)

// addresses are the ones that clients have here: the last two share a rate-limit key.
func addresses() []netip.Addr {
	return []netip.Addr{
		{},
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8:0:1::1"),
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:1:2:3"),
	}
}

// TestSeatsAreCounted plays with seats, limits and seats with two holders, and compares with counting anew.
func TestSeatsAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all seats
		most, perAddr := 0, 0
		held := []*seat{} // one entry for each hold
		conns := []string{"", "192.0.2.1:1", "192.0.2.1:2"}
		count := func(addr netip.Addr) (clients, here int) {
			different := map[*seat]bool{}
			for _, s := range held {
				if !different[s] && s.addr == address.Key(addr) {
					here++
				}
				different[s] = true
			}
			return len(different), here
		}
		t.Repeat(map[string]func(*rapid.T){
			"limit": func(t *rapid.T) {
				most, perAddr = rapid.IntRange(1, 8).Draw(t, "clients"), rapid.IntRange(0, 3).Draw(t, "clients per ip")
				all.limit(most, perAddr, false)
			},
			"take": func(t *rapid.T) {
				addr := rapid.SampledFrom(addresses()).Draw(t, "from")
				clients, here := count(addr)
				s, err := all.take(client{addr: addr}, rapid.SampledFrom(conns).Draw(t, "by"))
				switch {
				case clients >= most:
					wantFull(t, err, limitClients)
				case perAddr > 0 && here >= perAddr:
					wantFull(t, err, limitClientsPerIP)
				case err != nil:
					t.Fatalf("%d clients, %d of %s, were too many: %v", clients, here, addr, err)
				default:
					held = append(held, s)
				}
			},
			"stay": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip("there is no client")
				}
				s := rapid.SampledFrom(held).Draw(t, "who")
				s.stay()
				held = append(held, s)
			},
			"leave": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip("there is no client")
				}
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				held[i].leave()
				held = append(held[:i], held[i+1:]...)
			},
			"": func(t *rapid.T) {
				clients, _ := count(netip.Addr{})
				if got := all.count(); got != clients {
					t.Fatalf("%d clients are counted, want %d", got, clients)
				}
				if len(all.takenByAddr) > clients {
					t.Fatalf("%d addresses are kept of %d clients", len(all.takenByAddr), clients)
				}
				byConn := map[string]int{}
				for s := range heldOnce(held) {
					byConn[s.conn]++
				}
				byConn[""] = 0 // HTTP/1
				for _, conn := range conns {
					if got := all.onConn(conn); got != byConn[conn] {
						t.Fatalf("%d clients are counted on %q, want %d", got, conn, byConn[conn])
					}
				}
			},
		})
	})
}

// heldOnce are the seats among holds.
func heldOnce(holds []*seat) map[*seat]bool {
	different := map[*seat]bool{}
	for _, s := range holds {
		different[s] = true
	}
	return different
}

func wantFull(t interface {
	Fatalf(format string, args ...any)
}, err error, limit string,
) {
	full := new(fullError)
	if !errors.As(err, &full) || full.limit != limit {
		t.Fatalf("got %v, want that %s is reached", err, limit)
	}
}

// TestSeatsUnderConcurrency: never one above, in all and for an address, and nothing left in the end.
func TestSeatsUnderConcurrency(t *testing.T) {
	const most, perAddr = 20, 6
	var all seats
	all.limit(most, perAddr, false)
	var in, refused atomic.Int64
	inByAddr := map[netip.Addr]*atomic.Int64{}
	for _, addr := range addresses() {
		inByAddr[address.Key(addr)] = new(atomic.Int64)
	}
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for range 500 {
				addr := addresses()[rand.IntN(len(addresses()))]
				s, err := all.take(client{addr: addr}, "")
				if err != nil {
					refused.Add(1)
					continue
				}
				here := inByAddr[address.Key(addr)]
				if n, h := in.Add(1), here.Add(1); n > most || h > perAddr {
					t.Errorf("%d clients, %d of one address", n, h)
				}
				s.stay()
				s.leave()
				in.Add(-1)
				here.Add(-1)
				s.leave()
			}
		})
	}
	clients.Wait()
	if left := all.count(); left != 0 || len(all.takenByAddr) != 0 {
		t.Errorf("%d clients are left, of %d addresses", left, len(all.takenByAddr))
	}
	t.Logf("%d of %d were refused", refused.Load(), 64*500)
}
