package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// site is a configuration at run time: what a reload puts another one in place
// of. It does not change once it is the bridge's.
type site struct {
	config    config.Config // with defaults
	written   config.Limits // without
	hash      string        // of the configuration
	table     *route.Table
	endpoints []*endpoint // by the route's index
	upstreams map[string]*backend
	counts    map[string]*routeCounts // by path
}

// assemble makes a site whose new routes are not bound to schemas yet. Of the one
// before, which may be nil, it has the backends that are the same. It is to be
// released.
func (b *Bridge) assemble(cfg config.Config, old *site) (*site, error) {
	cfg.Upstreams = withConnections(cfg.Upstreams, b.opts)
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	full := cfg.WithDefaults()
	s := &site{
		config: full, written: cfg.Limits, hash: fingerprint(full),
		upstreams: make(map[string]*backend, len(full.Upstreams)), counts: make(map[string]*routeCounts, len(full.Routes)),
	}
	var tableErr error
	s.table, tableErr = newTable(full.Routes)
	if err := joinConfig(tableErr, b.dial(s, old)); err != nil {
		return nil, b.discarded(s, err)
	}
	for i := range full.Routes {
		e := b.newEndpoint(s, full.Routes[i], cfg.Routes[i])
		e.counts = s.countsFor(e.route.Path, old)
		s.endpoints = append(s.endpoints, e)
	}
	return s, nil
}

// open serves requests from a site, and follows its backends, from now on.
func (b *Bridge) open(s *site) {
	for _, up := range s.upstreams {
		up.catchUps.SetLimit(s.config.Limits.Catchups)
	}
	b.shedding.limit(s.config.Limits, s.written)
	b.site.Store(s)
	for _, up := range s.upstreams {
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

// release lets go of the site's backends.
func (s *site) release() error {
	all := make([]error, 0, len(s.upstreams))
	for _, up := range s.upstreams {
		all = append(all, up.release())
	}
	return errors.Join(all...)
}

// takeOver puts the endpoints of the site before in place of those that are the
// same, and returns the ones that are left over there.
func (s *site) takeOver(old *site) (left []*endpoint) {
	byPath := map[string][]*endpoint{}
	for _, e := range s.endpoints {
		byPath[e.route.Path] = append(byPath[e.route.Path], e)
	}
	kept := map[*endpoint]*endpoint{} // by the one that it replaces
	for _, e := range old.endpoints {
		twin := e.among(byPath[e.route.Path])
		if twin == nil {
			left = append(left, e)
			continue
		}
		kept[twin] = e
	}
	for i, e := range s.endpoints {
		if same := kept[e]; same != nil {
			same.written.Store(e.written.Load())
			s.endpoints[i] = same
		}
	}
	return left
}

// among returns the endpoint that serves what e does, as e does, or nil. A route
// that contradicted the schema, where another may not any more, is not the same.
func (e *endpoint) among(others []*endpoint) *endpoint {
	if bound := e.bound.Load(); bound != nil && bound.err != nil {
		return nil
	}
	for _, other := range others {
		if e.upstream == other.upstream && e.messageBytes == other.messageBytes && reflect.DeepEqual(e.route, other.route) {
			return other
		}
	}
	return nil
}

// topicLimits are the bounds of all topics.
func (s *site) topicLimits() topic.Limits {
	limits := s.config.Limits
	return topic.Limits{Topics: limits.Topics, Idle: limits.IdleTopics, Bytes: int64(limits.ReplayBytes)}
}

// withConnections names the target of upstreams that need none, since they
// come with a connection.
func withConnections(upstreams map[string]config.Upstream, opts Options) map[string]config.Upstream {
	named := maps.Clone(upstreams)
	for name, cfg := range named {
		if opts.Upstreams[name] != nil && cfg.Target == "" {
			cfg.Target = "passthrough:///" + name
			named[name] = cfg
		}
	}
	return named
}

// CheckPaths returns what is wrong with the routes' path templates, and which
// of them match the same request, as config.Errors: a check for config.Load.
func CheckPaths(cfg config.Config) error {
	_, err := newTable(cfg.WithDefaults().Routes)
	return err
}

func newTable(routes []config.Route) (*route.Table, error) {
	entries := make([]route.Entry, len(routes))
	for i, r := range routes {
		entries[i] = entryOf(r)
	}
	table, err := route.NewTable(entries)
	var found config.Errors
	for _, err := range parts(err) {
		var template *route.TemplateError
		var conflict *route.ConflictError
		switch {
		case errors.As(err, &template):
			found = append(found, configError(template.Err.Error(), "routes[%d].path", template.Index))
		case errors.As(err, &conflict):
			found = append(found, configError(fmt.Sprintf(
				"%s %s matches routes[%d] (%s) too; no request may match two routes",
				conflict.Method, conflict.Path, conflict.First, conflict.Templates[0],
			), "routes[%d].path", conflict.Second))
		default:
			return nil, err
		}
	}
	return table, joinConfig(found)
}

func entryOf(r config.Route) route.Entry { return route.Entry{Path: r.Path, Methods: r.Methods} }
