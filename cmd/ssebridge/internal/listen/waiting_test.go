package listen

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// piped is a connection in memory, and the other end of it.
func piped(t *testing.T, from origin) (conn *Conn, peer net.Conn) {
	t.Helper()
	one, peer := net.Pipe()
	conn = newConn(one, netip.AddrPort{}, from, func(origin) time.Duration { return 0 })
	t.Cleanup(func() { _, _ = conn.Close(), peer.Close() }) // some have been closed
	return conn, peer
}

// isClosed reports whether the other end of a connection has been closed.
func isClosed(t *testing.T, peer net.Conn) bool {
	t.Helper()
	if err := peer.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true
	}
	_, err := peer.Read(make([]byte, 1))
	return err == io.EOF //nolint:errorlint // net.Pipe's own
}

var (
	attacker = origin{key: netip.MustParseAddr("203.0.113.1"), own: true}
	page     = origin{key: netip.MustParseAddr("203.0.113.2"), own: true}
	ingress  = origin{key: netip.MustParseAddr("10.0.0.1")}
	proxyOf  = origin{key: netip.MustParseAddr("10.0.0.2"), own: true, proxy: true}
)

// TestIdlePerIP: beyond the limit of an address that of its connections goes which has waited longest.
func TestIdlePerIP(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits WaitLimits
		from   origin
		bound  bool
	}{
		{"the default, a client's own address", WaitLimits{PerIP: 3, OwnOnly: true}, attacker, true},
		{"the default, an address that may be an ingress", WaitLimits{PerIP: 3, OwnOnly: true}, ingress, false},
		{"a written limit, an address that may be an ingress", WaitLimits{PerIP: 3}, ingress, true},
		{"a written limit, a trusted proxy", WaitLimits{PerIP: 3}, proxyOf, false},
		{"no limit", WaitLimits{OwnOnly: true}, attacker, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWaiters(slog.New(slog.DiscardHandler))
				w.limit(test.limits)
				var conns []*Conn
				var peers []net.Conn
				for range 5 {
					conn, peer := piped(t, test.from)
					w.begin(conn)
					conns, peers = append(conns, conn), append(peers, peer)
					if len(conns) == 1 {
						w.state(conn, conn, http.StateActive) // a request comes
					}
				}
				// Those that wait are the last four.
				for i, peer := range peers {
					if got, want := isClosed(t, peer), test.bound && i == 1; got != want {
						t.Errorf("connection %d is closed: %t", i, got)
					}
				}
				w.state(conns[0], conns[0], http.StateIdle) // and it waits as the others do
				if got := isClosed(t, peers[2]); got != test.bound {
					t.Errorf("the one that has waited longest is closed: %t", got)
				}
				for _, conn := range conns {
					w.state(conn, conn, http.StateClosed)
				}
				if len(w.conns) > 0 || len(w.peers) > 0 || w.total != 0 {
					t.Errorf("%d connections, %d addresses and a total of %d are left", len(w.conns), len(w.peers), w.total)
				}
			})
		})
	}
}

// Where there is no room, the address makes it that has most of the connections that wait, and none is closed whose
// request may be on its way.
func TestWaitingConnectionsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiters(slog.New(slog.DiscardHandler))
		var floods, pages []net.Conn
		add := func(number int, from origin, peers *[]net.Conn) {
			for range number {
				conn, peer := piped(t, from)
				w.begin(conn)
				*peers = append(*peers, peer)
			}
		}
		closed := func(peers []net.Conn) (n int) {
			for _, peer := range peers {
				if isClosed(t, peer) {
					n++
				}
			}
			return n
		}
		want := func(what string, got, want int) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %d, want %d", what, got, want)
			}
		}
		add(6, page, &pages)
		time.Sleep(10 * ripe)
		add(100, attacker, &floods)
		want("none of the attacker's has waited: the page makes room", w.relieve(1), 1)
		want("the page's", closed(pages), 1)
		time.Sleep(crowdRipe)
		want("the crowd makes room", w.relieve(16), 16)
		want("the page's", closed(pages), 1)
		want("the oldest of the crowd", closed(floods[:16]), 16)
		time.Sleep(ripe)
		want("all that wait", w.relieve(1000), 100-16+5)
		add(50, attacker, &floods)
		want("none has waited for long enough", w.relieve(16), 0)
	})
}

// TestWaitingInAll: the number of all that wait is bounded, too.
func TestWaitingInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiters(slog.New(slog.DiscardHandler))
		w.limit(WaitLimits{Total: 10})
		for i := range 100 {
			conn, _ := piped(t, origin{key: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), own: true})
			w.begin(conn)
			time.Sleep(ripe)
		}
		if w.total != 10 || len(w.conns) != 10 {
			t.Errorf("%d connections wait, and %d are kept", w.total, len(w.conns))
		}
	})
}

// A crowd that comes at once exceeds the bound, since any of it may be about to ask for something. Later newcomers bring the
// number back.
func TestWaitingInAllAfterACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiters(slog.New(slog.DiscardHandler))
		w.limit(WaitLimits{Total: 10})
		begin := func(number, from int) {
			for i := range number {
				conn, _ := piped(t, origin{key: netip.AddrFrom4([4]byte{203, 0, 113, byte(from + i)}), own: true})
				w.begin(conn)
			}
		}
		begin(12, 0)
		if w.total != 12 {
			t.Errorf("%d of the crowd wait", w.total)
		}
		time.Sleep(ripe)
		begin(5, 100)
		if w.total != 10 {
			t.Errorf("%d connections wait", w.total)
		}
	})
}
