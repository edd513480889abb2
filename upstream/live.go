package upstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrIdle is what an RPC ends with after Stream.GiveUp. Its status is CANCELLED.
var ErrIdle = status.Error(codes.Canceled, "the RPC was idle for too long")

// ErrSilent is wrapped by the end of an RPC that was not accepted within
// Params.OpenTimeout, on a connection that does not answer.
var ErrSilent = errors.New("the backend does not answer")

// pingFrame is an HTTP/2 PING (RFC 9113, section 6.7). grpc-go ignores answers to
// PINGs that it did not send.
const pingFrame = "\x00\x00\x08\x06\x00\x00\x00\x00\x00ssebridg"

// maxLook is how long a connection is not looked at.
const maxLook = time.Second

// liveConn finds out whether a connection's server is alive. It knows when the
// server last said something, and it can send a PING between grpc-go's frames.
//
// grpc-go's own keepalive pings no more often than every 10 s, cannot be asked
// for a single PING, and does not say that one is unanswered.
type liveConn struct {
	net.Conn

	raw   net.Conn // below TLS, whose Close waits for the peer
	began time.Time
	read  atomic.Int64 // when the server last said something, since began
	mute  atomic.Bool  // connection.mute, for Read
	heard func()       // called when a mute server says something
	dead  atomic.Bool  // closed for an unanswered PING
	// blamed is set when a frame shows which RPC breaks the connection, and leaving
	// when the server has announced that it ends it, and no RPC is the reason.
	blamed, leaving atomic.Bool
	// ended is called once, before the RPCs of the transport end: with what reading
	// has ended with, or with nil when grpc-go closes the transport.
	ended func(err error)
	once  sync.Once

	timer  *time.Timer   // the next look; guarded by pool.mu
	next   time.Time     // when that is; guarded by pool.mu
	every  time.Duration // pool.pingEvery when the connection began; guarded by pool.mu
	pinged time.Time     // when a PING was sent that has no answer yet; guarded by pool.mu
	last   time.Time     // when a PING was last sent; guarded by pool.mu
	idly   bool          // that PING was sent without RPCs; guarded by pool.mu

	mu     sync.Mutex // held while something is written
	left   int        // bytes of what is being written: the preface or a frame
	header [frameHeaderLen]byte
	have   int  // bytes of header
	due    bool // a PING is to follow
}

func newLiveConn(conn, raw net.Conn) *liveConn {
	return &liveConn{Conn: conn, raw: raw, began: time.Now(), left: clientPrefaceLen}
}

// lastRead is when the server last said something.
func (c *liveConn) lastRead() time.Time { return c.began.Add(time.Duration(c.read.Load())) }

// refused is why HTTP/2 did not begin. A connection that this side closes after a
// while was taken by a server that says nothing.
func (c *liveConn) refused(err error) error {
	if errors.Is(err, net.ErrClosed) && time.Since(c.began) >= time.Second {
		return fmt.Errorf("%w: it took the connection and said nothing for %v", ErrSilent, time.Since(c.began).Round(time.Millisecond))
	}
	return err
}

// Read notes that the server is alive.
func (c *liveConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.read.Store(int64(time.Since(c.began)))
		if c.mute.Load() {
			c.heard()
		}
	}
	if err != nil && c.dead.Load() {
		err = ErrSilent
	}
	if err != nil {
		c.once.Do(func() { c.ended(err) })
	}
	return n, err
}

// Close closes the transport.
func (c *liveConn) Close() error {
	c.once.Do(func() { c.ended(nil) })
	return c.Conn.Close()
}

// Write writes grpc-go's bytes, and a PING behind a whole frame if one is due.
func (c *liveConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.Conn.Write(p)
	c.follow(p[:n])
	if err == nil {
		err = c.pingLocked()
	}
	return n, err
}

// ping sends a PING as soon as the frame that is being written is whole. It may
// block as long as the connection takes nothing.
func (c *liveConn) ping() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due = true
	return c.pingLocked()
}

func (c *liveConn) pingLocked() error {
	if !c.due || c.left > 0 || c.have > 0 {
		return nil
	}
	c.due = false
	_, err := c.Conn.Write([]byte(pingFrame))
	return err
}

// follow keeps track of where frames end.
func (c *liveConn) follow(p []byte) {
	for len(p) > 0 {
		if c.left > 0 {
			n := min(c.left, len(p))
			c.left -= n
			p = p[n:]
			continue
		}
		n := copy(c.header[c.have:], p)
		p = p[n:]
		if c.have += n; c.have == frameHeaderLen {
			c.have, c.left = 0, payloadLen(c.header[:])
		}
	}
}

// tooManyPings recognises the GOAWAY of a server that does not want to be pinged
// so often (gRFC A8).
func tooManyPings(goAway []byte) bool {
	return farewellCode(goAway) == http2.ErrCodeEnhanceYourCalm && string(goAway[goAwayLen:]) == "too_many_pings"
}

// goAwayLen is the length of a GOAWAY's payload without debug data: the last stream
// and the code (RFC 9113, section 6.8).
const goAwayLen = 8

// farewellCode is the code in a GOAWAY's payload.
func farewellCode(goAway []byte) http2.ErrCode {
	if len(goAway) < goAwayLen {
		return http2.ErrCodeProtocol
	}
	return http2.ErrCode(binary.BigEndian.Uint32(goAway[4:]))
}

// live notes a connection whose server has begun to speak.
func (p *pool) live(c *connection, l *liveConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.live == l || p.closed {
		return
	}
	c.forgetLocked()
	c.live = l
	l.every = p.pingEvery
	l.next = time.Now().Add(maxLook)
	l.timer = time.AfterFunc(maxLook, func() { p.look(c, l) })
}

// forgetLocked stops looking at a connection's transport.
func (c *connection) forgetLocked() {
	if c.live != nil {
		c.live.timer.Stop()
	}
	c.live, c.mute = nil, false
}

// forget is forgetLocked for a connection that this side closes.
func (p *pool) forget(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.closing = true
	c.forgetLocked()
}

// heard notes that a mute server has said something.
func (p *pool) heard(c *connection, l *liveConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.mute.Store(false)
	if c.live != l || !c.mute {
		return
	}
	c.mute, l.pinged = false, time.Time{}
	p.log(c.endpoint).Info("the backend answers again")
	p.signalLocked()
}

// muteLocked has a connection take no RPCs until its server says something.
func (p *pool) muteLocked(c *connection) {
	if c.mute {
		return
	}
	c.mute = true
	c.live.mute.Store(true)
	p.signalLocked()
}

// look finds out whether the server of a connection is alive, and says when to
// look again.
func (p *pool) look(c *connection, l *liveConn) {
	p.mu.Lock()
	if c.live != l || p.closed {
		p.mu.Unlock()
		return
	}
	now := time.Now()
	if l.lastRead().After(l.pinged) {
		l.pinged = time.Time{}
	}
	dead, ping := p.overdueLocked(c, l, now), false
	if !dead {
		ping = p.doubtfulLocked(c, l, now)
	}
	if ping {
		l.pinged, l.last, l.idly = now, now, !p.busy(c)
	}
	given := p.unanswered(c, l, now)
	if len(given) > 0 {
		p.muteLocked(c)
	}
	l.next = p.nextLook(c, l, now)
	l.timer.Reset(max(time.Until(l.next), time.Millisecond))
	p.mu.Unlock()

	for _, s := range given {
		s.silent.Store(true)
		s.cancel()
	}
	switch {
	case dead:
		p.log(c.endpoint).Warn("the backend does not answer a PING: connecting again", "timeout", p.params.Ping.Timeout)
		l.dead.Store(true)
		_ = l.raw.Close() // the transport reads the reason
	case len(given) > 0:
		p.log(c.endpoint).Warn("the backend accepts no RPC and does not answer a PING: it gets no more RPCs until it answers", "rpcs", len(given))
	}
	if ping {
		_ = l.ping() // a connection that fails to write fails to read, too
	}
}

// overdueLocked reports whether Params.Ping says that the connection is dead.
func (p *pool) overdueLocked(c *connection, l *liveConn, now time.Time) bool {
	return p.params.Ping != nil && p.asks(c) && !l.pinged.IsZero() && now.Sub(l.pinged) >= p.params.Ping.Timeout
}

// busy reports whether the connection has RPCs.
func (p *pool) busy(c *connection) bool { return c.active > 0 || p.params.Health != nil }

// asks reports whether Params.Ping has the connection asked by PINGs. Without RPCs
// it is asked too, so that the next RPC does not find out that the backend hangs,
// unless the backend refuses that.
func (p *pool) asks(c *connection) bool { return p.busy(c) || !p.onlyBusy }

// doubtfulLocked reports whether a PING is to be sent.
func (p *pool) doubtfulLocked(c *connection, l *liveConn, now time.Time) bool {
	if !l.pinged.IsZero() {
		return false
	}
	if p.params.Ping != nil {
		return p.asks(c) && now.Sub(l.lastRead()) >= p.pingEvery
	}
	if !l.mayPing(now) {
		return false
	}
	for _, since := range c.opening {
		if now.Sub(since) >= p.params.OpenTimeout/2 && l.lastRead().Before(since) {
			return true
		}
	}
	return false
}

// mayPing reports whether any server tolerates a PING now: see minPingInterval.
func (c *liveConn) mayPing(now time.Time) bool {
	return c.last.IsZero() || now.Sub(c.last) >= minPingInterval
}

// unanswered are the RPCs that were not accepted in time while the server has not
// even answered a PING.
func (p *pool) unanswered(c *connection, l *liveConn, now time.Time) (given []*Stream) {
	if l.pinged.IsZero() || now.Sub(l.pinged) < p.params.OpenTimeout/4 {
		return nil
	}
	for s, since := range c.opening {
		if now.Sub(since) >= p.params.OpenTimeout && l.lastRead().Before(since) {
			given = append(given, s)
			delete(c.opening, s)
		}
	}
	return given
}

// nextLook is when the connection is to be looked at again.
func (p *pool) nextLook(c *connection, l *liveConn, now time.Time) time.Time {
	next := now.Add(maxLook)
	sooner := func(t time.Time) {
		if t.After(now) && t.Before(next) {
			next = t
		}
	}
	if ping := p.params.Ping; ping != nil {
		sooner(l.lastRead().Add(p.pingEvery))
		sooner(now.Add(p.pingEvery)) // an answer may come meanwhile
		if !l.pinged.IsZero() {
			sooner(l.pinged.Add(ping.Timeout))
		}
	}
	if !l.pinged.IsZero() {
		sooner(l.pinged.Add(p.params.OpenTimeout / 4))
	}
	for _, since := range c.opening {
		sooner(since.Add(p.params.OpenTimeout / 2))
		sooner(since.Add(p.params.OpenTimeout))
	}
	return next
}

// lookBy has a connection looked at by a certain time. A look goes through all RPCs
// that are not accepted, so there is none for each RPC that is opened.
func (c *connection) lookBy(at time.Time) {
	if l := c.live; l != nil && at.Before(l.next) {
		l.next = at
		l.timer.Reset(max(time.Until(at), 0))
	}
}

// doubt has a connection take no RPCs until its server says something, if it can
// be asked: one of its RPCs was idle for too long. Else the address of a server
// that hangs would be the one with the fewest RPCs, and get them all. It does not wait
// for the PING: a connection that takes nothing would hold the caller up.
func (p *pool) doubt(c *connection) {
	p.mu.Lock()
	l, now := c.live, time.Now()
	if l == nil || p.closed || !c.ready || c.mute || p.params.Ping == nil && !l.mayPing(now) || !l.pinged.IsZero() && l.lastRead().Before(l.pinged) {
		p.mu.Unlock()
		return
	}
	l.pinged, l.last = now, now
	p.muteLocked(c)
	p.wg.Go(func() { _ = l.ping() }) // a connection that fails to write fails to read, too
	p.mu.Unlock()
}

// longestPing bounds how much less often a backend is pinged that refuses PINGs.
const longestPing = time.Hour

// calm has the backend pinged half as often as it was on the connection that it has
// refused: many connections that it refuses at once are one step. If it refuses PINGs
// without RPCs, as most servers do by default, only connections with RPCs are pinged
// from now on.
func (p *pool) calm(c *connection, l *liveConn) {
	p.mu.Lock()
	idly := l.idly
	if idly {
		p.onlyBusy = true
	} else {
		p.pingEvery = max(p.pingEvery, min(2*l.every, longestPing))
	}
	every := p.pingEvery
	p.mu.Unlock()
	switch {
	case p.params.Ping == nil:
	case idly:
		p.log(c.endpoint).Warn("the backend refuses PINGs on connections without RPCs and has closed one (too_many_pings), " +
			"so that the next RPC finds out if it hangs: have its keepalive enforcement permit PINGs without calls")
	default:
		p.log(c.endpoint).Warn("the backend refuses PINGs this often and has closed the connection (too_many_pings): "+
			"set ping.every to what its keepalive enforcement permits", "next", every)
	}
}

// GiveUp ends the RPC with ErrIdle, since the backend has said nothing for too
// long, and has its connection take no RPCs until the backend says something.
func (s *Stream) GiveUp() {
	s.idle.Store(true)
	if s.slot.pool != nil {
		s.slot.pool.doubt(s.slot.connection)
	}
	s.cancel()
}

// errSilentRPC is the end of an RPC that was given up for ErrSilent.
func (s *Stream) errSilentRPC() error {
	u := s.upstream
	return &rpcError{
		status: status.Newf(codes.Unavailable, "upstream %s: no RPC was accepted within %v, and the backend does not answer",
			u.params.Name, u.params.OpenTimeout),
		cause: ErrSilent,
	}
}

// lostOpeningLocked gives up the RPCs that are not accepted OpenTimeout after
// their connection was lost: grpc-go may be opening them anew, for as long as the
// address is away.
func (p *pool) lostOpeningLocked(c *connection) {
	if len(c.opening) == 0 || p.closed {
		return
	}
	lost := time.Now()
	time.AfterFunc(p.params.OpenTimeout, func() {
		p.mu.Lock()
		var given []*Stream
		for s, since := range c.opening {
			if !c.ready && !since.After(lost) {
				given = append(given, s)
				delete(c.opening, s)
			}
		}
		p.mu.Unlock()
		for _, s := range given {
			s.silent.Store(true)
			s.cancel()
		}
	})
}
