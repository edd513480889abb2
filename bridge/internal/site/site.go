// Package site has a configuration at run time: its endpoints, which are routes bound to
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
	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/cors"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/upstream"
)

// Params are the parameters that all sites of a bridge share.
type Params struct {
	Logger    *slog.Logger
	Incidents *failure.Incidents
	Born      time.Time // when the bridge was made
	// Conns and Descriptors are those of bridge.Options, by the upstream's name.
	Conns       map[string]grpc.ClientConnInterface
	Descriptors map[string]*protoregistry.Files
	// Authenticate is that of bridge.Options; nil: none.
	Authenticate auth.Own
}

// Sites makes the sites of a bridge, and has the current one, by which requests are served.
// Its methods are safe for concurrent use.
type Sites struct {
	params    Params
	current   atomic.Pointer[Site]
	endpoints atomic.Uint64 // the newest endpoint's ID
}

// NewSites returns Sites without a current site.
func NewSites(params Params) *Sites { return &Sites{params: params} }

// Current returns the site by which requests are served, nil before Open.
func (b *Sites) Current() *Site { return b.current.Load() }

// Site is a configuration at run time. A reload replaces it. It does not change once it is
// the current site.
type Site struct {
	Config    config.Config // with defaults
	Written   config.Limits // without defaults
	Hash      string        // of the configuration
	Table     *route.Table
	CORS      *cors.Policy // of requests that no route takes; nil: none
	Endpoints []*Endpoint  // by the route's index
	Backends  map[string]*Backend
	Counts    map[string]*observe.RouteCounts // by path

	credentials *credentials
}

// Make returns a site whose routes are not bound to schemas yet. It shares unchanged backends
// with the old site, which may be nil. The caller releases it. Errors are config.Errors.
func (b *Sites) Make(cfg config.Config, old *Site) (*Site, error) {
	cfg.Upstreams = withConnections(cfg.Upstreams, b.params.Conns)
	full := cfg.WithDefaults()
	table, tableErr := NewTable(full.Routes)
	if err := cfg.Validate(); err != nil {
		return nil, configerr.Add(err, tableErr)
	}
	s := &Site{
		Config: full, Written: cfg.Limits, Hash: fingerprint(full), Table: table, credentials: b.credentialsOf(full.Auth, old),
		Backends: make(map[string]*Backend, len(full.Upstreams)), Counts: make(map[string]*observe.RouteCounts, len(full.Routes)),
	}
	if err := configerr.Join(tableErr, b.checkAuth(full), b.addBackends(s, old)); err != nil {
		return nil, b.Discard(s, err)
	}
	policies := policies{}
	s.CORS = policies.of(full.CORS, nil)
	for i := range full.Routes {
		e := b.newEndpoint(s, full.Routes[i], cfg.Routes[i])
		e.CORS = policies.of(e.Route.CORS, table.Methods(i))
		e.Counts = s.countsFor(e.Route.Path, old)
		s.Endpoints = append(s.Endpoints, e)
	}
	return s, nil
}

// Ask asks the backend of an upstream's configuration for its schema.
func (b *Sites) Ask(ctx context.Context, name string, cfg config.Upstream) (*upstream.Schema, error) {
	s := &Site{Config: config.Config{Upstreams: map[string]config.Upstream{name: cfg}}.WithDefaults(), Backends: map[string]*Backend{}}
	s.credentials = b.credentialsOf(s.Config.Auth, nil)
	if err := b.addBackends(s, nil); err != nil {
		return nil, err
	}
	schema, err := s.Backends[name].Ask(ctx)
	if err != nil {
		err = configerr.Join(SchemaError(name, err))
	}
	return schema, errors.Join(err, s.Release())
}

// Discard releases a site that is not opened, and returns why.
func (b *Sites) Discard(s *Site, why error) error {
	if err := s.Release(); err != nil {
		b.params.Logger.Warn("closing an upstream of a configuration that was refused", "error", err)
	}
	return why
}

// Open makes a site the current one, and follows the schemas of its backends.
func (b *Sites) Open(s *Site) {
	for _, up := range s.Backends {
		up.CatchUps.SetLimit(s.Config.Limits.Catchups)
	}
	s.credentials.tokens.Start()
	b.current.Store(s)
	for _, up := range s.Backends {
		if up.stop != nil {
			// The follower may have bound the old site's endpoints only.
			b.bindTo(up)
			continue
		}
		ctx, stop := context.WithCancel(context.Background())
		up.stop = stop
		up.following.Go(func() { b.follow(ctx, up) })
	}
}

// countsFor returns the counters of a path, which it shares with other routes of the path and
// with the old site, which may be nil.
func (s *Site) countsFor(path string, old *Site) *observe.RouteCounts {
	if s.Counts[path] == nil && old != nil {
		s.Counts[path] = old.Counts[path]
	}
	if s.Counts[path] == nil {
		s.Counts[path] = observe.NewRouteCounts()
	}
	return s.Counts[path]
}

// Release ends the site's use of its backends.
func (s *Site) Release() error {
	all := make([]error, 0, len(s.Backends))
	for _, up := range s.Backends {
		all = append(all, up.release())
	}
	s.credentials.release()
	return errors.Join(all...)
}

// Close ends what the last site of a bridge uses, and returns when its goroutines have ended.
func (s *Site) Close() error {
	all := make([]error, 0, len(s.Backends))
	for _, up := range s.Backends {
		all = append(all, up.Close())
	}
	s.credentials.tokens.Close()
	return errors.Join(all...)
}

// TakeOver replaces endpoints of the site by equal ones of the old site, and returns the
// endpoints of the old site that have no equal.
func (s *Site) TakeOver(old *Site) (left []*Endpoint) {
	byPath := map[string][]*Endpoint{}
	for _, e := range s.Endpoints {
		byPath[e.Route.Path] = append(byPath[e.Route.Path], e)
	}
	kept := map[*Endpoint]*Endpoint{} // old endpoints, by the new ones that they replace
	for _, e := range old.Endpoints {
		twin := e.equalIn(byPath[e.Route.Path])
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

// equalIn returns the endpoint that serves the same requests in the same way as e, or nil. An
// endpoint that contradicts its schema has no equal, because a new one may not contradict it.
func (e *Endpoint) equalIn(others []*Endpoint) *Endpoint {
	if bound := e.bound.Load(); bound != nil && bound.Err != nil {
		return nil
	}
	for _, other := range others {
		if e.Backend == other.Backend && e.credentials == other.credentials && e.MessageBytes == other.MessageBytes && reflect.DeepEqual(e.Route, other.Route) {
			return other
		}
	}
	return nil
}

// TopicLimits returns the limits of all topics.
func (s *Site) TopicLimits() topic.Limits {
	limits := s.Config.Limits
	return topic.Limits{Topics: limits.Topics, Idle: limits.IdleTopics, Bytes: int64(limits.ReplayBytes)}
}

// withConnections sets a target for upstreams that need none, because the program provides
// their connection.
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

// NewTable returns the table of routes, which have defaults. The error is config.Errors:
// wrong path templates, and routes that match the same request.
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

// EntryOf returns the table's entry of a route.
func EntryOf(r config.Route) route.Entry { return route.Entry{Path: r.Path, Methods: r.Methods} }
