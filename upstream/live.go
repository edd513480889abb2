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

// ErrIdle ends an RPC after Stream.GiveUp. Its status is CANCELLED.
var ErrIdle = status.Error(codes.Canceled, "the RPC was idle for too long")

// ErrSilent is wrapped by the error of an RPC that was not accepted within Params.OpenTimeout, on a
// connection whose server does not answer.
var ErrSilent = errors.New("the backend does not answer")

// pingFrame is an HTTP/2 PING (RFC 9113, section 6.7). grpc-go ignores answers to PINGs that it did
// not send.
const pingFrame = "\x00\x00\x08\x06\x00\x00\x00\x00\x00ssebridg"

// checkEvery is the longest time between two checks of a connection.
const checkEvery = time.Second

// liveConn detects whether a connection's server is alive. It records when the server last sent
// something, and it can send a PING between grpc-go's frames.
//
// grpc-go's own keepalive pings at most every 10 s, cannot send a single PING on request, and does
// not report an unanswered one.
type liveConn struct {
	net.Conn

	raw         net.Conn // below TLS, whose Close waits for the peer
	connectedAt time.Time
	read        atomic.Int64 // when the server last sent something, since connectedAt
	mute        atomic.Bool  // a copy of connection.mute for Read
	unmute      func()       // called when a mute server sends something
	dead        atomic.Bool  // closed because of an unanswered PING
	// blamed is set when a frame shows which RPC breaks the connection, and leaving when the server
	// has announced that it closes the connection, for which no RPC is the reason.
	blamed, leaving atomic.Bool
	// onEnd is called once, before the transport's RPCs end: with the error of reading, or with nil
	// when grpc-go closes the transport.
	onEnd func(err error)
	once  sync.Once

	timer      *time.Timer   // fires at nextCheck; guarded by pool.mu
	nextCheck  time.Time     // guarded by pool.mu
	every      time.Duration // pool.pingEvery when the connection began; guarded by pool.mu
	pinged     time.Time     // when the unanswered PING was sent, if there is one; guarded by pool.mu
	last       time.Time     // when a PING was last sent; guarded by pool.mu
	pingedIdle bool          // the last PING was sent without RPCs; guarded by pool.mu

	mu     sync.Mutex // held during writes
	left   int        // unwritten bytes of the preface or of the current frame
	header [frameHeaderLen]byte
	have   int  // bytes of header
	due    bool // a PING is to be sent after the current frame
}

func newLiveConn(conn, raw net.Conn) *liveConn {
	return &liveConn{Conn: conn, raw: raw, connectedAt: time.Now(), left: clientPrefaceLen}
}

// lastRead returns when the server last sent something.
func (c *liveConn) lastRead() time.Time { return c.connectedAt.Add(time.Duration(c.read.Load())) }

// refused returns the reason why HTTP/2 did not begin. If this side closed the connection after a
// while, the server accepted it and sent nothing.
func (c *liveConn) refused(err error) error {
	if errors.Is(err, net.ErrClosed) && time.Since(c.connectedAt) >= time.Second {
		return fmt.Errorf("%w: it accepted the connection and sent nothing for %v", ErrSilent, time.Since(c.connectedAt).Round(time.Millisecond))
	}
	return err
}

// Read records that the server is alive.
func (c *liveConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.read.Store(int64(time.Since(c.connectedAt)))
		if c.mute.Load() {
			c.unmute()
		}
	}
	if err != nil && c.dead.Load() {
		err = ErrSilent
	}
	if err != nil {
		c.once.Do(func() { c.onEnd(err) })
	}
	return n, err
}

// Close closes the transport.
func (c *liveConn) Close() error {
	c.once.Do(func() { c.onEnd(nil) })
	return c.Conn.Close()
}

// Write writes grpc-go's bytes, and a PING after a whole frame if one is due.
func (c *liveConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.Conn.Write(p)
	c.trackFrames(p[:n])
	if err == nil {
		err = c.pingLocked()
	}
	return n, err
}

// ping sends a PING as soon as the current frame is complete. It may block while the connection
// accepts no bytes.
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

// trackFrames keeps track of the ends of frames.
func (c *liveConn) trackFrames(p []byte) {
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

// tooManyPings recognises the GOAWAY of a server that rejects such frequent pings (gRFC A8).
func tooManyPings(goAway []byte) bool {
	return goAwayCode(goAway) == http2.ErrCodeEnhanceYourCalm && string(goAway[goAwayLen:]) == "too_many_pings"
}

// goAwayLen is the length of a GOAWAY's payload without debug data: the last stream and the code
// (RFC 9113, section 6.8).
const goAwayLen = 8

// goAwayCode returns the error code in a GOAWAY's payload.
func goAwayCode(goAway []byte) http2.ErrCode {
	if len(goAway) < goAwayLen {
		return http2.ErrCodeProtocol
	}
	return http2.ErrCode(binary.BigEndian.Uint32(goAway[4:]))
}

// live records a transport whose server has begun to speak.
func (p *pool) live(c *connection, l *liveConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.live == l || p.closed {
		return
	}
	c.clearLiveLocked()
	c.live = l
	l.every = p.pingEvery
	l.nextCheck = time.Now().Add(checkEvery)
	l.timer = time.AfterFunc(checkEvery, func() { p.checkLive(c, l) })
}

// clearLiveLocked ends the checks of a connection's transport.
func (c *connection) clearLiveLocked() {
	if c.live != nil {
		c.live.timer.Stop()
	}
	c.live, c.mute = nil, false
}

// markClosing marks a connection that this side closes, and ends the checks of its transport.
func (p *pool) markClosing(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.closing = true
	c.clearLiveLocked()
}

// unmute gives RPCs to a connection again after its server has sent something.
func (p *pool) unmute(c *connection, l *liveConn) {
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

// muteLocked stops giving RPCs to a connection until its server sends something.
func (p *pool) muteLocked(c *connection) {
	if c.mute {
		return
	}
	c.mute = true
	c.live.mute.Store(true)
	p.signalLocked()
}

// checkLive checks whether a connection's server is alive, and schedules the next check.
func (p *pool) checkLive(c *connection, l *liveConn) {
	p.mu.Lock()
	if c.live != l || p.closed {
		p.mu.Unlock()
		return
	}
	now := time.Now()
	if l.lastRead().After(l.pinged) {
		l.pinged = time.Time{}
	}
	dead, ping := p.pingTimedOutLocked(c, l, now), false
	if !dead {
		ping = p.wantsPingLocked(c, l, now)
	}
	if ping {
		l.pinged, l.last, l.pingedIdle = now, now, !p.busy(c)
	}
	silent := p.takeUnanswered(c, l, now)
	if len(silent) > 0 {
		p.muteLocked(c)
	}
	l.nextCheck = p.nextCheck(c, l, now)
	l.timer.Reset(max(time.Until(l.nextCheck), time.Millisecond))
	p.mu.Unlock()

	for _, s := range silent {
		s.silent.Store(true)
		s.cancel()
	}
	switch {
	case dead:
		p.log(c.endpoint).Warn("the backend does not answer a PING: connecting again", "timeout", p.params.Ping.Timeout)
		l.dead.Store(true)
		_ = l.raw.Close() // grpc-go's transport gets the reason from Read
	case len(silent) > 0:
		p.log(c.endpoint).Warn("the backend accepts no RPC and does not answer a PING: it gets no more RPCs until it answers", "rpcs", len(silent))
	}
	if ping {
		_ = l.ping() // a connection whose writes fail also fails to read
	}
}

// pingTimedOutLocked reports whether Params.Ping declares the connection dead.
func (p *pool) pingTimedOutLocked(c *connection, l *liveConn, now time.Time) bool {
	return p.params.Ping != nil && p.pings(c) && !l.pinged.IsZero() && now.Sub(l.pinged) >= p.params.Ping.Timeout
}

// busy reports whether the connection has RPCs.
func (p *pool) busy(c *connection) bool { return c.active > 0 || p.params.Health != nil }

// pings reports whether Params.Ping applies to the connection. It applies even without RPCs, unless
// the backend refuses that: otherwise only the next RPC would find that the backend hangs.
func (p *pool) pings(c *connection) bool { return p.busy(c) || !p.onlyBusy }

// wantsPingLocked reports whether a PING is to be sent.
func (p *pool) wantsPingLocked(c *connection, l *liveConn, now time.Time) bool {
	if !l.pinged.IsZero() {
		return false
	}
	if p.params.Ping != nil {
		return p.pings(c) && now.Sub(l.lastRead()) >= p.pingEvery
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

// mayPing reports whether every server tolerates a PING now; see minPingInterval.
func (c *liveConn) mayPing(now time.Time) bool {
	return c.last.IsZero() || now.Sub(c.last) >= minPingInterval
}

// takeUnanswered removes and returns the RPCs that were not accepted in time while their server did
// not even answer a PING.
func (p *pool) takeUnanswered(c *connection, l *liveConn, now time.Time) (silent []*Stream) {
	if l.pinged.IsZero() || now.Sub(l.pinged) < p.params.OpenTimeout/4 {
		return nil
	}
	for s, since := range c.opening {
		if now.Sub(since) >= p.params.OpenTimeout && l.lastRead().Before(since) {
			silent = append(silent, s)
			delete(c.opening, s)
		}
	}
	return silent
}

// nextCheck returns when the connection is to be checked again.
func (p *pool) nextCheck(c *connection, l *liveConn, now time.Time) time.Time {
	next := now.Add(checkEvery)
	sooner := func(t time.Time) {
		if t.After(now) && t.Before(next) {
			next = t
		}
	}
	if ping := p.params.Ping; ping != nil {
		sooner(l.lastRead().Add(p.pingEvery))
		sooner(now.Add(p.pingEvery)) // an answer may arrive until then
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

// checkBy moves the next check to at, if that is sooner. A check visits all RPCs that are not
// accepted, so not every opened RPC gets one of its own.
func (c *connection) checkBy(at time.Time) {
	if l := c.live; l != nil && at.Before(l.nextCheck) {
		l.nextCheck = at
		l.timer.Reset(max(time.Until(at), 0))
	}
}

// suspend mutes a connection, one of whose RPCs was idle for too long, and pings its server if it
// may. Otherwise the address of a server that hangs would have the fewest RPCs and get all new
// ones. The PING is sent in the background: a connection that accepts no bytes would block the
// caller.
func (p *pool) suspend(c *connection) {
	p.mu.Lock()
	l, now := c.live, time.Now()
	if l == nil || p.closed || !c.ready || c.mute || p.params.Ping == nil && !l.mayPing(now) || !l.pinged.IsZero() && l.lastRead().Before(l.pinged) {
		p.mu.Unlock()
		return
	}
	l.pinged, l.last = now, now
	p.muteLocked(c)
	p.wg.Go(func() { _ = l.ping() }) // a connection whose writes fail also fails to read
	p.mu.Unlock()
}

// longestPing bounds the interval of PINGs to a backend that refuses them.
const longestPing = time.Hour

// pingLess handles a refused PING. It doubles the interval that the refusing connection had, so
// that many simultaneous refusals count as one. If the backend refuses PINGs without RPCs, as most
// servers do by default, only connections with RPCs are pinged from then on.
func (p *pool) pingLess(c *connection, l *liveConn) {
	p.mu.Lock()
	idle := l.pingedIdle
	if idle {
		p.onlyBusy = true
	} else {
		p.pingEvery = max(p.pingEvery, min(2*l.every, longestPing))
	}
	every := p.pingEvery
	p.mu.Unlock()
	switch {
	case p.params.Ping == nil:
	case idle:
		p.log(c.endpoint).Warn("the backend refuses PINGs on connections without RPCs and has closed one (too_many_pings), " +
			"so that the next RPC finds out if it hangs: have its keepalive enforcement permit PINGs without calls")
	default:
		p.log(c.endpoint).Warn("the backend refuses PINGs this often and has closed the connection (too_many_pings): "+
			"set ping.every to what its keepalive enforcement permits", "next", every)
	}
}

// GiveUp ends the RPC with ErrIdle because the backend has been silent for too long. The RPC's
// connection gets no new RPCs until the backend sends something.
func (s *Stream) GiveUp() {
	s.idle.Store(true)
	if s.slot.pool != nil {
		s.slot.pool.suspend(s.slot.connection)
	}
	s.cancel()
}

// errSilentRPC returns the error of an RPC that ended because of ErrSilent.
func (s *Stream) errSilentRPC() error {
	u := s.upstream
	return &rpcError{
		status: status.Newf(codes.Unavailable, "upstream %s: no RPC was accepted within %v, and the backend does not answer",
			u.params.Name, u.params.OpenTimeout),
		cause: ErrSilent,
	}
}

// lostOpeningLocked cancels the RPCs that are still not accepted OpenTimeout after their connection
// was lost. Without it grpc-go may try to open them again for as long as the address is down.
func (p *pool) lostOpeningLocked(c *connection) {
	if len(c.opening) == 0 || p.closed {
		return
	}
	lost := time.Now()
	time.AfterFunc(p.params.OpenTimeout, func() {
		p.mu.Lock()
		var silent []*Stream
		for s, since := range c.opening {
			if !c.ready && !since.After(lost) {
				silent = append(silent, s)
				delete(c.opening, s)
			}
		}
		p.mu.Unlock()
		for _, s := range silent {
			s.silent.Store(true)
			s.cancel()
		}
	})
}
