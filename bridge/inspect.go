package bridge

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/upstream"
)

// RouteInfo is what a route is, by its upstream's schema.
type RouteInfo struct {
	Path      string
	Methods   []string
	RPC       string
	Streaming bool     // else unary
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

// Check returns what is wrong with a configuration as far as it can be told
// without the backends: its keys, its templates, and its routes where the
// schema comes from files. The error is config.Errors.
func Check(cfg config.Config, opts Options) error {
	b, err := assemble(cfg, opts)
	if err != nil {
		return err
	}
	return errors.Join(b.bindKnown(), b.closeUpstreams())
}

// Inspect asks the backends for their schemas, waiting for each as long as an
// RPC would wait for its place, and tells what every route is. Routes that do
// not fit are left out and come back as config.Errors.
func Inspect(ctx context.Context, cfg config.Config, opts Options) ([]RouteInfo, error) {
	b, err := assemble(cfg, opts)
	if err != nil {
		return nil, err
	}
	var infos []RouteInfo
	var found config.Errors
	for _, e := range b.endpoints {
		info, err := e.inspect(ctx)
		if err == nil {
			infos = append(infos, info)
			continue
		}
		for _, part := range parts(err) {
			if one, ok := part.(*config.Error); ok { //nolint:errorlint // parts are leaves
				found = append(found, one)
			} else {
				found = append(found, e.errorAt("upstream", "%v", part))
			}
		}
	}
	return infos, errors.Join(joinConfig(found), b.closeUpstreams())
}

func (e *endpoint) inspect(ctx context.Context) (RouteInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(e.bridge.config.Upstreams[e.route.Upstream].OpenTimeout))
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
	return info, nil
}

// Discover asks a backend for all methods that could be bridged, sorted by
// name: the unary and the server-streaming ones. Path and Methods are left
// empty. It waits as long as an RPC would wait for its place.
func Discover(ctx context.Context, cfg config.Upstream, opts Options) ([]RouteInfo, error) {
	const name = "backend"
	whole := config.Config{Upstreams: map[string]config.Upstream{name: cfg}}.WithDefaults()
	b := &Bridge{config: whole, logger: opts.logger(), upstreams: map[string]*upstream.Upstream{}}
	if err := b.dial(opts); err != nil {
		return nil, err
	}
	up := b.upstreams[name]
	ctx, cancel := context.WithTimeout(ctx, time.Duration(whole.Upstreams[name].OpenTimeout))
	defer cancel()
	schema, err := up.AwaitSchema(ctx)
	if err := errors.Join(err, up.Close()); err != nil {
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
