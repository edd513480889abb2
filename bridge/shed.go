package bridge

import (
	"errors"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/internal/address"
)

// The limits that shed clients, as the configuration calls them.
const (
	limitClients      = "limits.clients"
	limitClientsPerIP = "limits.clients_per_ip"
	limitOpensPerIP   = "limits.opens_per_ip"
	limitTopics       = "limits.topics"
	limitReplayBytes  = "limits.replay_bytes"
	limitPendingBytes = "limits.pending_bytes"
)

// fullError says which limit leaves no room for a client: a passing failure.
type fullError struct{ limit string }

func (e *fullError) Error() string { return e.limit + " is reached" }

// GRPCStatus is what status.FromError looks for. It does not name the limit, which
// only operators need to know.
func (e *fullError) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, "come back later: "+sse.RetryShed)
}

// shedding decides which clients are let in, and what is logged of the others. Its
// methods are safe for concurrent use.
type shedding struct {
	seats  seats
	guests seats
	opens  address.Rates // of topics
	// opensOwn is set where opens is for addresses that are a client's own.
	opensOwn atomic.Bool
	aborts   aborts

	pending pending

	mu        sync.Mutex
	told      map[string]*rate.Sometimes // by limit, each a line a minute
	toldProxy bool                       // since the limits were set
}

// limit takes a configuration's limits over. Clients that are there stay.
//
// Limits by address that are not written hold only for addresses that are a client's own:
// an ingress that is not in trusted_proxies would use them up for all of its clients.
func (s *shedding) limit(limits, written config.Limits) {
	s.seats.limit(limits.Clients, *limits.ClientsPerIP, written.ClientsPerIP == nil)
	s.guests.limit(limits.Clients, *limits.ClientsPerIP, written.ClientsPerIP == nil)
	s.opens.Limit(*limits.OpensPerIP)
	s.opensOwn.Store(written.OpensPerIP == nil)
	s.pending.limit(int64(limits.PendingBytes))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toldProxy = false
}

// seat takes a slot for a request that will be a stream. It is nil for requests that
// need none, since they end at once: calls of unary methods, and streams that only
// ask the client to come back or to stop.
func (e *endpoint) seat(r *http.Request) (*seat, error) {
	known := e.bound.Load()
	if known != nil && known.unary() || e.bridge.leaving.Load() || sse.ParseID(e.mode, lastEventID(r)).Final {
		return nil, nil //nolint:nilnil // it needs none
	}
	return e.bridge.shedding.seats.take(clientOf(r), framedConn(r))
}

// guest gives a slot to a request that has a body to be read, or is a call of a unary
// method: it does not stay, but takes memory while it is there. There are as many of
// these slots as for clients, and they are others, so that slow bodies do not take the
// slots of streams. It is nil for other requests.
func (e *endpoint) guest(r *http.Request) (*seat, error) {
	if known := e.bound.Load(); !hasBody(r) && (known == nil || !known.unary()) {
		return nil, nil //nolint:nilnil // it needs none
	}
	return e.bridge.shedding.guests.take(clientOf(r), framedConn(r))
}

// mayOpen says whether a topic may be opened for a request. The topic keeps the
// request for as long as it lasts.
func (e *endpoint) mayOpen(c *call) func() error {
	return func() error {
		if kept := requestSize(c) - freeBytes; kept > 0 && !e.bridge.shedding.pending.requests.fits(int64(kept)) {
			return &fullError{limit: limitPendingBytes}
		}
		if !e.bridge.shedding.aborts.allows(c.peer) {
			return &fullError{limit: limitOpensPerIP}
		}
		if !e.bridge.shedding.opensOwn.Load() || c.seat.own {
			if !e.bridge.shedding.opens.Take(c.seat.addr) {
				return &fullError{limit: limitOpensPerIP}
			}
		}
		c.opens = true
		return nil
	}
}

// keep counts the request of a client that may move to another topic later, and needs
// it to open that. So its stream keeps it; topics count their own. The error is a
// *fullError.
func (e *endpoint) keep(c *call) error {
	size := requestSize(c)
	if e.route.Resume == nil || size <= freeBytes {
		return nil
	}
	c.seat.kept = &load{pool: &e.bridge.shedding.pending.requests}
	return c.seat.kept.grow(size)
}

// requestSize is about how much memory a request takes as it goes to the backend.
func requestSize(c *call) int {
	size := len(c.Wire)
	for name, values := range c.Metadata {
		size += len(name)
		for _, value := range values {
			size += len(value) + fieldSize
		}
	}
	return size
}

// shed answers a client that a limit leaves no room for. A client that calls a unary
// method, or may be calling one, gets a status: 200 would mean success to it.
func (e *endpoint) shed(w http.ResponseWriter, r *http.Request, full error) (answer, error) {
	e.bridge.tellShed(r, full)
	e.counts.turnedAway(limitOf(full))
	if e.bridge.movesOn(r, limitOf(full)) {
		closeConnection(w)
	}
	if known := e.bound.Load(); known == nil && !wantsStream(r) || known != nil && known.unary() {
		w.Header().Set("Retry-After", retryAfter(shedRetry()))
		return nil, e.at(full)
	}
	return e.turnAway(w, r, sse.Retry{Reason: sse.RetryShed})
}

// movesOn reports whether the client that is shed had better come back by another
// connection, since the bridge that a balancer gives to it may have room.
//
// A connection on which others have slots is kept. It may be that of a proxy, whose
// users all would lose it for the one that is shed: GOAWAY lets their streams go on, but
// each client that is shed would cost the proxy a connection, and requests that cross
// GOAWAY have to be sent again, which a client with a body may be unable to do.
func (b *Bridge) movesOn(r *http.Request, limit string) bool {
	own := 0 // slots of the request itself
	if limit == limitTopics {
		own = 1
	}
	conn, mayMove := framedConn(r), (limit == limitClients || limit == limitTopics) && !forwarded(r) && !hasBody(r)
	return mayMove && b.shedding.seats.onConn(conn)+b.shedding.guests.onConn(conn) <= own
}

// isFull reports whether an error is that of a limit.
func isFull(err error) bool {
	return errors.As(err, new(*fullError)) || errors.Is(err, topic.ErrFull)
}

// limitOf returns the limit that an error names, for which isFull holds.
func limitOf(err error) string {
	if full := new(fullError); errors.As(err, &full) {
		return full.limit
	}
	return limitTopics
}

// retryAfter is a time as Retry-After has it (RFC 9110, 10.2.3), never less.
func retryAfter(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// tellShed logs that clients are shed, a line a minute for each limit. For a limit by
// address the line names the address that is refused when it is logged.
func (b *Bridge) tellShed(r *http.Request, err error) {
	limit := limitOf(err)
	line, proxy := b.shedding.lines(limit, r)
	line.Do(func() {
		attrs := []any{"limit", limit, "clients", b.shedding.seats.count()}
		if byAddress(limit) {
			attrs = append(attrs, "address", addrText(clientAddr(r)))
		}
		b.logger.Warn("clients are asked to come back later: a limit is reached", attrs...)
	})
	if proxy {
		b.logger.Warn("an address beyond its limit sends X-Forwarded-For, which is not believed; if it is a proxy, name it in trusted_proxies, "+
			"or all of its clients count as one", "limit", limit, "address", addrText(clientAddr(r)))
	}
}

// lines returns the limiter of a limit's log line, and whether to log that a proxy
// seems not to be trusted.
func (s *shedding) lines(limit string, r *http.Request) (line *rate.Sometimes, proxy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told = map[string]*rate.Sometimes{}
	}
	if line = s.told[limit]; line == nil {
		line = &rate.Sometimes{First: 1, Interval: time.Minute}
		s.told[limit] = line
	}
	if !s.toldProxy && byAddress(limit) {
		peer, _ := hostAddr(r.RemoteAddr)
		proxy = peer == clientAddr(r) && r.Header.Get("X-Forwarded-For") != ""
		s.toldProxy = proxy
	}
	return line, proxy
}

// byAddress reports whether a limit is one for each address.
func byAddress(limit string) bool { return limit == limitClientsPerIP || limit == limitOpensPerIP }

// addrText is an address for the log.
func addrText(addr netip.Addr) string {
	if !addr.IsValid() {
		return "none (a unix socket)"
	}
	return addr.String()
}
