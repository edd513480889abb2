package bridge

import (
	"context"
	"errors"
	"maps"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
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
		Safe:      !method.IsStreamingServer() && site.HasNoSideEffects(method),
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
	s, err := b.sites.Make(cfg, nil)
	if err == nil {
		err = errors.Join(s.BindKnown(), s.Release())
	}
	return errors.Join(err, b.log.close())
}

// Inspect asks the backends for their schemas and describes every route. A backend
// that is away is waited for as long as an RPC would wait for its place. Routes
// that do not fit are left out and come back as config.Errors; so do upstreams
// without a schema, once each, at the key to look at.
func Inspect(ctx context.Context, cfg config.Config, opts Options) ([]RouteInfo, error) {
	b := newBridge(opts)
	s, err := b.sites.Make(cfg, nil)
	if err != nil {
		_ = b.log.close() // err matters more
		return nil, err
	}
	asked := s.Ask(ctx)
	var infos []RouteInfo
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		if err := asked[name].Err; err != nil {
			wrong = append(wrong, site.SchemaError(name, err))
		}
	}
	for i, e := range s.Endpoints {
		answer := asked[e.Route.Upstream]
		if answer.Err != nil {
			continue
		}
		info, err := inspect(e, answer.Schema)
		if err != nil {
			wrong = append(wrong, configerr.AtRoute(i, err))
			continue
		}
		info.Warnings = configerr.In(configerr.AtRoute(i, e.Bound().Warnings))
		infos = append(infos, info)
	}
	return infos, errors.Join(configerr.Join(wrong...), s.Release(), b.log.close())
}

// inspect describes the route by a schema.
func inspect(e *site.Endpoint, schema *upstream.Schema) (RouteInfo, error) {
	if err := e.Bind(schema); err != nil {
		return RouteInfo{}, err
	}
	info := infoOf(e.Bound().Method)
	info.Path, info.Methods = e.Route.Path, e.Route.Methods
	info.Sharing = sharingOf(e.Route, info.Streaming)
	return info, nil
}

// Discover asks a backend for all its methods, sorted by name, also those that
// cannot be bridged, and for the services behind them that it cannot describe, which
// have a Fault. Path and Methods are left empty. A backend that is away is
// waited for as long as an RPC would wait for its place. Errors of the schema are
// config.Errors, as of an upstream called backend.
func Discover(ctx context.Context, cfg config.Upstream, opts Options) ([]RouteInfo, error) {
	const name = "backend"
	b := newBridge(opts)
	schema, err := b.sites.Ask(ctx, name, cfg)
	if err := errors.Join(err, b.log.close()); err != nil {
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

// CheckPaths returns what is wrong with the routes' path templates, and which
// of them match the same request, as config.Errors: a check for config.Load.
func CheckPaths(cfg config.Config) error {
	_, err := site.NewTable(cfg.WithDefaults().Routes)
	return err
}
