package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Proxied is a listener whose trusted peers may begin a connection with a PROXY protocol
// header of version 2, which names the client behind them. A trusted peer that begins
// with anything else is served as it is, and so is an untrusted peer in any case: to
// HTTP and to TLS a header is garbage. A header of version 1 from a trusted peer is
// logged.
//
// A header is read to its last byte and not further. Its address is passed on by ConnContext
// and Handler.
//
// Accept returns the connections of clients, and Proxies is another listener, for those that
// a trusted proxy may bring many clients over: net/http chooses the number of HTTP/2 streams
// of a connection for each server, so there is one for either. Both take the listener's
// ConnContext, ConnState and Handler.
//
// Peers may take descriptors up to a ceiling only, so that a flood leaves some for
// everything else that the process does. The kernel gives each new descriptor the
// lowest free number: a connection whose number is at the ceiling or above it has
// found all lower ones taken, and is closed. So connections that carry a stream are not
// counted, and no code has to report their end. Below the ceiling, connections that wait
// for a request make room: see waiters.
//
// A connection whose peer acknowledges nothing of what it is sent is ended after 20 s.
type Proxied struct {
	net.Listener

	trusted atomic.Pointer[[]netip.Prefix]
	ceiling atomic.Int64 // 0: none
	waiting *waiters
	timeout time.Duration
	logger  *slog.Logger
	peers   *peers
	paces   *paces

	// A connection is Accept's, or that of Proxies, or is closed by drop.
	ready, carriers chan net.Conn

	stop    context.CancelFunc
	stopped <-chan struct{}
	failed  error // of the listener; read it when all have ended
	all     sync.WaitGroup

	mu      sync.Mutex
	reading map[net.Conn]struct{} // whose header is being waited for
	told1   time.Time             // when the log told of a header of version 1
}

// ProxiedParams configure a [Proxied].
type ProxiedParams struct {
	Listener net.Listener
	// Timeout is how long a trusted peer may take to begin, and to send its header.
	Timeout time.Duration
	// Idle is how long a connection without a request is kept; 0 is forever. The listener
	// ends these connections in place of http.Server, whose IdleTimeout is to be 0: the timer
	// that net/http sets for it keeps the memory of a connection of HTTP/2 that ends with its
	// streams, some 7 KiB, until it fires.
	Idle time.Duration
	// Logger takes what trusted peers do wrong.
	Logger *slog.Logger
}

// NewProxied begins to accept connections. It trusts no peer yet.
func NewProxied(params ProxiedParams) *Proxied {
	ctx, stop := context.WithCancel(context.Background())
	l := &Proxied{
		Listener: params.Listener,
		waiting:  newWaiters(params.Logger),
		timeout:  params.Timeout, logger: params.Logger, peers: newPeers(peerTimeout), paces: newPaces(params.Logger),
		ready: make(chan net.Conn, Ready), carriers: make(chan net.Conn, Ready), stop: stop, stopped: ctx.Done(),
		reading: map[net.Conn]struct{}{},
	}
	l.Trust(nil)
	l.all.Go(l.run)
	l.all.Go(func() { l.peers.run(l.stopped) })
	if params.Idle > 0 {
		l.all.Go(func() { l.expire(params.Idle) })
	}
	return l
}

// Trust sets the peers whose headers are believed, for connections from now on. If there
// are any, the peers of a unix socket are believed, too: they have no address, and the
// mode of the socket's file decides who may connect.
func (l *Proxied) Trust(peers []netip.Prefix) { l.trusted.Store(&peers) }

// Bound sets the number that the descriptors of connections from now on must be below; 0
// is no bound.
func (l *Proxied) Bound(ceiling int) { l.ceiling.Store(int64(ceiling)) }

const (
	// spare is how many descriptors below the ceiling are kept free for newcomers: where
	// one of these is used, connections that wait are closed, relief at a time. So a
	// newcomer has one though all others are taken.
	spare  = 64
	relief = 16
	// longestFull is the longest pause after a connection for which there was no room:
	// others may be closed for the next one by then.
	longestFull = crowdRipe
)

// hasRoom reports whether a connection leaves enough descriptors to others, and makes
// room for those that are to come.
func (l *Proxied) hasRoom(conn net.Conn) bool {
	ceiling := l.ceiling.Load()
	if ceiling == 0 {
		return true
	}
	number, known := descriptorOf(conn)
	if !known {
		return true
	}
	if int64(number) >= ceiling-min(spare, ceiling/8) {
		l.waiting.relieve(relief)
	}
	return int64(number) < ceiling
}

// run accepts until the listener ends. Connections that have to be waited for are waited
// for elsewhere.
func (l *Proxied) run() {
	defer l.cut()
	var told time.Time // that there was no room
	for pause := time.Duration(0); ; {
		conn, err := l.Listener.Accept()
		if err == nil && !l.hasRoom(conn) {
			_ = conn.Close() // it has not been heard yet
			err = errNoRoom
		}
		switch {
		case err == nil && l.isTrusted(conn.RemoteAddr()):
			pause = 0
			l.all.Go(func() { l.begin(conn) })
		case err == nil:
			pause = 0
			l.welcome(conn, netip.AddrPort{})
		case isPassing(err):
			// As net/http does: there may be descriptors again in a moment.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			if errors.Is(err, errNoRoom) {
				pause = min(pause, longestFull)
			}
			if now := time.Now(); now.Sub(told) >= tellAgain {
				told = now
				l.logger.Warn("connections could not be accepted; trying again", "error", err)
			}
			if !l.wait(context.Background(), pause) {
				return
			}
		default:
			l.failed = err
			return
		}
	}
}

// tellAgain is how often the log tells that connections are not accepted, and how often
// that a proxy speaks version 1.
const tellAgain = 10 * time.Second

// errNoRoom says that a connection has been closed so that descriptors are left.
var errNoRoom = errors.New("there are too many connections for the limit on file descriptors; raise it (ulimit -n, systemd's LimitNOFILE=)")

// isPassing reports whether accepting may work again in a moment: there are no descriptors
// left, or the peer was gone before.
func isPassing(err error) bool {
	if errors.Is(err, errNoRoom) {
		return true
	}
	temporary, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && temporary.Temporary()
}

// wait reports whether a time has passed, before ctx or the listener ended.
func (l *Proxied) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-l.stopped:
		return false
	}
}

// carries reports whether a connection may bring many clients: it is one of a trusted proxy.
// A connection with a PROXY header is one of the client that the header names, which may be
// another proxy.
func (l *Proxied) carries(conn *Conn) bool {
	if conn.client.IsValid() {
		return l.includes(conn.client.Addr().Unmap().WithZone(""))
	}
	return l.isTrusted(conn.RemoteAddr())
}

func (l *Proxied) isTrusted(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return len(*l.trusted.Load()) > 0
	}
	return l.includes(tcp.AddrPort().Addr().Unmap().WithZone(""))
}

// includes reports whether an address is that of a trusted peer.
func (l *Proxied) includes(addr netip.Addr) bool {
	return slices.ContainsFunc(*l.trusted.Load(), func(p netip.Prefix) bool { return p.Contains(addr) })
}

// begin reads a trusted peer's header, if it sends one, and hands its connection over.
func (l *Proxied) begin(conn net.Conn) {
	if !l.note(conn) {
		_ = conn.Close() // it will not be served
		return
	}
	client, err := readHeader(conn, time.Now().Add(l.timeout))
	l.mu.Lock()
	delete(l.reading, conn)
	l.mu.Unlock()
	if errors.Is(err, errVersion1) {
		l.tellVersion1(conn.RemoteAddr())
		err = nil // it is answered 400, in which the proxy's own operator sees something
	}
	if err != nil {
		if errors.Is(err, errHeader) {
			l.logger.Warn("a trusted proxy sent a bad PROXY header", "peer", conn.RemoteAddr().String(), "error", err)
		}
		_ = conn.Close() // a peer that is gone, late or wrong is told nothing
		return
	}
	l.welcome(conn, client)
}

// tellVersion1 tells what to do about a proxy whose headers are of version 1.
func (l *Proxied) tellVersion1(peer net.Addr) {
	l.mu.Lock()
	now := time.Now()
	tell := now.Sub(l.told1) >= tellAgain
	if tell {
		l.told1 = now
	}
	l.mu.Unlock()
	if tell {
		l.logger.Warn("a trusted proxy speaks version 1 of the PROXY protocol, which is not read, and its clients are refused; "+
			"have it speak version 2 (HAProxy: send-proxy-v2, Envoy: version: V2, nginx: since 1.31.4 only), "+
			"or proxy HTTP with X-Forwarded-For", "peer", peer.String())
	}
}

// note keeps a connection for Close to end.
func (l *Proxied) note(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.stopped:
		return false
	default:
		l.reading[conn] = struct{}{}
		return true
	}
}

// hand gives a connection to Accept, or to that of Proxies.
func (l *Proxied) hand(conn *Conn) {
	l.peers.add(conn.Conn)
	ready := l.ready
	if l.carries(conn) {
		ready = l.carriers
	}
	select {
	case ready <- conn:
	case <-l.stopped:
		_ = conn.Close() // it will not be served
	}
}

// Ready is how many accepted connections may wait for a server. On a busy machine a server's
// turn comes once in some 100 ms; it then takes all of these. Where it took one, newcomers
// would wait in the kernel's queue, behind as many as an attacker puts there.
const Ready = 256

// Accept returns the next connection of a client. It is a [*Conn].
func (l *Proxied) Accept() (net.Conn, error) { return l.accept(l.ready) }

// Proxies is the listener whose connections may bring many clients. Its Close is that of l.
func (l *Proxied) Proxies() net.Listener { return proxies{l} }

type proxies struct{ *Proxied }

// Accept returns the next connection of a trusted proxy. It is a [*Conn].
func (l proxies) Accept() (net.Conn, error) { return l.accept(l.carriers) }

func (l *Proxied) accept(ready <-chan net.Conn) (net.Conn, error) {
	select {
	case conn := <-ready:
		return conn, nil
	case <-l.stopped:
		l.drop()
		if l.failed != nil {
			return nil, l.failed
		}
		return nil, net.ErrClosed
	}
}

// cut ends the connections that have not been accepted.
func (l *Proxied) cut() {
	l.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.reading {
		_ = conn.Close() // so that its header is not waited for
	}
}

// Close ends the listener and the connections that have not been accepted.
func (l *Proxied) Close() error {
	l.cut()
	err := l.Listener.Close()
	l.drop()
	return err
}

// drop waits until no connection comes any more, and closes those that nobody has accepted.
func (l *Proxied) drop() {
	l.all.Wait()
	for {
		select {
		case conn := <-l.ready:
			_ = conn.Close() // it will not be served
		case conn := <-l.carriers:
			_ = conn.Close() // as above
		default:
			return
		}
	}
}

// clientKey is the key of a request's context whose value is the client's address from
// the PROXY header, a netip.AddrPort; originKey is that of the connection's origin.
type (
	clientKey struct{}
	originKey struct{}
)

// ConnContext is for the http.Servers that serve the listener, also behind TLS.
func (l *Proxied) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	c := connOf(conn)
	if c == nil {
		return ctx // of another listener
	}
	if c.client.IsValid() {
		ctx = context.WithValue(ctx, clientKey{}, c.client)
	}
	l.waiting.begin(c)
	return context.WithValue(ctx, originKey{}, c.from)
}

// Handler gives requests the address of their connection's PROXY header as RemoteAddr, and
// holds those back whose address sends too many. To a handler that takes a connection over
// it gives the kernel's own.
func (l *Proxied) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isPreface(r) {
			panic(http.ErrAbortHandler)
		}
		l.pace(r)
		next.ServeHTTP(takable(w, r), fromClient(r))
	})
}

// isPreface reports whether a request is the beginning of a preface of HTTP/2 that goes on as
// no preface does (RFC 9113, section 3.4). net/http hands it to the handler.
func isPreface(r *http.Request) bool {
	return r.Method == "PRI" && r.RequestURI == "*" && r.Proto == "HTTP/2.0"
}

// fromClient returns a request with the address of its connection's PROXY header.
func fromClient(r *http.Request) *http.Request {
	client, ok := r.Context().Value(clientKey{}).(netip.AddrPort)
	if !ok {
		return r
	}
	r = r.WithContext(r.Context()) // a handler may not change a request that is not its own
	r.RemoteAddr = client.String()
	return r
}

// takable returns a response that gives out the kernel's own connection, where one can be
// taken over: HTTP/1.1 in clear.
func takable(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if r.ProtoMajor == 1 && r.TLS == nil {
		return response{w}
	}
	return w
}
