package upstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	_ "google.golang.org/grpc/health" // the client side of Params.Health
	"google.golang.org/grpc/keepalive"

	"github.com/ssebridge/ssebridge/internal/pause"
)

const (
	// keepaliveProbes is the number of unanswered TCP probes that end a connection.
	keepaliveProbes = 3
	// minPingInterval is what every gRPC server tolerates by default: the C++, Go and Java
	// implementations all close connections of clients that ping more often than every 5 minutes,
	// after a few pings without data between them.
	minPingInterval = 5*time.Minute + 10*time.Second
	// pingTimeout ends a connection whose server does not answer a ping. It is also the
	// connection's TCP_USER_TIMEOUT: the peer must acknowledge sent bytes within it.
	pingTimeout = 20 * time.Second

	// connectTimeout bounds one attempt to dial and to shake hands, including the pause before it.
	connectTimeout = 5 * time.Second

	// steadyAfter is how long a connection must be up to count as steady. After one that was not,
	// the next attempt waits: Retry.Initial, doubled each time up to Retry.Max, half of it jitter.
	// grpc-go's own backoff only covers handshakes that fail, and a handshake that succeeds resets
	// it: it would reconnect without a pause to a backend that accepts and hangs up.
	steadyAfter = 10 * time.Second

	// streamWindow is the number of bytes that a backend may send for one RPC that is not read, in
	// addition to the message being read. It bounds the memory of RPCs whose clients do not read.
	// Windows are static: grpc-go's estimator would grow them to 16 MiB each.
	streamWindow = 64 << 10
	// connWindow is the number of bytes that may be in flight on a connection. grpc-go returns it
	// as bytes arrive, even if no RPC reads them, so that a stalled RPC does not block the others.
	connWindow = 1 << 20
	// maxHeaderBytes bounds the headers and the trailers of an RPC. answerConn enforces it and adds
	// a few fields of its own, for which grpc-go leaves room.
	maxHeaderBytes     = 256 << 10
	maxHeaderBytesRoom = 4 << 10
)

// pingInterval returns the interval of HTTP/2 pings on a connection whose RPCs are silent.
//
// The kernel finds a dead link: it probes the link every `keepalive` (see address.dial), and
// TCP_USER_TIMEOUT applies when there are bytes to send. Both cost the backend nothing. HTTP/2
// pings are only needed for a peer whose kernel answers while its process does not, and they are
// sent no more often than every server tolerates: with grpc-go's default enforcement, pings every
// 30 s would close the connection of a silent stream after two minutes. Connections without RPCs
// are not pinged.
func pingInterval(keepalive time.Duration) time.Duration {
	return max(keepalive, minPingInterval)
}

// connection is one ClientConn with one HTTP/2 connection behind it.
type connection struct {
	cc       *grpc.ClientConn
	endpoint *endpoint
	cancel   context.CancelFunc
	watched  chan struct{} // closed when watch has returned

	// Guarded by pool.mu.
	ready bool
	// generation is the pool's generation when the connection last became ready.
	generation uint64
	// starting holds the placed RPCs that do not have their streams yet.
	starting map[*slot]struct{}
	// opening holds the RPCs that the backend has not accepted yet, and since when.
	opening map[*Stream]time.Time
	// live is the newest transport; nil if none is up.
	live *liveConn
	// mute is set while the server does not answer: the connection gets no RPCs.
	mute bool
	// recent holds the RPCs that began last, at most maxRecent, in order.
	recent []*slot
	// apart is set for the isolated connection of an RPC that breaks its connections.
	apart bool
	// replays is set for a connection of replaying RPCs, and draining once it gets no more of them.
	replays, draining bool
	// closing is set once this side closes the connection.
	closing bool
	// movable holds the running RPCs that may be moved.
	movable map[*Stream]struct{}
	// active is the number of RPCs that are placed and have not ended. RPCs on a transport that is
	// draining count too: at worst, the pool opens a further connection early.
	active int
	// limit is the number of RPCs that the backend allows.
	limit uint32
	// lastErr is the reason why the connection is not ready, if known.
	lastErr error
	// idleSince is when active became 0.
	idleSince time.Time
	// upSince is when the server first spoke HTTP/2 since the last attempt to connect; zero if it
	// has not.
	upSince time.Time
	// pause is the pause before the next attempt, 0 if the last connection was steady.
	pause time.Duration
	// pauseUntil is when the next attempt may begin.
	pauseUntil time.Time
	// loggedUp and loggedFailing record that the log has reported the connection as up, and its
	// attempts as failing.
	loggedUp, loggedFailing bool
}

// room reports whether the connection can take an RPC without blocking.
func (c *connection) room() bool { return c.usable() && int64(c.active) < int64(c.limit) }

// usable reports whether the connection is up and its server is not known to be silent.
func (c *connection) usable() bool { return c.ready && !c.mute }

// grpcJitter is the fraction by which a pause of grpc-go may exceed its MaxDelay.
const grpcJitter = 0.2

// dialOptions returns the options of every connection to a target.
func (p *pool) dialOptions(c *connection) []grpc.DialOption {
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(&transportCredentials{tls: p.params.TLS, conn: c, pool: p}),
		grpc.WithUserAgent("ssebridge"),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: p.params.retryFirst(), Multiplier: 1.6, Jitter: grpcJitter,
				MaxDelay: time.Duration(float64(p.params.retryLast()) / (1 + grpcJitter)),
			},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval(p.params.Keepalive), Timeout: pingTimeout}),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithMaxHeaderListSize(maxHeaderBytes + maxHeaderBytesRoom),
		// HTTPS_PROXY and similar variables describe the way out of a cluster. A bridge's backend
		// is inside it.
		grpc.WithNoProxy(),
		// A name server's answer must not change how RPCs are made. The bridge itself opens a
		// failed RPC again, and notifies clients.
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		// The pool keeps the connection up, or closes it.
		grpc.WithIdleTimeout(0),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			if err := p.awaitPause(ctx, c); err != nil {
				return nil, err
			}
			conn, err := p.dial(ctx, c.endpoint, addr)
			if err != nil {
				p.failed(c, err)
			}
			return conn, err
		}),
	}
	if h := p.params.Health; h != nil {
		// pick_first, the default, does not watch health.
		opts = append(opts, grpc.WithDefaultServiceConfig(fmt.Sprintf(
			`{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": %q}}`, h.Service)))
	}
	if e := c.endpoint; e.resolved != nil {
		return append(opts, grpc.WithResolvers(fixedResolver{*e.resolved, p.authority()}))
	}
	if d := p.target.dialed; d != nil && d.network == "unix" {
		opts = append(opts, grpc.WithAuthority(p.authority()))
	}
	return opts
}

// dialTarget returns the target that grpc-go connects to.
func (p *pool) dialTarget(e *endpoint) string {
	switch d := p.target.dialed; {
	case e.resolved != nil:
		return fixedScheme + ":///" // fixedResolver supplies the authority
	case d == nil:
		return p.params.Target
	case d.network == "unix":
		return "passthrough:///" + p.authority()
	default:
		return "passthrough:///" + d.addr
	}
}

// dial connects to the address that grpc-go calls addr.
func (p *pool) dial(ctx context.Context, e *endpoint, addr string) (net.Conn, error) {
	if p.target.dialed != nil && e.resolved == nil {
		return p.target.dialed.dial(ctx, p.params.Keepalive)
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", strings.TrimPrefix(path, "//")
	} else if strings.HasPrefix(addr, "\x00") {
		network = "unix"
	}
	return dial(ctx, network, addr, p.params.Keepalive)
}

func (p *pool) authority() string {
	if t := p.params.TLS; t != nil && t.ServerName != "" {
		return t.ServerName
	}
	return p.target.authority()
}

// flapping reports whether the connection was lost soon after it was up more than once in a row.
func (p *pool) flapping(c *connection) bool { return c.pause > p.params.retryFirst() }

// awaitPause waits until c may be connected again. It runs before each attempt, not in watch, since
// RPCs that wait for the connection make grpc-go connect too.
func (p *pool) awaitPause(ctx context.Context, c *connection) error {
	p.mu.Lock()
	flaps := false
	if !c.upSince.IsZero() { // the first attempt since it was up
		lived := time.Since(c.upSince)
		c.upSince = time.Time{}
		if lived >= steadyAfter {
			c.pause = 0
		} else {
			first := p.params.retryFirst()
			flaps = c.pause == first // true once per flapping period
			c.pause = min(max(2*c.pause, first), p.params.retryLast())
			c.pauseUntil = time.Now().Add(jitter(c.pause))
			c.lastErr = fmt.Errorf("the connection was lost %v after it was up", lived.Round(time.Millisecond))
		}
	}
	wait := time.Until(c.pauseUntil)
	p.mu.Unlock()
	if flaps {
		p.log(c.endpoint).Warn("the backend hangs up soon after each connection, connecting less often")
	}
	if wait > 0 && pause.For(ctx, wait) != nil {
		return ctx.Err()
	}
	return nil
}

// jitter returns a random duration between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// watch follows the connection's state and keeps the connection up until ctx ends.
func (p *pool) watch(ctx context.Context, c *connection) {
	defer close(c.watched)
	for {
		state := c.cc.GetState()
		p.stateChanged(c, state)
		if state == connectivity.Idle && p.keeps(c) {
			c.cc.Connect()
		}
		if state == connectivity.Ready {
			young, cancel := context.WithTimeout(ctx, steadyAfter)
			changed := c.cc.WaitForStateChange(young, state)
			cancel()
			if changed {
				continue
			}
			p.logSteady(ctx, c)
		}
		if !c.cc.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// keeps reports whether the connection is to be kept up. It is not if the resolver no longer names
// its address, or if it was for one RPC or for replays. RPCs on a draining transport may still need
// it.
func (p *pool) keeps(c *connection) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !c.endpoint.gone && !c.draining && (!c.apart || c.active == 0)
}
