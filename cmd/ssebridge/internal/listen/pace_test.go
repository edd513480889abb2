package listen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/internal/address"
)

// TestPaceByAddress: an address that comes too often waits, whichever of the limits it is.
func TestPaceByAddress(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits PaceLimits
		from   origin
		paced  bool
	}{
		{"the default, a client's own address", PaceLimits{Connects: 1, ConnectsOwnOnly: true, Requests: 1, RequestsOwnOnly: true}, attacker, true},
		{"the default, an address that may be an ingress", PaceLimits{Connects: 1, ConnectsOwnOnly: true, Requests: 1, RequestsOwnOnly: true}, ingress, false},
		{"a written limit, an address that may be an ingress", PaceLimits{Connects: 1, Requests: 1}, ingress, true},
		{"a written limit, a trusted proxy", PaceLimits{Connects: 1, Requests: 1}, proxyOf, false},
		{"no limit", PaceLimits{ConnectsOwnOnly: true, RequestsOwnOnly: true}, attacker, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPaces(slog.New(slog.DiscardHandler))
				p.limit(test.limits)
				for _, one := range []*pace{&p.connects, &p.requests} {
					for range address.Burst {
						if wait, ok := one.reserve(test.from, 1); wait > 0 || !ok {
							t.Fatalf("%s: the first ones wait %v, %t", one.name, wait, ok)
						}
					}
					wait, ok := one.reserve(test.from, 1)
					if paced := wait > 0; paced != test.paced || !ok {
						t.Errorf("%s: another one waits %v, %t", one.name, wait, ok)
					}
					if wait, ok := one.reserve(page, 1); wait > 0 || !ok {
						t.Errorf("%s: another address waits %v, %t", one.name, wait, ok)
					}
				}
			})
		})
	}
}

// TestConnectionsOfABusyAddressWait: beyond what comes at once, connections are served in
// their turn, those whose turn is far are closed, and other addresses notice nothing.
func TestConnectionsOfABusyAddressWait(t *testing.T) {
	proxied, log := behind(t, tcp(t), time.Minute, loopback, nil)
	proxied.LimitPace(PaceLimits{Connects: 1, ConnectsOwnOnly: true})
	header := proxyHeader(proxy, tcp4, addresses4, 0)
	for range address.Burst {
		get(t, dial(t, proxied), header)
	}
	type answer struct {
		after  time.Duration
		served bool
	}
	const more = 6
	answers, begun := make(chan answer, more), time.Now()
	for range more {
		conn := dial(t, proxied)
		go func() {
			_, _ = io.WriteString(conn, header+"GET / HTTP/1.1\r\nHost: x\r\n\r\n") // it may be closed by now
			_, err := bufio.NewReader(conn).ReadString('\n')
			answers <- answer{time.Since(begun), err == nil}
		}()
	}
	other := strings.Replace(header, "\xcb\x00\x71\x07", "\xcb\x00\x71\x08", 1)
	get(t, dial(t, proxied), other)
	get(t, dial(t, proxied), "") // of the proxy itself
	served := 0
	for range more {
		a := <-answers
		if !a.served && a.after < longestHeld {
			t.Errorf("a connection is closed after %v, and comes back at once", a.after)
		}
		if a.served {
			served++
			if least := time.Duration(served) * 900 * time.Millisecond; a.after < least {
				t.Errorf("the connection that is served as number %d is after %v", served, a.after)
			}
		}
	}
	if served < 1 || served == more {
		t.Errorf("%d of %d connections are served in their turn", served, more)
	}
	if connects, _ := proxied.Held(); connects != more {
		t.Errorf("%d connections are counted, want %d", connects, more)
	}
	if text := log.String(); strings.Count(text, "limits.connects_per_ip") != 1 || !strings.Contains(text, "203.0.113.7") {
		t.Errorf("the log says: %s", text)
	}
}

// TestRequestsOfABusyAddressWait: also those of another connection of that address.
func TestRequestsOfABusyAddressWait(t *testing.T) {
	proxied, _ := behind(t, tcp(t), time.Minute, loopback, nil)
	proxied.LimitPace(PaceLimits{Requests: 2})
	header := proxyHeader(proxy, tcp4, addresses4, 0)
	first, second := dial(t, proxied), dial(t, proxied)
	get(t, first, header)
	for range 2*address.Burst - 1 {
		get(t, first, "")
	}
	begun := time.Now()
	get(t, second, header)
	if took := time.Since(begun); took < 400*time.Millisecond {
		t.Errorf("a request beyond the limit is answered after %v", took)
	}
	get(t, dial(t, proxied), strings.Replace(header, "\xcb\x00\x71\x07", "\xcb\x00\x71\x08", 1))
	if _, requests := proxied.Held(); requests != 1 {
		t.Errorf("%d requests are counted", requests)
	}
}

// TestARequestCountsByItsSize: head and body count as a request for each 8 KiB that is begun.
func TestARequestCountsByItsSize(t *testing.T) {
	for _, test := range []struct {
		name, request string
		head          int // bytes of a cookie
		counts        int
	}{
		{"a page's", "GET / HTTP/1.1", 4 << 10, 1},
		{"a large head", "GET / HTTP/1.1", 50 << 10, 7},
		{"a large body", "POST / HTTP/1.1\r\nContent-Length: 65536", 0, 9},
		{"more than may come at once", "POST / HTTP/1.1\r\nContent-Length: 9000000000000000000", 0, 2 * address.Burst},
	} {
		t.Run(test.name, func(t *testing.T) {
			proxied, _ := behind(t, tcp(t), time.Minute, loopback, nil)
			proxied.LimitPace(PaceLimits{Requests: 2})
			header := proxyHeader(proxy, tcp4, addresses4, 0)
			conn := dial(t, proxied)
			if _, err := fmt.Fprintf(conn, "%s%s\r\nHost: x\r\nConnection: close\r\nCookie: %s\r\n\r\n", header, test.request, strings.Repeat("x", test.head)); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			for range 2*address.Burst - test.counts {
				get(t, dial(t, proxied), header)
			}
			if _, requests := proxied.Held(); requests != 0 {
				t.Fatalf("%d requests are held back within the limit", requests)
			}
			get(t, dial(t, proxied), header)
			if _, requests := proxied.Held(); requests != 1 {
				t.Errorf("%d requests are held back beyond the limit, want 1", requests)
			}
		})
	}
}

// TestConnectionsAreAcceptedWhileTheServerIsBusy: the kernel's queue is emptied though no
// server takes connections for a while. What no server has taken is closed.
func TestConnectionsAreAcceptedWhileTheServerIsBusy(t *testing.T) {
	proxied := NewProxied(ProxiedParams{Listener: tcp(t), Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	const clients = 50
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = dial(t, proxied)
	}
	for limit := time.Now().Add(10 * time.Second); len(proxied.ready) < clients; {
		if time.Now().After(limit) {
			t.Fatalf("%d of %d connections are accepted", len(proxied.ready), clients)
		}
		time.Sleep(time.Millisecond)
	}
	closing(t, proxied)
	for _, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("a connection that no server has taken: %v", err)
		}
	}
}

// TestConnectionsToBeClosedAreBounded: what is held only to be closed takes few of the
// descriptors.
func TestConnectionsToBeClosedAreBounded(t *testing.T) {
	proxied, _ := behind(t, tcp(t), time.Minute, nil, nil)
	proxied.LimitPace(PaceLimits{Connects: 1})
	proxied.Bound(1 << 10)
	for range address.Burst + int(longestHeld/time.Second) { // from now on none gets a turn
		dial(t, proxied)
	}
	const most, more = 1 << 10 / 8, 5
	begun := time.Now()
	conns := make([]net.Conn, most+more)
	for i := range conns {
		conns[i] = dial(t, proxied)
	}
	var atOnce atomic.Int64
	var all sync.WaitGroup
	for _, conn := range conns {
		if err := conn.SetReadDeadline(begun.Add(longestHeld / 2)); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
				atOnce.Add(1)
			}
		})
	}
	all.Wait()
	if n := atOnce.Load(); n < more || n > more+2 {
		t.Errorf("%d of %d connections are closed at once, want %d", n, len(conns), more)
	}
}
