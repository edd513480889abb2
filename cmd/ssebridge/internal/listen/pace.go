package listen

import (
	"context"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/ssebridge/ssebridge/internal/address"
)

// PaceLimits bound how often one address may come.
type PaceLimits struct {
	// Connects is how many connections a second it may open (limits.connects_per_ip), and
	// Requests how many requests it may send (limits.requests_per_ip), each after
	// [address.Burst] times as many at once; 0 is no limit. The OwnOnly of each limits
	// addresses only that are a client's own.
	Connects, Requests               int
	ConnectsOwnOnly, RequestsOwnOnly bool
}

const (
	// longestHeld is how long a connection, or a request, is held back for its address at
	// most. A connection that would have to wait longer is closed then: one that is closed at
	// once comes back at once. Of a request the rest of its wait is forgotten.
	longestHeld = 2 * time.Second
	// mostHeld is how many connections are held to be closed, since they take descriptors:
	// this many, and an eighth of those that there are at most. Others are closed at once.
	mostHeld = 4096
)

// paces hold back addresses that open connections, or send requests, more often than they
// may: their connections wait unread, and TCP holds the peer back. An answer that refuses
// would cost the bridge more, and a peer that is refused comes back at once.
type paces struct {
	connects, requests pace

	closing atomic.Int64 // connections that are held to be closed
}

// pace is one of the limits.
type pace struct {
	name    string // of the limit
	logger  *slog.Logger
	rates   address.Rates
	ownOnly atomic.Bool
	held    atomic.Uint64
	told    rate.Sometimes
}

func newPaces(logger *slog.Logger) *paces {
	p := &paces{}
	for name, one := range map[string]*pace{"limits.connects_per_ip": &p.connects, "limits.requests_per_ip": &p.requests} {
		one.name, one.logger, one.told = name, logger, rate.Sometimes{First: 1, Interval: time.Minute}
	}
	return p
}

func (p *paces) limit(limits PaceLimits) {
	p.connects.rates.Limit(limits.Connects)
	p.connects.ownOnly.Store(limits.ConnectsOwnOnly)
	p.requests.rates.Limit(limits.Requests)
	p.requests.ownOnly.Store(limits.RequestsOwnOnly)
}

// covers reports whether the limit is for peers from there.
func (p *pace) covers(from origin) bool { return !from.proxy && (from.own || !p.ownOnly.Load()) }

// reserve returns how long to hold a peer back for what counts so many times; not ok: longer
// than may be.
func (p *pace) reserve(from origin, times int) (wait time.Duration, ok bool) {
	if !p.covers(from) {
		return 0, true
	}
	if wait, ok = p.rates.Reserve(from.key, times, longestHeld); !ok {
		wait = longestHeld
	}
	if wait > 0 {
		p.held.Add(1)
		p.told.Do(func() {
			p.logger.Warn("an address comes more often than it may, and waits: a limit is reached", "limit", p.name, "address", from.key.String())
		})
	}
	return wait, ok
}

// LimitPace sets how often one address may come.
func (l *Proxied) LimitPace(limits PaceLimits) { l.paces.limit(limits) }

// Held returns how many connections, and how many requests, have had to wait since their
// address came too often. Connections that were closed for it are among them.
func (l *Proxied) Held() (connects, requests uint64) {
	return l.paces.connects.held.Load(), l.paces.requests.held.Load()
}

// pause returns how long an HTTP/2 connection is not to be read: until its address may send
// requests again.
func (p *paces) pause(from origin) time.Duration {
	if !p.requests.covers(from) {
		return 0
	}
	return p.requests.rates.Debt(from.key)
}

// pace holds a request back whose address sends them too often. One of HTTP/2 is served,
// since others are under way on its connection, which is not read for a while (see Conn). A
// record of TLS may bring hundreds of requests at once, though, and so may a crowd of
// connections: those for which the address would have to wait too long are held as well.
func (l *Proxied) pace(r *http.Request) {
	from, known := r.Context().Value(originKey{}).(origin)
	if !known {
		return
	}
	wait, ok := l.paces.requests.reserve(from, weight(r))
	hold := wait > 0 && (r.ProtoMajor == 1 || !ok)
	if hold && !l.wait(r.Context(), wait) && r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
}

// requestBytes is how many bytes of head and body count as a request.
const requestBytes = 8 << 10

// weight returns how many requests one counts as: what a request costs grows with its size.
// Of a body that does not say its length, the length is not known yet.
func weight(r *http.Request) int {
	size := max(0, r.ContentLength) + int64(len(r.RequestURI))
	for name, values := range r.Header {
		for _, value := range values {
			size += int64(len(name) + len(value))
		}
	}
	return 1 + int(min(size/requestBytes, math.MaxInt32))
}

// welcome hands a connection over when its address may open one.
func (l *Proxied) welcome(conn net.Conn, client netip.AddrPort) {
	from := l.origin(conn, client)
	wait, ok := l.paces.connects.reserve(from, 1)
	switch {
	case !ok:
		l.dismiss(conn)
	case wait == 0:
		l.hand(newConn(conn, client, from, l.paces.pause))
	default:
		l.all.Go(func() {
			l.wait(context.Background(), wait)
			l.hand(newConn(conn, client, from, l.paces.pause)) // or it is closed there
		})
	}
}

// dismiss closes a connection that will not be served, after a while.
func (l *Proxied) dismiss(conn net.Conn) {
	most := int64(mostHeld)
	if ceiling := l.ceiling.Load(); ceiling > 0 {
		most = min(most, ceiling/8)
	}
	if l.paces.closing.Add(1) > most {
		l.paces.closing.Add(-1)
		_ = conn.Close() // it has not been heard yet
		return
	}
	l.all.Go(func() {
		l.wait(context.Background(), longestHeld)
		l.paces.closing.Add(-1)
		_ = conn.Close() // as above
	})
}
