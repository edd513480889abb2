package bridge

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/upstream"
)

// RouteInfo describes a route by its upstream's schema.
type RouteInfo struct {
	Path      string
	Methods   []string
	RPC       string
	Streaming bool     // the method is server-streaming, not unary
	Uploading bool     // the method takes a stream of requests, and cannot be bridged
	Safe      bool     // the method is unary, and declares that it has no side effects
	Sharing   string   // which clients share the RPC of a stream, as text
	Request   string   // the full name of the request message
	Fields    []string // the names of its fields
	Event     string   // the full name of the message that becomes an event, or the response
	Fault     string   // why the schema of a service cannot be read; RPC is the service's name
	// Cursor has the fields that look like a cursor by their names and types; the zero value
	// means none. Only the backend's documentation can confirm it.
	Cursor CursorFields
	// Warnings are probable mistakes in the route's configuration. The route is served
	// nevertheless.
	Warnings config.Errors
}

// infoOf describes a method.
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

// sharingOf describes for operators which clients of a route share an RPC.
func sharingOf(r config.Route, issuers config.Issuers, streaming bool) string {
	switch {
	case streaming && r.Share && r.Auth.Mode != config.AuthNone:
		open := r
		open.Auth.Mode = config.AuthNone
		return sharingOf(open, nil, true) + ", " + amongOf(issuers)
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

// amongOf describes which clients of issuers may share.
func amongOf(issuers config.Issuers) string {
	var among []string
	for _, i := range issuers {
		text := "by one identity"
		switch {
		case i.Key != nil && len(i.Key) == 0:
			text = "by everybody"
		case i.Key != nil:
			text = "by equal " + strings.Join(i.Key, ", ")
		}
		if !slices.Contains(among, text) {
			among = append(among, text)
		}
	}
	return strings.Join(among, " or ")
}

// Check returns all errors of a configuration that can be found without the backends: in its
// keys, its path templates, and its routes if the schema comes from files. The error is
// config.Errors.
func Check(cfg config.Config, opts Options) error {
	b := newBridge(opts)
	s, err := b.sites.Make(cfg, nil)
	if err == nil {
		err = errors.Join(s.BindKnown(), s.Release())
	}
	return errors.Join(err, b.log.close())
}

// Inspect asks the backends for their schemas and describes every route. It waits for an
// absent backend no longer than open_timeout. The error is config.Errors: one for each route
// that contradicts its schema, and one for each upstream without a schema. Their routes are
// left out.
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
		info, err := inspect(e, s.Config.Auth.JWT, answer.Schema)
		if err != nil {
			wrong = append(wrong, configerr.AtRoute(i, err))
			continue
		}
		info.Warnings = configerr.In(configerr.AtRoute(i, e.Bound().Warnings))
		infos = append(infos, info)
	}
	return infos, errors.Join(configerr.Join(wrong...), s.Release(), b.log.close())
}

// inspect binds a route to a schema and describes it.
func inspect(e *site.Endpoint, issuers config.Issuers, schema *upstream.Schema) (RouteInfo, error) {
	if err := e.Bind(schema); err != nil {
		return RouteInfo{}, err
	}
	info := infoOf(e.Bound().Method)
	info.Path, info.Methods = e.Route.Path, e.Route.Methods
	info.Sharing = sharingOf(e.Route, issuers, info.Streaming)
	return info, nil
}

// Discover asks a backend for its methods, sorted by name, including those that cannot be
// bridged. After them it returns the services whose schema cannot be read, with a Fault. Path
// and Methods are empty. It waits for an absent backend no longer than open_timeout. Errors
// of the schema are config.Errors of an upstream named backend.
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

// CheckPaths returns an error for each path template that is wrong, or that matches a request
// of another route, as config.Errors. It is a check for config.Load.
func CheckPaths(cfg config.Config) error {
	_, err := site.NewTable(cfg.WithDefaults().Routes)
	return err
}
