package bridge

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/upstream"
)

// RouteInfo is what a route is, by its upstream's schema.
type RouteInfo struct {
	Path      string
	Methods   []string
	RPC       string
	Streaming bool     // answers with a stream, else once
	Uploading bool     // takes a stream of requests, so that it cannot be bridged
	Safe      bool     // unary, and the schema says that it has no side effects
	Sharing   string   // which clients share an RPC of a stream, in words
	Request   string   // the full name of the request message
	Fields    []string // the names of its fields
	Event     string   // the full name of the message that becomes an event, or the response
	Fault     string   // why the schema of a service, which RPC names then, cannot be read
	// Cursor is what looks like a cursor by its names and types; the zero value is nothing.
	// Only the backend's contract can say whether it is one.
	Cursor CursorFields
	// Warnings are what is probably a mistake of the route's configuration. The route is
	// served.
	Warnings config.Errors
}

// infoOf tells what a method is.
func infoOf(method protoreflect.MethodDescriptor) RouteInfo {
	info := RouteInfo{
		RPC:       string(method.Parent().FullName()) + "/" + string(method.Name()),
		Streaming: method.IsStreamingServer(),
		Uploading: method.IsStreamingClient(),
		Safe:      !method.IsStreamingServer() && hasNoSideEffects(method),
		Request:   string(method.Input().FullName()),
		Event:     string(method.Output().FullName()),
	}
	fields := method.Input().Fields()
	for i := range fields.Len() {
		info.Fields = append(info.Fields, string(fields.Get(i).Name()))
	}
	if info.Streaming {
		info.Cursor = cursorFieldsOf(method)
	}
	return info
}

// sharingOf says which clients of a route share an RPC, as operators read it.
func sharingOf(r config.Route, streaming bool) string {
	switch {
	case !streaming:
		return ""
	case !r.Share:
		return "own RPC per client"
	case r.Join == config.JoinOwn:
		return "shared, joins by an own RPC"
	default:
		return "shared, joins " + r.Join
	}
}

// Check returns what is wrong with a configuration as far as it can be told
// without the backends: its keys, its templates, and its routes where the
// schema comes from files. The error is config.Errors.
func Check(cfg config.Config, opts Options) error {
	b := newBridge(opts)
	s, err := b.assemble(cfg, nil)
	if err == nil {
		err = errors.Join(s.bindKnown(), s.release())
	}
	return errors.Join(err, b.closeLog())
}

// Inspect asks the backends for their schemas and describes every route. A backend
// that is away is waited for as long as an RPC would wait for its place. Routes
// that do not fit are left out and come back as config.Errors; so do upstreams
// without a schema, once each, at the key to look at.
func Inspect(ctx context.Context, cfg config.Config, opts Options) ([]RouteInfo, error) {
	b := newBridge(opts)
	s, err := b.assemble(cfg, nil)
	if err != nil {
		_ = b.closeLog() // err matters more
		return nil, err
	}
	asked := s.ask(ctx)
	var infos []RouteInfo
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		if err := asked[name].err; err != nil {
			wrong = append(wrong, schemaError(name, err))
		}
	}
	for i, e := range s.endpoints {
		answer := asked[e.route.Upstream]
		if answer.err != nil {
			continue
		}
		info, err := e.inspect(answer.schema)
		if err != nil {
			wrong = append(wrong, atRoute(i, err))
			continue
		}
		info.Warnings = configErrors(atRoute(i, e.bound.Load().warnings))
		infos = append(infos, info)
	}
	return infos, errors.Join(joinConfig(wrong...), s.release(), b.closeLog())
}

// schemaAnswer is an upstream's answer to the request for its schema.
type schemaAnswer struct {
	schema *upstream.Schema
	err    error
}

// ask asks the upstreams of all routes for their schemas, at the same time.
func (s *site) ask(ctx context.Context) map[string]*schemaAnswer {
	answers := map[string]*schemaAnswer{}
	var wg sync.WaitGroup
	for _, e := range s.endpoints {
		if answers[e.route.Upstream] != nil {
			continue
		}
		answer := &schemaAnswer{}
		answers[e.route.Upstream] = answer
		wg.Go(func() { answer.schema, answer.err = e.upstream.ask(ctx) })
	}
	wg.Wait()
	return answers
}

// ask asks the backend for its schema, for as long as an RPC would wait for its place.
func (u *backend) ask(ctx context.Context) (*upstream.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, u.openTimeout)
	defer cancel()
	return u.AskSchema(ctx)
}

// schemaError says why an upstream has no schema, at its target where it is away and
// at its schema where it answers.
func schemaError(name string, err error) *config.Error {
	why := upstream.Explain(err)
	if status.Code(err) == codes.Unavailable && !errors.Is(err, upstream.ErrDescriptors) {
		return configError("the backend cannot be reached: "+why, "upstreams.%s.target", name)
	}
	return configError(why, "upstreams.%s.schema", name)
}

// inspect describes the route by a schema.
func (e *endpoint) inspect(schema *upstream.Schema) (RouteInfo, error) {
	if err := e.bind(schema); err != nil {
		return RouteInfo{}, err
	}
	info := infoOf(e.bound.Load().method)
	info.Path, info.Methods = e.route.Path, e.route.Methods
	info.Sharing = sharingOf(e.route, info.Streaming)
	return info, nil
}

// Discover asks a backend for all its methods, sorted by name, also those that
// cannot be bridged, and for the services behind them that it cannot describe, which
// have a Fault. Path and Methods are left empty. A backend that is away is
// waited for as long as an RPC would wait for its place. Errors of the schema are
// config.Errors, as of an upstream called backend.
func Discover(ctx context.Context, cfg config.Upstream, opts Options) ([]RouteInfo, error) {
	const name = "backend"
	whole := config.Config{Upstreams: map[string]config.Upstream{name: cfg}}.WithDefaults()
	s := &site{config: whole, upstreams: map[string]*backend{}}
	b := newBridge(opts)
	if err := b.dial(s, nil); err != nil {
		_ = b.closeLog() // err matters more
		return nil, err
	}
	schema, err := s.upstreams[name].ask(ctx)
	if err != nil {
		err = joinConfig(schemaError(name, err))
	}
	if err := errors.Join(err, s.release(), b.closeLog()); err != nil {
		return nil, err
	}
	var infos []RouteInfo
	for _, method := range schema.Methods() {
		infos = append(infos, infoOf(method))
	}
	for service, err := range schema.Unreadable() {
		infos = append(infos, RouteInfo{RPC: service, Fault: upstream.Explain(err)})
	}
	return infos, nil
}
