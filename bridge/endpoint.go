package bridge

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
	"github.com/ssebridge/ssebridge/upstream"
)

// noSchemaError says that it is not known yet what a route is: a passing failure.
// Why that is so is the upstream's to log; it names addresses.
type noSchemaError struct{ upstream string }

func (e *noSchemaError) Error() string {
	return "the schema of upstream " + e.upstream + " is not known yet"
}

// GRPCStatus is what status.FromError looks for.
func (e *noSchemaError) GRPCStatus() *status.Status { return status.New(codes.Unavailable, e.Error()) }

// endpoint is a route at run time: its configuration and, once the upstream's
// schema is known, what that makes of it.
type endpoint struct {
	bridge   *Bridge
	id       uint64                       // no other endpoint of the bridge has, or had, the same
	route    config.Route                 // with defaults
	written  atomic.Pointer[config.Route] // as it was written last; with defaults it is route
	upstream *backend
	mode     sse.Mode
	// messageBytes bounds one message of the upstream's.
	messageBytes int

	bound    atomic.Pointer[binding] // the newest; nil while no schema is known
	hasBound chan struct{}           // closed with the first binding
	bindMu   sync.Mutex              // one binding at a time, so that none is replaced by an older one

	refreshed atomic.Int64 // when a message last had the schema read anew, by refreshClock

	failures *failure.Reporter
	warned   atomic.Bool       // whether its warnings were logged
	repeats  repeats           // whether its cursors do though they are to differ
	counts   *routeCounts      // of all endpoints with its path
	present  presence          // its requests and streams
	audience delivery.Audience // its clients
	owner    topic.Owner       // of its topics
}

// binding is a route bound to a schema, immutable. With err the route cannot
// be served by that schema, and nothing else is set.
type binding struct {
	schema *upstream.Schema
	method protoreflect.MethodDescriptor
	binder *route.Binder
	plan   *transcode.Plan // of the response
	// resume puts a cursor into a request, and expired is the path of the field
	// that says in band that it is too old; nil where the route has none.
	resume  *route.Resume
	expired []protoreflect.FieldDescriptor
	// warnings are what is probably a mistake of the configuration, with paths within
	// the route. The route is served.
	warnings config.Errors
	err      error
}

// unary reports whether the route's method answers once.
func (b *binding) unary() bool { return b.err == nil && !b.method.IsStreamingServer() }

// newEndpoint makes a route of a site's configuration, with defaults and as it
// was written.
func (b *Bridge) newEndpoint(s *site, cfg, written config.Route) *endpoint {
	e := &endpoint{
		bridge: b, id: b.endpoints.Add(1), route: cfg,
		upstream:     s.upstreams[cfg.Upstream],
		messageBytes: int(s.config.Limits.MessageBytes),
		hasBound:     make(chan struct{}),
		present:      newPresence(),
	}
	e.written.Store(&written)
	e.failures = &failure.Reporter{Incidents: b.incidents, Route: cfg.Path, Types: e.types, MaxBytes: e.messageBytes}
	switch {
	case cfg.Event.ID == nil:
		e.mode = sse.Positions
	case *cfg.Event.ID == "":
		e.mode = sse.None
	default:
		e.mode = sse.Cursors
	}
	return e
}

// types are those of the backend's schema, or google.rpc's while there is none.
func (e *endpoint) types() failure.Types {
	if b := e.bound.Load(); b != nil {
		return b.schema.Resolver(e.route.RPC)
	}
	return failure.RPCTypes()
}

// await returns the route's binding, waiting for the upstream's schema for as
// long as an RPC may wait for its place, or until givenUp is closed, which fails with
// errLeaving.
func (e *endpoint) await(ctx context.Context, givenUp <-chan struct{}) (*binding, error) {
	// Already bound: without a timeout's context. Topics of retired routes need it, too.
	if b := e.bound.Load(); b != nil {
		return b, b.err
	}
	ctx, cancel := context.WithTimeout(ctx, e.upstream.openTimeout)
	defer cancel()
	select {
	case <-e.hasBound:
		b := e.bound.Load()
		return b, b.err
	case <-e.present.retired:
		return nil, errRetired
	case <-givenUp:
		return nil, errLeaving
	case <-ctx.Done():
		return nil, &noSchemaError{e.route.Upstream}
	}
}

// bind binds the route to a schema, unless it is bound to it already. Errors are
// compile's.
func (e *endpoint) bind(schema *upstream.Schema) error {
	e.bindMu.Lock()
	defer e.bindMu.Unlock()
	if newest := e.upstream.Schema(); newest != nil {
		schema = newest
	}
	old := e.bound.Load()
	if old != nil && old.schema == schema {
		return old.err
	}
	b, err := e.compile(schema)
	if err != nil {
		b = &binding{schema: schema, err: err}
	}
	e.bound.Store(b)
	if old == nil {
		close(e.hasBound)
	}
	return err
}

// compile finds out what the route is by a schema. Errors are config.Errors, with
// paths within the route.
func (e *endpoint) compile(schema *upstream.Schema) (*binding, error) {
	method, err := schema.Method(e.route.RPC)
	if err != nil {
		return nil, joinConfig(config.Errorf("rpc", "%v", err))
	}
	if method.IsStreamingClient() {
		return nil, joinConfig(config.Errorf("rpc",
			"%s takes a stream of requests, which a browser cannot send; only unary and server-streaming methods can be bridged", e.route.RPC))
	}
	binder, bindErr := route.Compile(e.spec(), method.Input(), schema.Resolver(e.route.RPC))
	plan, planErr := transcode.Compile(method.Output(), e.transcoding(schema))
	b := &binding{schema: schema, method: method, binder: binder, plan: plan}
	err = joinConfig(e.checkKind(method), e.specErrors(bindErr), e.tapErrors(planErr), e.compileResume(b))
	if err == nil {
		err = joinConfig(e.checkNames(plan))
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// spec is what the route's configuration says about requests.
func (e *endpoint) spec() route.Spec {
	request := e.route.Request
	template, err := route.ParseTemplate(e.route.Path)
	if err != nil {
		panic(err) // the table has parsed it
	}
	spec := route.Spec{
		Params:   template.Params(),
		Query:    route.Fields{All: request.Query.All, Paths: request.Query.Paths},
		Set:      request.Set,
		Headers:  request.Headers,
		Reserved: lastEventIDNames(),
		Ignored:  request.Ignore,
		Resume:   e.resumeSpec(),
	}
	if request.Body != nil {
		spec.Body = route.Fields{All: request.Body.All, Paths: request.Body.Paths}
	}
	for _, m := range request.Metadata {
		spec.Metadata = append(spec.Metadata, route.Metadata{Name: m.Name, Key: m.Key == nil || *m.Key})
	}
	return spec
}

// transcoding is what the route's configuration says about events.
func (e *endpoint) transcoding(schema *upstream.Schema) transcode.Options {
	event := e.route.Event
	options := transcode.Options{
		EmitDefaults: event.EmitDefaults,
		ProtoNames:   event.ProtoNames,
		EnumNumbers:  event.EnumNumbers,
		Resolver:     schema.Resolver(e.route.RPC),
		MaxBytes:     4 * e.messageBytes,
	}
	if event.ID != nil {
		options.Taps.ID = *event.ID
	}
	options.Taps.Name = transcode.NameTap{Field: event.Name.Field, Oneof: event.Name.Oneof}
	options.Taps.Data = transcode.DataTap{Field: event.Data.Field, Oneof: event.Data.Oneof}
	return options
}

// specErrors says where in the configuration a binder's errors belong.
func (e *endpoint) specErrors(err error) error {
	var found config.Errors
	for _, part := range parts(err) {
		spec := new(route.SpecError)
		if !errors.As(part, &spec) {
			return part
		}
		found = append(found, config.Errorf(spec.Key, "%s", spec.Message))
	}
	return joinConfig(found)
}

// tapErrors does the same for a plan's.
func (e *endpoint) tapErrors(err error) error {
	var found config.Errors
	for _, part := range parts(err) {
		tap := new(transcode.TapError)
		if !errors.As(part, &tap) {
			return part
		}
		key := "event." + tap.Tap
		switch {
		case key == "event.name" && e.route.Event.Name.Field != "", key == "event.data" && e.route.Event.Data.Field != "":
			key += ".field"
		case key != "event.id":
			key += ".oneof"
		}
		found = append(found, config.Errorf(key, "%s", tap.Message))
	}
	return joinConfig(found)
}

// checkNames checks the event names that are known from the schema.
func (e *endpoint) checkNames(plan *transcode.Plan) error {
	seen := map[string]string{}
	for _, name := range plan.NameConstants() {
		shown := string(sse.AppendName(nil, []byte(name)))
		if other, taken := seen[shown]; taken {
			return config.Errorf("event.name",
				"%q and %q would both be sent as the event name %q; choose another field or oneof, or a constant", other, name, shown)
		}
		seen[shown] = name
		if shown != name {
			e.bridge.logger.Warn("an event name is reserved or too long and is sent under another", "route", e.route.Path, "name", name, "sent_as", shown)
		}
	}
	return nil
}

// checkKind returns an error for each key that has no effect on a method of this kind.
func (e *endpoint) checkKind(method protoreflect.MethodDescriptor) error {
	if method.IsStreamingServer() {
		if e.written.Load().Timeout != 0 {
			return config.Errorf("timeout", "is for unary methods, and %s is a stream; leave it out, or use max_age", e.route.RPC)
		}
		if e.route.Safe {
			return config.Errorf("safe", "is for unary methods, and %s is a stream, which GET may open anyway; leave it out", e.route.RPC)
		}
		return nil
	}
	var found config.Errors
	for _, key := range streamKeys(*e.written.Load()) {
		found = append(found, config.Errorf(key, "is for streams, and rpc %s is a unary method, which answers once, as plain JSON; leave it out", e.route.RPC))
	}
	for _, verb := range e.route.Methods {
		if verb == http.MethodGet && !e.route.Safe && !hasNoSideEffects(method) {
			found = append(found, config.Errorf("methods",
				"%s is unary and may change something, which a GET must not; write methods: [POST], or safe: true if it changes nothing",
				e.route.RPC))
		}
	}
	return joinConfig(found)
}

// hasNoSideEffects reports whether the schema declares a method free of side
// effects.
func hasNoSideEffects(method protoreflect.MethodDescriptor) bool {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// streamKeys names the keys of a route, as written, that only streams have.
func streamKeys(r config.Route) []string {
	written := map[string]bool{
		"event.id":       r.Event.ID != nil,
		"resume":         r.Resume != nil,
		"reconnect":      r.Reconnect != nil,
		"event.cursor":   r.Event.Cursor != "",
		"event.name":     r.Event.Name != config.EventName{},
		"event.data":     r.Event.Data != config.EventData{},
		"join":           r.Join != "",
		"replay":         r.Replay != config.Replay{},
		"share":          r.Share,
		"slow_client":    r.SlowClient != "",
		"write_timeout":  r.WriteTimeout != 0,
		"on_complete":    r.OnComplete != "",
		"on_bad_message": r.OnBadMessage != "",
		"open_grace":     r.OpenGrace != nil,
		"heartbeat":      r.Heartbeat != config.Heartbeat{},
		"retry":          r.Retry != 0,
		"max_age":        r.MaxAge != 0,
		"idle_timeout":   r.IdleTimeout != 0,
		"compress":       r.Compress != nil,
		"trailers":       len(r.Trailers) > 0,
		"done":           r.Done != "",
	}
	maps.DeleteFunc(written, func(_ string, set bool) bool { return !set })
	return slices.Sorted(maps.Keys(written))
}
