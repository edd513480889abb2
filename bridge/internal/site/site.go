// Package site is a configuration at run time: its endpoints, which are routes bound to
// schemas, and its backends.
package site

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/upstream"
)

// Params are what all sites of a bridge have in common.
type Params struct {
	Logger    *slog.Logger
	Incidents *failure.Incidents
	Born      time.Time // when the bridge was made
	// Conns and Descriptors are those of bridge.Options, by the upstream's name.
	Conns       map[string]grpc.ClientConnInterface
	Descriptors map[string]*protoregistry.Files
}

// Sites makes the sites of a bridge, and holds the one by which requests are served. Its
// methods are safe for concurrent use.
type Sites struct {
	params    Params
	current   atomic.Pointer[Site]
	endpoints atomic.Uint64 // made so far
}

// NewSites makes the sites of a bridge, which has none yet.
func NewSites(params Params) *Sites { return &Sites{params: params} }

// Current returns the site by which requests are served.
func (b *Sites) Current() *Site { return b.current.Load() }

// Site is a configuration at run time: what a reload puts another one in place of. It does
// not change once it is the bridge's.
type Site struct {
	Config    config.Config // with defaults
	Written   config.Limits // without
	Hash      string        // of the configuration
	Table     *route.Table
	Endpoints []*Endpoint // by the route's index
	Backends  map[string]*Backend
	Counts    map[string]*observe.RouteCounts // by path
}

// Make makes a site whose new routes are not bound to schemas yet. Of the one before, which
// may be nil, it has the backends that are the same. It is to be released. Errors are
// config.Errors.
func (b *Sites) Make(cfg config.Config, old *Site) (*Site, error) {
	cfg.Upstreams = withConnections(cfg.Upstreams, b.params.Conns)
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	full := cfg.WithDefaults()
	s := &Site{
		Config: full, Written: cfg.Limits, Hash: fingerprint(full),
		Backends: make(map[string]*Backend, len(full.Upstreams)), Counts: make(map[string]*observe.RouteCounts, len(full.Routes)),
	}
	var tableErr error
	s.Table, tableErr = NewTable(full.Routes)
	if err := configerr.Join(tableErr, b.dial(s, old)); err != nil {
		return nil, b.Discard(s, err)
	}
	for i := range full.Routes {
		e := b.newEndpoint(s, full.Routes[i], cfg.Routes[i])
		e.Counts = s.countsFor(e.Route.Path, old)
		s.Endpoints = append(s.Endpoints, e)
	}
	return s, nil
}

// Ask asks a backend of this configuration, with defaults, for its schema.
func (b *Sites) Ask(ctx context.Context, name string, cfg config.Upstream) (*upstream.Schema, error) {
	s := &Site{Config: config.Config{Upstreams: map[string]config.Upstream{name: cfg}}.WithDefaults(), Backends: map[string]*Backend{}}
	if err := b.dial(s, nil); err != nil {
		return nil, err
	}
	schema, err := s.Backends[name].Ask(ctx)
	if err != nil {
		err = configerr.Join(SchemaError(name, err))
	}
	return schema, errors.Join(err, s.Release())
}

// Discard lets go of a site that is not to be. The error is why.
func (b *Sites) Discard(s *Site, why error) error {
	if err := s.Release(); err != nil {
		b.params.Logger.Warn("closing an upstream of a configuration that was refused", "error", err)
	}
	return why
}

// Open serves requests by a site, and follows its backends, from now on.
func (b *Sites) Open(s *Site) {
	for _, up := range s.Backends {
		up.CatchUps.SetLimit(s.Config.Limits.Catchups)
	}
	b.current.Store(s)
	for _, up := range s.Backends {
		if up.stop != nil {
			// Its follower may have looked at the site before.
			b.bindTo(up)
			continue
		}
		ctx, stop := context.WithCancel(context.Background())
		up.stop = stop
		up.following.Go(func() { b.follow(ctx, up) })
	}
}

// countsFor returns the counts of a path: those that it has already in this site, or in
// the one before, which may be nil.
func (s *Site) countsFor(path string, old *Site) *observe.RouteCounts {
	if s.Counts[path] == nil && old != nil {
		s.Counts[path] = old.Counts[path]
	}
	if s.Counts[path] == nil {
		s.Counts[path] = observe.NewRouteCounts()
	}
	return s.Counts[path]
}

// Release lets go of the site's backends.
func (s *Site) Release() error {
	all := make([]error, 0, len(s.Backends))
	for _, up := range s.Backends {
		all = append(all, up.release())
	}
	return errors.Join(all...)
}

// TakeOver puts the endpoints of the site before in place of those that are the
// same, and returns the ones that are left over there.
func (s *Site) TakeOver(old *Site) (left []*Endpoint) {
	byPath := map[string][]*Endpoint{}
	for _, e := range s.Endpoints {
		byPath[e.Route.Path] = append(byPath[e.Route.Path], e)
	}
	kept := map[*Endpoint]*Endpoint{} // by the one that it replaces
	for _, e := range old.Endpoints {
		twin := e.among(byPath[e.Route.Path])
		if twin == nil {
			left = append(left, e)
			continue
		}
		kept[twin] = e
	}
	for i, e := range s.Endpoints {
		if same := kept[e]; same != nil {
			same.written.Store(e.written.Load())
			s.Endpoints[i] = same
		}
	}
	return left
}

// among returns the endpoint that serves what e does, as e does, or nil. A route
// that contradicted the schema, where another may not any more, is not the same.
func (e *Endpoint) among(others []*Endpoint) *Endpoint {
	if bound := e.bound.Load(); bound != nil && bound.Err != nil {
		return nil
	}
	for _, other := range others {
		if e.Backend == other.Backend && e.MessageBytes == other.MessageBytes && reflect.DeepEqual(e.Route, other.Route) {
			return other
		}
	}
	return nil
}

// TopicLimits are the bounds of all topics.
func (s *Site) TopicLimits() topic.Limits {
	limits := s.Config.Limits
	return topic.Limits{Topics: limits.Topics, Idle: limits.IdleTopics, Bytes: int64(limits.ReplayBytes)}
}

// withConnections names the target of upstreams that need none, since they
// come with a connection.
func withConnections(upstreams map[string]config.Upstream, conns map[string]grpc.ClientConnInterface) map[string]config.Upstream {
	named := maps.Clone(upstreams)
	for name, cfg := range named {
		if conns[name] != nil && cfg.Target == "" {
			cfg.Target = "passthrough:///" + name
			named[name] = cfg
		}
	}
	return named
}

// NewTable makes the table of some routes, with defaults. The error is config.Errors: path
// templates that are wrong, and routes that match the same request.
func NewTable(routes []config.Route) (*route.Table, error) {
	entries := make([]route.Entry, len(routes))
	for i, r := range routes {
		entries[i] = EntryOf(r)
	}
	table, err := route.NewTable(entries)
	var found config.Errors
	for _, err := range configerr.Parts(err) {
		var template *route.TemplateError
		var conflict *route.ConflictError
		switch {
		case errors.As(err, &template):
			found = append(found, configerr.New(template.Err.Error(), "routes[%d].path", template.Index))
		case errors.As(err, &conflict):
			found = append(found, configerr.New(fmt.Sprintf(
				"%s %s matches routes[%d] (%s) too; no request may match two routes",
				conflict.Method, conflict.Path, conflict.First, conflict.Templates[0],
			), "routes[%d].path", conflict.Second))
		default:
			return nil, err
		}
	}
	return table, configerr.Join(found)
}

// EntryOf returns what the table of routes knows of a route.
func EntryOf(r config.Route) route.Entry { return route.Entry{Path: r.Path, Methods: r.Methods} }
