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
	_ "google.golang.org/grpc/health" // the client's side of Params.Health
	"google.golang.org/grpc/keepalive"
)

const (
	// keepaliveProbes unanswered TCP probes end a connection.
	keepaliveProbes = 3
	// minPingInterval is what every gRPC implementation's server tolerates by
	// default: C++, Go and Java all cut clients that ping more often than each
	// 5 minutes, after a handful of pings without data in between.
	minPingInterval = 5*time.Minute + 10*time.Second
	// pingTimeout ends a connection whose server does not answer a ping, and
	// is the TCP_USER_TIMEOUT of the connection: what has been sent must be
	// acknowledged by then.
	pingTimeout = 20 * time.Second

	// connectTimeout bounds one attempt to dial and to shake hands, the rest
	// before it included.
	connectTimeout = 5 * time.Second

	// steadyAfter is how long a connection must be up to count as one that
	// lived. After one that did not, the next attempt waits: Retry.Initial,
	// doubled each time up to Retry.Max, and half of it jitter. grpc-go's own backoff is
	// for handshakes that fail, and forgets about them once one succeeds: a
	// backend that accepts and hangs up would be connected to without a pause.
	steadyAfter = 10 * time.Second

	// streamWindow is what a backend may send of one RPC that is not read,
	// beside the message being read. It is also what bounds memory for RPCs
	// whose clients do not read. Windows are static: grpc-go's estimator would
	// grow them to 16 MiB each.
	streamWindow = 64 << 10
	// connWindow is what may be under way on a connection. It is given back
	// as bytes arrive, whether or not an RPC reads them, so that an RPC that
	// stands still does not hold up the others.
	connWindow = 1 << 20
	// maxHeaderBytes bounds the headers and the trailers of an RPC. answerConn
	// enforces it, and adds a little of its own, for which grpc-go has room.
	maxHeaderBytes     = 256 << 10
	maxHeaderBytesRoom = 4 << 10
)

// pingInterval is how often an HTTP/2 ping is sent on a connection with RPCs
// that are silent.
//
// A link that died is found by the kernel, which probes it each `keepalive`
// (see address.dial), and by TCP_USER_TIMEOUT when there is something to send.
// That costs the backend nothing. What is left for HTTP/2 pings is a peer whose
// kernel answers while its process does not, and those are sent no more often
// than any server tolerates: with grpc-go's default enforcement, pings each
// 30 s would have a stream that is merely silent cut after two minutes.
// Connections without RPCs are not pinged.
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
	// generation is the pool's when it last became ready.
	generation uint64
	// starting are the RPCs that are placed and do not have their streams yet.
	starting map[*slot]struct{}
	// opening are the RPCs that are not accepted yet, and since when.
	opening map[*Stream]time.Time
	// live is the newest transport; nil while none is up.
	live *liveConn
	// mute is set while the server does not answer: it gets no RPCs.
	mute bool
	// recent are the RPCs that were begun last, at most maxRecent, in order.
	recent []*slot
	// apart is set for the connection of an RPC that breaks its connections.
	apart bool
	// replays is set for a connection of RPCs that replay, and over once it gets no more
	// of them.
	replays, over bool
	// closing is set once this side closes the connection.
	closing bool
	// movable are the running RPCs that may be moved.
	movable map[*Stream]struct{}
	// active is the number of RPCs placed and not yet ended. RPCs that go on
	// over a transport that is being drained count too: at worst, a further
	// connection is opened early.
	active int
	// limit is how many the backend allows.
	limit uint32
	// lastErr is why it is not ready, as far as known.
	lastErr error
	// idleSince is when active became 0.
	idleSince time.Time
	// upSince is when the server spoke HTTP/2 first, since the last attempt to
	// connect; zero if it has not.
	upSince time.Time
	// pause is the rest that the last connection has earned, 0 if it lived.
	pause time.Duration
	// restUntil is when the next attempt may begin.
	restUntil time.Time
	// toldUp and toldFailing say what the log has of the connection: that it
	// is up, and that attempts fail.
	toldUp, toldFailing bool
}

// room says whether the connection can take an RPC without blocking.
func (c *connection) room() bool { return c.usable() && int64(c.active) < int64(c.limit) }

// usable says whether the connection is up and, as far as is known, its server
// is alive.
func (c *connection) usable() bool { return c.ready && !c.mute }

// grpcJitter is how much longer than its MaxDelay a pause of grpc-go's may be.
const grpcJitter = 0.2

// dialOptions are those of every connection to a target.
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
		// HTTPS_PROXY and the like are meant for the way out of a cluster. A
		// bridge's backend is beside it.
		grpc.WithNoProxy(),
		// What a name server says must not change how RPCs are made, and an
		// RPC that fails is opened again by the bridge, which tells clients.
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		// The pool keeps the connection up, or closes it.
		grpc.WithIdleTimeout(0),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			if err := p.rest(ctx, c); err != nil {
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
		return append(opts, grpc.WithResolvers(one{*e.resolved, p.authority()}))
	}
	if d := p.target.dialed; d != nil && d.network == "unix" {
		opts = append(opts, grpc.WithAuthority(p.authority()))
	}
	return opts
}

// dialTarget is what grpc-go is told to connect to.
func (p *pool) dialTarget(e *endpoint) string {
	switch d := p.target.dialed; {
	case e.resolved != nil:
		return oneScheme + ":///" // its authority is one's
	case d == nil:
		return p.params.Target
	case d.network == "unix":
		return "passthrough:///" + p.authority()
	default:
		return "passthrough:///" + d.addr
	}
}

// dial connects to what grpc-go calls addr.
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

// flapping says whether the connection was lost soon after it was up more than
// once in a row.
func (p *pool) flapping(c *connection) bool { return c.pause > p.params.retryFirst() }

// rest waits until c may be connected again. It stands before each attempt, and
// not in watch, since RPCs that wait for the connection have grpc-go connect too.
func (p *pool) rest(ctx context.Context, c *connection) error {
	p.mu.Lock()
	flaps := false
	if !c.upSince.IsZero() { // the first attempt since it was up
		lived := time.Since(c.upSince)
		c.upSince = time.Time{}
		if lived >= steadyAfter {
			c.pause = 0
		} else {
			first := p.params.retryFirst()
			flaps = c.pause == first // once each time that it begins
			c.pause = min(max(2*c.pause, first), p.params.retryLast())
			c.restUntil = time.Now().Add(jitter(c.pause))
			c.lastErr = fmt.Errorf("the connection was lost %v after it was up", lived.Round(time.Millisecond))
		}
	}
	wait := time.Until(c.restUntil)
	p.mu.Unlock()
	if flaps {
		p.log(c.endpoint).Warn("the backend hangs up soon after each connection, connecting less often")
	}
	if wait > 0 && !sleep(ctx, wait) {
		return ctx.Err()
	}
	return nil
}

// jitter is between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// sleep waits for d, or is false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// watch follows the connection's state, and keeps it up, until ctx ends.
func (p *pool) watch(ctx context.Context, c *connection) {
	defer close(c.watched)
	for {
		state := c.cc.GetState()
		p.changedState(c, state)
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
			p.steady(ctx, c)
		}
		if !c.cc.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// keeps reports whether the connection is to be kept up. It is not if the resolver
// does not name its address any more, or if it was for one RPC or for replays. RPCs that go on
// over a transport that drains may still need it.
func (p *pool) keeps(c *connection) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !c.endpoint.gone && !c.over && (!c.apart || c.active == 0)
}
