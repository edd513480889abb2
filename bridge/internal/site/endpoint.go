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
	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/cors"
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

// NoSchemaError says that the schema of a route is not known yet, which is a transient
// failure. Only the log has the reason, because it names addresses.
type NoSchemaError struct{ upstream string }

func (e *NoSchemaError) Error() string {
	return "the schema of upstream " + e.upstream + " is not known yet"
}

// GRPCStatus implements the interface that status.FromError looks for.
func (e *NoSchemaError) GRPCStatus() *status.Status { return status.New(codes.Unavailable, e.Error()) }

// Requests that wait for a schema fail with these transient errors: ErrRetired if a reload
// changes or removes the route meanwhile, and ErrLeaving if the bridge begins to leave.
var (
	ErrRetired = status.Error(codes.Unavailable, "come back later: "+string(reason.LeaveReload))
	ErrLeaving = status.Error(codes.Unavailable, "come back later: "+string(reason.LeaveDrain))
)

// Endpoint is a route at run time: its configuration and, once the upstream's schema is
// known, its Binding.
type Endpoint struct {
	ID      uint64                       // unique in the bridge's lifetime
	Route   config.Route                 // with defaults
	written atomic.Pointer[config.Route] // Route without defaults, as the newest configuration writes it
	Backend *Backend
	Mode    sse.Mode
	// MessageBytes is limits.message_bytes.
	MessageBytes int

	CORS     *cors.Policy // nil: none
	Guard    *auth.Guard  // nil: it admits everybody
	Failures *failure.Reporter
	Counts   *observe.RouteCounts // of all endpoints with its path
	Presence *admit.Presence      // counts its requests and streams
	Audience delivery.Audience    // its clients
	Owner    topic.Owner          // of its topics
	// RepeatsCursors is set when two messages in a row have had the same cursor, though
	// event.cursor is unique.
	RepeatsCursors atomic.Bool

	logger *slog.Logger
	born   time.Time // of the bridge

	credentials *credentials // that Guard asks for; nil if it asks for none

	bound    atomic.Pointer[Binding] // the newest; nil until a schema is known
	hasBound chan struct{}           // closed with the first binding
	bindMu   sync.Mutex              // held while binding, so that an older binding never replaces a newer one

	refreshed atomic.Int64 // when a message last caused the schema to be read, by refreshClock
	warned    atomic.Bool  // its warnings were logged
}

// Binding is a route bound to a schema. It is immutable. If the route contradicts the schema,
// only Schema and Err are set.
type Binding struct {
	Schema *upstream.Schema
	Method protoreflect.MethodDescriptor
	Binder *route.Binder
	Plan   *transcode.Plan // of the response
	// Resume sets a cursor in a request; nil if the route has no resume.
	Resume *route.Resume
	// expired is the path of resume.expired.field, by which a message says that a cursor is
	// too old; nil if the route has none.
	expired []protoreflect.FieldDescriptor
	// Warnings are probable mistakes in the configuration, with paths within the route. The
	// route is served nevertheless.
	Warnings config.Errors
	Err      error
}

// Unary reports whether the route's method is unary.
func (b *Binding) Unary() bool { return b.Err == nil && !b.Method.IsStreamingServer() }

// newEndpoint returns the endpoint of a route, which is cfg with defaults and written without.
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
	if e.Guard = s.credentials.guard(cfg.Auth); e.Guard != nil {
		e.credentials = s.credentials
	}
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

// types returns the types of the backend's schema, or those of google.rpc until a schema is
// known.
func (e *Endpoint) types() failure.Types {
	if b := e.bound.Load(); b != nil {
		return b.Schema.Resolver(e.Route.RPC)
	}
	return failure.RPCTypes()
}

// Await returns the route's binding. It waits for the upstream's schema, for open_timeout at
// most, and fails with ErrLeaving when givenUp is closed.
func (e *Endpoint) Await(ctx context.Context, givenUp <-chan struct{}) (*Binding, error) {
	// Fast path: already bound. It allocates no context, and serves topics of retired routes.
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

// Bind binds the route to a schema, or to the backend's newest one if there is a newer one.
// Errors are those of compile.
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

// compiler returns the compiler of the route.
func (e *Endpoint) compiler() compiler {
	c := compiler{route: e.Route, written: *e.written.Load(), messageBytes: e.MessageBytes, logger: e.logger}
	if e.credentials != nil {
		c.tokenNames = e.credentials.queryNames()
	}
	return c
}

// OwnRPC reports whether a client without an id begins with an RPC of its own.
func (e *Endpoint) OwnRPC() bool { return e.Route.Join == config.JoinOwn }

// MaxCatchUp returns the bound of missed events that a client is sent; 0 means no bound.
func (e *Endpoint) MaxCatchUp() uint64 {
	if e.Route.Resume == nil {
		return 0
	}
	return uint64(e.Route.Resume.MaxEvents) //nolint:gosec // not negative
}

// Bound returns the newest binding, nil until a schema is known.
func (e *Endpoint) Bound() *Binding { return e.bound.Load() }

// UnknownName replaces in the log a name that the route does not have. The name comes from
// the client, and may be a misplaced secret.
const UnknownName = "(unknown)"

// OwnName returns the route's spelling of the name that a request was refused for, or
// UnknownName if the route does not have the name. It returns "" for "".
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
