package bridge

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// RouteInfo is what a route is, by its upstream's schema.
type RouteInfo struct {
	Path      string
	Methods   []string
	RPC       string
	Streaming bool     // else unary
	Sharing   string   // which clients share an RPC of a stream, in words
	Request   string   // the full name of the request message
	Fields    []string // the names of its fields
	Event     string   // the full name of the message that becomes an event, or the response
}

// infoOf tells what a method is.
func infoOf(method protoreflect.MethodDescriptor) RouteInfo {
	info := RouteInfo{
		RPC:       string(method.Parent().FullName()) + "/" + string(method.Name()),
		Streaming: method.IsStreamingServer(),
		Request:   string(method.Input().FullName()),
		Event:     string(method.Output().FullName()),
	}
	fields := method.Input().Fields()
	for i := range fields.Len() {
		info.Fields = append(info.Fields, string(fields.Get(i).Name()))
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

// Inspect asks the backends for their schemas, waiting for each as long as an
// RPC would wait for its place, and tells what every route is. Routes that do
// not fit are left out and come back as config.Errors.
func Inspect(ctx context.Context, cfg config.Config, opts Options) ([]RouteInfo, error) {
	b := newBridge(opts)
	s, err := b.assemble(cfg, nil)
	if err != nil {
		_ = b.closeLog() // err matters more
		return nil, err
	}
	var infos []RouteInfo
	var found config.Errors
	for i, e := range s.endpoints {
		info, err := e.inspect(ctx)
		if err == nil {
			infos = append(infos, info)
			continue
		}
		for _, part := range parts(atRoute(i, err)) {
			if one, ok := part.(*config.Error); ok { //nolint:errorlint // parts are leaves
				found = append(found, one)
			} else {
				found = append(found, configError(fmt.Sprint(part), "routes[%d].upstream", i))
			}
		}
	}
	return infos, errors.Join(joinConfig(found), s.release(), b.closeLog())
}

func (e *endpoint) inspect(ctx context.Context) (RouteInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, e.upstream.openTimeout)
	defer cancel()
	schema, err := e.upstream.AwaitSchema(ctx)
	if err != nil {
		return RouteInfo{}, err
	}
	if err := e.bind(schema); err != nil {
		return RouteInfo{}, err
	}
	info := infoOf(e.bound.Load().method)
	info.Path, info.Methods = e.route.Path, e.route.Methods
	info.Sharing = sharingOf(e.route, info.Streaming)
	return info, nil
}

// Discover asks a backend for all methods that could be bridged, sorted by
// name: the unary and the server-streaming ones. Path and Methods are left
// empty. It waits as long as an RPC would wait for its place.
func Discover(ctx context.Context, cfg config.Upstream, opts Options) ([]RouteInfo, error) {
	const name = "backend"
	whole := config.Config{Upstreams: map[string]config.Upstream{name: cfg}}.WithDefaults()
	s := &site{config: whole, upstreams: map[string]*backend{}}
	b := newBridge(opts)
	if err := b.dial(s, nil); err != nil {
		_ = b.closeLog() // err matters more
		return nil, err
	}
	up := s.upstreams[name]
	ctx, cancel := context.WithTimeout(ctx, up.openTimeout)
	defer cancel()
	schema, err := up.AwaitSchema(ctx)
	if err := errors.Join(err, s.release(), b.closeLog()); err != nil {
		return nil, err
	}
	var infos []RouteInfo
	for _, method := range schema.Methods() {
		if !method.IsStreamingClient() {
			infos = append(infos, infoOf(method))
		}
	}
	return infos, nil
}
