package listen

import (
	"container/list"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/internal/address"
)

// WaitLimits bound the connections that wait for a request.
type WaitLimits struct {
	// PerIP is how many one address may have (limits.idle_per_ip); 0 is no limit. OwnOnly
	// limits addresses only that are a client's own.
	PerIP   int
	OwnOnly bool
	// Total is how many there may be in all; 0 is no limit.
	Total int
}

const (
	// ripe is how long a connection has waited at least that is closed for others. Until
	// then it may be shaking hands, or its request's head may be on its way.
	ripe = time.Second
	// crowded is from how many waiting connections of one address on they are ripe after
	// crowdRipe: no browser opens so many.
	crowded   = 16
	crowdRipe = 100 * time.Millisecond
)

// waiters are the connections over which no request is under way: they shake hands, send
// a request's head, or are idle between two requests; one of HTTP/2 has no stream. Such a
// connection holds a descriptor and memory, and is counted in no other limit.
//
// Where there are too many, it is always one of those that is closed, and never a
// newcomer: a client opens another when it has a request. Of the address that has most,
// the one goes that has waited longest. So a peer that holds connections takes room from
// itself alone.
type waiters struct {
	logger *slog.Logger

	mu     sync.Mutex
	limits WaitLimits
	conns  map[*Conn]*waiter         // also those with a request under way
	peers  map[netip.Addr]*list.List // of *waiter that wait, by the address's key, the longest first
	total  int                       // of those that wait
	told   time.Time                 // when the log told of connections that were closed

	closedPerIP, closedForRoom atomic.Uint64
}

// waiter is a connection.
type waiter struct {
	conn   *Conn
	served net.Conn      // what net/http serves: conn, or TLS over it; nil: it does not yet
	http2  bool          // that is spoken
	since  time.Time     // it waits
	place  *list.Element // nil while a request is under way
	told   time.Time     // its client has heard that it is about to be closed; zero: it has not
}

// origin is where a connection comes from.
type origin struct {
	key   netip.Addr // invalid: a unix socket
	own   bool       // it is the address of a client, not perhaps that of a proxy
	proxy bool       // a trusted proxy, whose connections no limit by address is for
}

func newWaiters(logger *slog.Logger) *waiters {
	return &waiters{logger: logger, conns: map[*Conn]*waiter{}, peers: map[netip.Addr]*list.List{}}
}

// limit sets the bounds. Connections beyond them are closed when others come.
func (w *waiters) limit(limits WaitLimits) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits = limits
}

// begin takes in a connection that has been accepted.
func (w *waiters) begin(conn *Conn) {
	w.mu.Lock()
	c := &waiter{conn: conn}
	w.conns[conn] = c
	over := w.enter(c)
	w.mu.Unlock()
	w.close(over, &w.closedPerIP)
}

// state notes that a connection waits, does not, or is none of http.Server's any more.
func (w *waiters) state(conn *Conn, served net.Conn, state http.ConnState) {
	w.mu.Lock()
	c := w.conns[conn]
	var over []*Conn
	switch {
	case c == nil: // it has been closed here, or is not counted
	case state == http.StateNew:
		c.served = served
	case state == http.StateActive:
		c.http2 = conn.http2
		w.leave(c)
	case state == http.StateIdle:
		w.leave(c)
		over = w.enter(c)
	case state == http.StateClosed, state == http.StateHijacked:
		w.forget(c)
	}
	w.mu.Unlock()
	w.close(over, &w.closedPerIP)
}

// enter lets a connection wait, and returns those that are to be closed for it.
func (w *waiters) enter(c *waiter) (over []*Conn) {
	peer := w.peers[c.conn.from.key]
	if peer == nil {
		peer = list.New()
		w.peers[c.conn.from.key] = peer
	}
	c.since = time.Now()
	c.place = peer.PushBack(c)
	w.total++
	if most := w.limits.PerIP; most > 0 && !c.conn.from.proxy && (c.conn.from.own || !w.limits.OwnOnly) {
		for peer.Len() > most {
			over = append(over, w.take(peer))
		}
	}
	if excess := w.total - w.limits.Total; w.limits.Total > 0 && excess > 0 {
		// Two for one, since none may have been ripe when others came.
		over = append(over, w.ripest(min(excess, 2))...)
	}
	return over
}

// leave ends a connection's waiting.
func (w *waiters) leave(c *waiter) {
	if c.place == nil {
		return
	}
	peer := w.peers[c.conn.from.key]
	peer.Remove(c.place)
	c.place = nil
	w.total--
	if peer.Len() == 0 {
		delete(w.peers, c.conn.from.key)
	}
}

func (w *waiters) forget(c *waiter) {
	w.leave(c)
	delete(w.conns, c.conn)
}

// take forgets the connection of a peer that has waited longest.
func (w *waiters) take(peer *list.List) *Conn {
	c, _ := peer.Front().Value.(*waiter) // nothing else is in it
	w.forget(c)
	return c.conn
}

// relieve closes some of the connections that have waited, and returns how many.
func (w *waiters) relieve(most int) int {
	w.mu.Lock()
	closed := w.ripest(most)
	w.mu.Unlock()
	w.close(closed, &w.closedForRoom)
	return len(closed)
}

// ripest forgets up to so many connections that have waited, those of the address first
// that has most.
func (w *waiters) ripest(most int) (conns []*Conn) {
	now := time.Now()
	for len(conns) < most {
		peer := w.largest(now)
		if peer == nil {
			break
		}
		// Half of them, so that one look at all addresses is good for many connections.
		age := ripeAfter(peer)
		for n := max(peer.Len()/2, 1); n > 0 && len(conns) < most && waitsFor(peer, now) >= age; n-- {
			conns = append(conns, w.take(peer))
		}
	}
	return conns
}

// largest returns the address that has most of those connections that may be closed.
func (w *waiters) largest(now time.Time) (largest *list.List) {
	for _, peer := range w.peers {
		if (largest == nil || peer.Len() > largest.Len()) && waitsFor(peer, now) >= ripeAfter(peer) {
			largest = peer
		}
	}
	return largest
}

// ripeAfter is how long the connections of an address have waited that may be closed.
func ripeAfter(peer *list.List) time.Duration {
	if peer.Len() >= crowded {
		return crowdRipe
	}
	return ripe
}

// waitsFor is how long the oldest connection of an address has waited.
func waitsFor(peer *list.List, now time.Time) time.Duration {
	c, ok := peer.Front().Value.(*waiter)
	if !ok {
		return 0 // nothing else is in it
	}
	return now.Sub(c.since)
}

// close closes connections that have been forgotten. Their servers see it.
func (w *waiters) close(conns []*Conn, count *atomic.Uint64) {
	if len(conns) == 0 {
		return
	}
	for _, conn := range conns {
		_ = conn.Close() // nothing is to be written
	}
	count.Add(uint64(len(conns)))
	w.mu.Lock()
	now := time.Now()
	tell := now.Sub(w.told) >= tellIdleAgain
	if tell {
		w.told = now
	}
	waits := w.total
	w.mu.Unlock()
	if tell {
		w.logger.Warn("connections without a request are closed for others: one address has more than limits.idle_per_ip, or there is no room",
			"closed", len(conns), "waiting", waits, "peer", conns[0].RemoteAddr().String())
	}
}

// tellIdleAgain is how often the log tells that connections are closed which wait.
const tellIdleAgain = time.Minute

// ConnState is for the http.Servers that serve the listener, also behind TLS.
func (l *Proxied) ConnState(conn net.Conn, state http.ConnState) {
	c := connOf(conn)
	if c == nil {
		return // of another listener
	}
	if secured, ok := conn.(*tls.Conn); ok && state == http.StateActive {
		c.agree(secured)
	}
	l.waiting.state(c, conn, state)
}

// origin is where a connection comes from, by its proxy's header if there was one.
func (l *Proxied) origin(conn net.Conn, header netip.AddrPort) origin {
	addr := header.Addr()
	if !addr.IsValid() {
		tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok {
			return origin{proxy: true}
		}
		addr = tcp.AddrPort().Addr()
	}
	addr = addr.Unmap().WithZone("")
	trusted := l.includes(addr)
	return origin{address.Key(addr), !trusted && (header.IsValid() || address.Public(addr)), trusted}
}

// LimitWaiting sets how many connections may wait for a request.
func (l *Proxied) LimitWaiting(limits WaitLimits) { l.waiting.limit(limits) }

// Waiting returns how many connections wait for a request, and how many have been closed
// since their address had too many, or to make room for others.
func (l *Proxied) Waiting() (waits int, closedPerIP, closedForRoom uint64) {
	l.waiting.mu.Lock()
	defer l.waiting.mu.Unlock()
	return l.waiting.total, l.waiting.closedPerIP.Load(), l.waiting.closedForRoom.Load()
}
