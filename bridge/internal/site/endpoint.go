package site

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
	"github.com/ssebridge/ssebridge/upstream"
)

// NoSchemaError says that it is not known yet what a route is: a transient failure.
// The upstream logs why that is so; the reason names addresses.
type NoSchemaError struct{ upstream string }

func (e *NoSchemaError) Error() string {
	return "the schema of upstream " + e.upstream + " is not known yet"
}

// GRPCStatus implements the interface that status.FromError looks for.
func (e *NoSchemaError) GRPCStatus() *status.Status { return status.New(codes.Unavailable, e.Error()) }

// Requests that wait for a schema fail with these transient errors: ErrRetired where a reload
// has changed or removed the route meanwhile, and ErrLeaving where the bridge begins to leave.
var (
	ErrRetired = status.Error(codes.Unavailable, "come back later: "+string(reason.LeaveReload))
	ErrLeaving = status.Error(codes.Unavailable, "come back later: "+string(reason.LeaveDrain))
)

// Endpoint is a route at run time: its configuration and, once the upstream's schema is
// known, what that makes of it.
type Endpoint struct {
	ID      uint64                       // no other endpoint of the bridge has, or had, the same
	Route   config.Route                 // with defaults
	written atomic.Pointer[config.Route] // as it was written last; with defaults it is Route
	Backend *Backend
	Mode    sse.Mode
	// MessageBytes bounds one message of the upstream's.
	MessageBytes int

	Failures *failure.Reporter
	Counts   *observe.RouteCounts // of all endpoints with its path
	Presence *admit.Presence      // its requests and streams
	Audience delivery.Audience    // its clients
	Owner    topic.Owner          // of its topics
	// RepeatsCursors is set when messages in a row have carried one cursor though the
	// configuration says that cursors differ.
	RepeatsCursors atomic.Bool

	logger *slog.Logger
	born   time.Time // of the bridge

	bound    atomic.Pointer[Binding] // the newest; nil while no schema is known
	hasBound chan struct{}           // closed with the first binding
	bindMu   sync.Mutex              // one binding at a time, so that none is replaced by an older one

	refreshed atomic.Int64 // when a message last had the schema read anew, by refreshClock
	warned    atomic.Bool  // whether its warnings were logged
}

// Binding is a route bound to a schema, immutable. With Err the route cannot be served by
// that schema, and nothing else is set.
type Binding struct {
	Schema *upstream.Schema
	Method protoreflect.MethodDescriptor
	Binder *route.Binder
	Plan   *transcode.Plan // of the response
	// Resume puts a cursor into a request; nil where the route has none.
	Resume *route.Resume
	// expired is the path of the field that says in band that a cursor is too old; nil
	// where the route has none.
	expired []protoreflect.FieldDescriptor
	// Warnings are what is probably a mistake of the configuration, with paths within the
	// route. The route is served.
	Warnings config.Errors
	Err      error
}

// Unary reports whether the route's method answers once.
func (b *Binding) Unary() bool { return b.Err == nil && !b.Method.IsStreamingServer() }

// newEndpoint makes a route of a site's configuration, with defaults and as it
// was written.
func (b *Sites) newEndpoint(s *Site, cfg, written config.Route) *Endpoint {
	e := &Endpoint{
		ID: b.endpoints.Add(1), Route: cfg,
		Backend:      s.Backends[cfg.Upstream],
		MessageBytes: int(s.Config.Limits.MessageBytes),
		Presence:     admit.NewPresence(),
		logger:       b.params.Logger,
		born:         b.params.Born,
		hasBound:     make(chan struct{}),
	}
	e.written.Store(&written)
	e.Failures = &failure.Reporter{Incidents: b.params.Incidents, Route: cfg.Path, Types: e.types, MaxBytes: e.MessageBytes}
	switch {
	case cfg.Event.ID == nil:
		e.Mode = sse.Positions
	case *cfg.Event.ID == "":
		e.Mode = sse.None
	default:
		e.Mode = sse.Cursors
	}
	return e
}

// types are those of the backend's schema, or google.rpc's while there is none.
func (e *Endpoint) types() failure.Types {
	if b := e.bound.Load(); b != nil {
		return b.Schema.Resolver(e.Route.RPC)
	}
	return failure.RPCTypes()
}

// Await returns the route's binding, waiting for the upstream's schema for as
// long as an RPC may wait for its place, or until givenUp is closed, which fails with
// ErrLeaving.
func (e *Endpoint) Await(ctx context.Context, givenUp <-chan struct{}) (*Binding, error) {
	// Already bound: without a timeout's context. Topics of retired routes need it, too.
	if b := e.bound.Load(); b != nil {
		return b, b.Err
	}
	ctx, cancel := context.WithTimeout(ctx, e.Backend.OpenTimeout)
	defer cancel()
	select {
	case <-e.hasBound:
		b := e.bound.Load()
		return b, b.Err
	case <-e.Presence.Retired():
		return nil, ErrRetired
	case <-givenUp:
		return nil, ErrLeaving
	case <-ctx.Done():
		return nil, &NoSchemaError{e.Route.Upstream}
	}
}

// Bind binds the route to a schema, unless it is bound to it already. Errors are
// compile's.
func (e *Endpoint) Bind(schema *upstream.Schema) error {
	e.bindMu.Lock()
	defer e.bindMu.Unlock()
	if newest := e.Backend.Schema(); newest != nil {
		schema = newest
	}
	old := e.bound.Load()
	if old != nil && old.Schema == schema {
		return old.Err
	}
	b, err := e.compiler().compile(schema)
	if err != nil {
		b = &Binding{Schema: schema, Err: err}
	}
	e.bound.Store(b)
	if old == nil {
		close(e.hasBound)
	}
	return err
}

// compiler returns the compiler of the route as it was written last.
func (e *Endpoint) compiler() compiler {
	return compiler{route: e.Route, written: *e.written.Load(), messageBytes: e.MessageBytes, logger: e.logger}
}

// OwnRPC reports whether a client without an id has an RPC of its own.
func (e *Endpoint) OwnRPC() bool { return e.Route.Join == config.JoinOwn }

// MaxCatchUp returns how many missed events a client is sent; 0 is any number.
func (e *Endpoint) MaxCatchUp() uint64 {
	if e.Route.Resume == nil {
		return 0
	}
	return uint64(e.Route.Resume.MaxEvents) //nolint:gosec // not negative
}

// Bound returns the newest binding, nil while no schema is known.
func (e *Endpoint) Bound() *Binding { return e.bound.Load() }

// UnknownName stands in the log for a name that the route does not have: a client made it
// up, and it may be a secret that was put in the wrong place.
const UnknownName = "(unknown)"

// OwnName returns the route's own spelling of a name that a request was refused for, and
// UnknownName where the route has none. It is empty for the request as a whole.
func (e *Endpoint) OwnName(name string) string {
	if name == "" || e == nil {
		return ""
	}
	b := e.bound.Load()
	if b == nil || b.Err != nil {
		return UnknownName
	}
	return b.Binder.OwnName(name, UnknownName)
}
