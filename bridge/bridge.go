package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/upstream"
)

// closeGrace is how long Drain and Close let clients take their last block.
const closeGrace = time.Second

// Bridge serves the routes of a configuration. It is an http.Handler, safe for
// concurrent use. Close it.
type Bridge struct {
	config    config.Config // with defaults
	logger    *slog.Logger
	table     *route.Table
	endpoints []*endpoint // by the route's index
	upstreams map[string]*upstream.Upstream
	topics    *topic.Registry
	clients   delivery.Clients
	catchUps  map[string]*topic.Turns // by upstream

	draining atomic.Bool // not ready any more
	leaving  atomic.Bool // new clients are asked to come back, too

	stop      context.CancelFunc // ends the followers
	followers sync.WaitGroup
	http10    sync.Once // the log line about HTTP/1.0
}

// New makes a bridge. It does not wait for the upstreams. What is wrong with
// the configuration comes back as config.Errors, all of it at once; a
// contradiction between a route and a schema from files is found here, too.
func New(cfg config.Config, opts Options) (*Bridge, error) {
	b, err := assemble(cfg, opts)
	if err != nil {
		return nil, err
	}
	if err := b.bindKnown(); err != nil {
		return nil, errors.Join(err, b.closeUpstreams())
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	for name := range b.upstreams {
		b.followers.Go(func() { b.follow(ctx, name) })
	}
	return b, nil
}

// assemble makes a bridge whose routes are not bound to schemas yet.
func assemble(cfg config.Config, opts Options) (*Bridge, error) {
	cfg.Upstreams = withConnections(cfg.Upstreams, opts)
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	full := cfg.WithDefaults()
	b := &Bridge{
		config:    full,
		logger:    opts.logger(),
		upstreams: make(map[string]*upstream.Upstream, len(full.Upstreams)),
		topics: topic.NewRegistry(topic.Limits{
			Topics: full.Limits.Topics, Idle: full.Limits.IdleTopics, Bytes: int64(full.Limits.ReplayBytes),
		}),
		stop:     func() {},
		catchUps: make(map[string]*topic.Turns, len(full.Upstreams)),
	}
	for name := range full.Upstreams {
		b.catchUps[name] = topic.NewTurns(full.Limits.Catchups)
	}
	var tableErr error
	b.table, tableErr = newTable(full.Routes)
	if err := joinConfig(tableErr, b.dial(opts)); err != nil {
		return nil, errors.Join(err, b.closeUpstreams())
	}
	for i := range full.Routes {
		b.endpoints = append(b.endpoints, newEndpoint(b, i, cfg.Routes[i]))
	}
	return b, nil
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
	_, err := newTable(cfg.Routes)
	return err
}

func newTable(routes []config.Route) (*route.Table, error) {
	entries := make([]route.Entry, len(routes))
	for i, r := range routes {
		entries[i] = route.Entry{Path: r.Path, Methods: r.Methods}
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

func (b *Bridge) dial(opts Options) error {
	var found config.Errors
	for name, cfg := range b.config.Upstreams {
		up, err := upstream.New(b.upstreamParams(name, cfg, opts))
		for _, part := range parts(err) {
			field := ""
			if param := new(upstream.ParamError); errors.As(part, &param) {
				field, part = "."+param.Field, param.Err
			}
			found = append(found, configError(part.Error(), "upstreams.%s%s", name, field))
		}
		if err != nil {
			continue
		}
		b.upstreams[name] = up
	}
	return joinConfig(found)
}

func (b *Bridge) upstreamParams(name string, cfg config.Upstream, opts Options) upstream.Params {
	p := upstream.Params{
		Name:        name,
		Target:      cfg.Target,
		Metadata:    cfg.Metadata,
		Connections: int(cfg.Connections),
		Opens:       cfg.Opens,
		OpenTimeout: time.Duration(cfg.OpenTimeout),
		Keepalive:   time.Duration(cfg.Keepalive),
		// Four times what a message may have, so that one that is merely too
		// large is a gap and not the end of its RPC.
		MaxMessageBytes: 4 * int(b.config.Limits.MessageBytes),
		Conn:            opts.Upstreams[name],
		Logger:          b.logger,
		Schema: upstream.SchemaParams{
			Descriptors:   opts.Descriptors[name],
			DescriptorSet: cfg.Schema.DescriptorSet,
		},
	}
	if cfg.TLS != nil {
		p.TLS = &upstream.TLS{CA: cfg.TLS.CA, Cert: cfg.TLS.Cert, Key: cfg.TLS.Key, ServerName: cfg.TLS.ServerName}
	}
	if proto := cfg.Schema.Proto; proto != nil {
		p.Schema.ImportPaths, p.Schema.ProtoFiles = proto.ImportPaths, proto.Files
	}
	return p
}

// Drain stops serving without losing anyone: the bridge says that it is not
// ready, serves on for drain.delay, then asks its clients to come back, spread
// evenly over drain.grace, and returns when all streams have ended. Those that
// take nothing are cut a second later, and all are when ctx ends.
func (b *Bridge) Drain(ctx context.Context) error {
	b.draining.Store(true)
	err := pause(ctx, time.Duration(*b.config.Drain.Delay))
	b.leaving.Store(true)
	if err == nil {
		grace := time.Duration(*b.config.Drain.Grace)
		// Who comes back meanwhile, to this bridge, is turned away.
		enough, cancel := context.WithTimeout(ctx, grace+closeGrace)
		defer cancel()
		if b.clients.Drain(enough, grace) == nil {
			return nil
		}
	}
	b.clients.Cut()
	return ctx.Err()
}

// Close ends everything: clients are asked to come back, those that take
// nothing are cut after a second, RPCs are cancelled. It returns when all of
// the bridge's goroutines have ended; those of requests belong to the server.
func (b *Bridge) Close() error {
	b.draining.Store(true)
	b.leaving.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if err := b.clients.Drain(ctx, 0); err != nil {
		b.clients.Cut()
	}
	err := b.clients.Close()
	b.stop()
	b.topics.Close()
	err = errors.Join(err, b.closeUpstreams())
	b.followers.Wait()
	return err
}

func (b *Bridge) closeUpstreams() error {
	all := make([]error, 0, len(b.upstreams))
	for _, up := range b.upstreams {
		all = append(all, up.Close())
	}
	return errors.Join(all...)
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
