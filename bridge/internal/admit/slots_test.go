package admit

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/internal/address"
)

// addresses returns the clients' addresses. The last two share an address key.
func addresses() []netip.Addr {
	return []netip.Addr{
		{},
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8:0:1::1"),
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:1:2:3"),
	}
}

// It takes and returns random slots under random limits, and compares the counts with a list
// of the taken slots.
func TestSlotsAreCounted(t *testing.T) {
	type taken struct {
		addr netip.Addr
		conn string
	}
	rapid.Check(t, func(t *rapid.T) {
		var all slots
		most, perAddr := 0, 0
		var present []taken
		conns := []string{"", "192.0.2.1:1", "192.0.2.1:2"}
		here := func(addr netip.Addr) (n int) {
			for _, s := range present {
				if address.Key(s.addr) == address.Key(addr) {
					n++
				}
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"limit": func(t *rapid.T) {
				most, perAddr = rapid.IntRange(1, 8).Draw(t, "clients"), rapid.IntRange(0, 3).Draw(t, "clients per ip")
				all.limit(most, perAddr, false)
			},
			"take": func(t *rapid.T) {
				s := taken{rapid.SampledFrom(addresses()).Draw(t, "from"), rapid.SampledFrom(conns).Draw(t, "by")}
				err := all.take(peer.Client{Addr: s.addr}, s.conn)
				switch {
				case len(present) >= most:
					wantFull(t, err, LimitClients)
				case perAddr > 0 && here(s.addr) >= perAddr:
					wantFull(t, err, LimitClientsPerIP)
				case err != nil:
					t.Fatalf("a client besides %d others, %d of %s, is refused: %v", len(present), here(s.addr), s.addr, err)
				default:
					present = append(present, s)
				}
			},
			"leave": func(t *rapid.T) {
				if len(present) == 0 {
					t.Skip("there is no client")
				}
				i := rapid.IntRange(0, len(present)-1).Draw(t, "which")
				all.leave(peer.Client{Addr: present[i].addr}, present[i].conn)
				present = append(present[:i], present[i+1:]...)
			},
			"": func(t *rapid.T) {
				if got := all.count(); got != len(present) {
					t.Fatalf("%d clients are counted, want %d", got, len(present))
				}
				if len(all.takenByAddr) > len(present) {
					t.Fatalf("%d addresses are counted for %d clients", len(all.takenByAddr), len(present))
				}
				byConn := map[string]int{}
				for _, s := range present {
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

func wantFull(t interface {
	Fatalf(format string, args ...any)
}, err error, limit string,
) {
	if !IsFull(err) || LimitOf(err) != limit {
		t.Fatalf("got %v, want that %s is reached", err, limit)
	}
}

func TestConcurrentClientsNeverExceedALimit(t *testing.T) {
	const most, perAddr = 20, 6
	var all slots
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
				from := peer.Client{Addr: addresses()[rand.IntN(len(addresses()))]}
				if err := all.take(from, ""); err != nil {
					refused.Add(1)
					continue
				}
				here := inByAddr[address.Key(from.Addr)]
				if n, h := in.Add(1), here.Add(1); n > most || h > perAddr {
					t.Errorf("%d clients, %d of one address", n, h)
				}
				in.Add(-1)
				here.Add(-1)
				all.leave(from, "")
			}
		})
	}
	clients.Wait()
	if left := all.count(); left != 0 || len(all.takenByAddr) != 0 {
		t.Errorf("%d clients of %d addresses are still counted", left, len(all.takenByAddr))
	}
	t.Logf("%d of %d were refused", refused.Load(), 64*500)
	if refused.Load() == 0 {
		t.Error("no limit was reached")
	}
}
