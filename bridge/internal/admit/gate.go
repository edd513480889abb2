package admit

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/internal/address"
)

// The limits that shed clients, by their configuration keys.
const (
	LimitClients      = "limits.clients"
	LimitClientsPerIP = "limits.clients_per_ip"
	LimitOpensPerIP   = "limits.opens_per_ip"
	LimitTopics       = "limits.topics"
	LimitReplayBytes  = "limits.replay_bytes"
	LimitPendingBytes = "limits.pending_bytes"
)

// Limits returns all limits that shed clients.
func Limits() []string {
	return []string{LimitClients, LimitClientsPerIP, LimitOpensPerIP, LimitTopics, LimitReplayBytes, LimitPendingBytes}
}

// fullError says which limit leaves no room for a client: a transient failure.
type fullError struct{ limit string }

func (e *fullError) Error() string { return e.limit + " is reached" }

// GRPCStatus implements the interface that status.FromError looks for. Clients do not learn
// the limit; it is logged for operators.
func (e *fullError) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, "come back later: "+string(reason.LeaveShed))
}

// IsFull reports whether an error says that a limit is reached.
func IsFull(err error) bool {
	return errors.As(err, new(*fullError))
}

// LimitOf returns the limit of an error for which IsFull is true, "" for other errors.
func LimitOf(err error) string {
	if full := new(fullError); errors.As(err, &full) {
		return full.limit
	}
	return ""
}

// Full returns the error of a limit that another package counts.
func Full(limit string) error { return &fullError{limit} }

// Gate applies the limits of a bridge. Its methods are safe for concurrent use.
type Gate struct {
	streams slots // of streams
	calls   slots // of requests that have a body to be read, and of unary calls
	opens   address.Rates
	// opensOwn is set if opens applies only to addresses that are a client's own.
	opensOwn atomic.Bool
	aborts   aborts

	requests, answers pool // the halves of limits.pending_bytes

	log limitLog
}

// NewGate makes a gate that admits nothing until SetLimits is called.
func NewGate(logger *slog.Logger) *Gate { return &Gate{log: limitLog{logger: logger}} }

// SetLimits applies the limits of a configuration: limits has the defaults, and written only
// the keys that the file sets. Present clients stay.
//
// A default of a limit by address applies only to addresses that are a client's own.
// Otherwise all clients of an ingress that is missing in trusted_proxies would share it.
func (g *Gate) SetLimits(limits, written config.Limits) {
	g.streams.limit(limits.Clients, *limits.ClientsPerIP, written.ClientsPerIP == nil)
	g.calls.limit(limits.Clients, *limits.ClientsPerIP, written.ClientsPerIP == nil)
	g.opens.Limit(*limits.OpensPerIP)
	g.opensOwn.Store(written.OpensPerIP == nil)
	pending := int64(limits.PendingBytes)
	g.requests.limit(pending / 2)
	g.answers.limit(pending - pending/2)
	g.log.limitsChanged()
}

// Clients returns the number of taken stream slots.
func (g *Gate) Clients() int { return g.streams.count() }

// PendingBytes returns the counted memory of requests and of answers. The first 4 KiB of
// each are not counted.
func (g *Gate) PendingBytes() (requests, answers int64) { return g.requests.bytes(), g.answers.bytes() }

// RequestsPressed reports whether the memory of requests is nearly used up. Slow clients
// then get shorter deadlines.
func (g *Gate) RequestsPressed() bool { return g.requests.pressed() }

// AnswersPressed reports whether the memory of answers is nearly used up.
func (g *Gate) AnswersPressed() bool { return g.answers.pressed() }

// Answer counts the memory of an answer until it is released. The error says that a limit
// is reached.
func (g *Gate) Answer(bytes int) (*Memory, error) {
	m := &Memory{pool: &g.answers}
	return m, m.Grow(bytes)
}

// Retain counts the memory of a request that a topic keeps, until it is released.
// [Permit.MayOpen] has found room for it.
func (g *Gate) Retain(bytes int) *Memory {
	m := &Memory{pool: &g.requests}
	m.force(bytes)
	return m
}

// mayOpen takes a token of limits.opens_per_ip for a client, and reports whether there is
// one.
func (g *Gate) mayOpen(from peer.Client) bool {
	return g.opensOwn.Load() && !from.Own || g.opens.Take(from.Addr)
}

// BetterElsewhere reports whether a client that a limit sheds should reconnect by a new
// connection, which a balancer may give to another bridge.
//
// An HTTP/2 connection on which other clients have slots is not closed, because it may
// belong to a proxy. GOAWAY lets the streams on it continue, but each shed client would cost
// the proxy a connection, and requests that cross GOAWAY have to be sent again, which a
// client with a body may be unable to do.
func (g *Gate) BetterElsewhere(r *http.Request, limit string) bool {
	own := 0 // slots of the request itself
	if limit == LimitTopics {
		own = 1
	}
	conn := peer.HTTP2Conn(r)
	mayMove := (limit == LimitClients || limit == LimitTopics) && !peer.Forwarded(r) && !HasBody(r)
	return mayMove && g.streams.onConn(conn)+g.calls.onConn(conn) <= own
}

// HasBody reports whether a request may have a body. On HTTP/2 every request has a Body;
// only ContentLength shows that it is empty.
func HasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// addrText formats an address for the log.
func addrText(addr netip.Addr) string {
	if !addr.IsValid() {
		return "none (a unix socket)"
	}
	return addr.String()
}
