package site

import (
	"context"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
)

// BindKnown binds the routes whose schema is known without the backend. Contradictions are
// errors of the configuration.
func (s *Site) BindKnown() error {
	var found config.Errors
	for i, e := range s.Endpoints {
		schema := e.Backend.Schema()
		if schema == nil {
			continue
		}
		for _, err := range configerr.Parts(configerr.AtRoute(i, e.Bind(schema))) {
			if one, ok := err.(*config.Error); ok { //nolint:errorlint // parts are leaves
				found = append(found, one)
			} else {
				return err
			}
		}
	}
	return configerr.Join(found)
}

// follow binds the routes of an upstream to each new schema, until ctx ends.
func (b *Sites) follow(ctx context.Context, up *Backend) {
	for {
		changed := up.SchemaChanged()
		b.bindTo(up)
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// bindTo binds the routes of an upstream to its newest schema, and logs the warnings of each
// route once. A route that contradicts the schema answers 501 until there is another schema.
func (b *Sites) bindTo(up *Backend) {
	schema := up.Schema()
	if schema == nil {
		return
	}
	for i, e := range b.Current().Endpoints {
		if e.Backend != up {
			continue
		}
		if old := e.bound.Load(); old != nil && old.Schema == schema {
			e.warn(i) // BindKnown has bound a schema from files
			continue
		}
		if err := configerr.AtRoute(i, e.Bind(schema)); err != nil {
			b.params.Logger.Error("a route contradicts the upstream's schema and answers 501", "route", e.Route.Path, "upstream", up.Name, "error", err)
		}
		e.warn(i)
	}
}

// warn logs the warnings of the route, once. index is the route's index in the configuration.
func (e *Endpoint) warn(index int) {
	b := e.bound.Load()
	if len(b.Warnings) == 0 || !e.warned.CompareAndSwap(false, true) {
		return
	}
	e.logger.Warn("the configuration of a route is probably a mistake", "route", e.Route.Path, "warning", configerr.AtRoute(index, b.Warnings))
}

const (
	// refreshEvery is the least time between two requests for a newer schema, so that a
	// stream of messages that do not fit the schema does not flood the backend.
	refreshEvery = 10 * time.Second
	// refreshTimeout bounds such a request, because all clients of the topic wait for it.
	refreshTimeout = time.Second
)

// Refresh asks the backend for its newest schema and binds the route to it. It returns nil if
// the backend was asked less than refreshEvery ago, or has no schema that fits.
func (e *Endpoint) Refresh(ctx context.Context) *Binding {
	last, now := e.refreshed.Load(), e.refreshClock()
	if now-last < int64(refreshEvery) || !e.refreshed.CompareAndSwap(last, now) {
		return nil
	}
	// refreshEvery begins after the answer. Otherwise the next message would repeat a slow
	// request at once.
	defer func() { e.refreshed.Store(e.refreshClock()) }()
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	schema, err := e.Backend.RefreshSchema(ctx)
	if err != nil || e.Bind(schema) != nil {
		return nil // the message's own error says more
	}
	if newest := e.bound.Load(); newest.Err == nil {
		return newest
	}
	return nil
}

// refreshClock returns the monotonic time since the bridge was made, plus refreshEvery so that
// the zero value of refreshed allows a first request. A wall clock that is set back by an hour
// would prevent requests for that hour.
func (e *Endpoint) refreshClock() int64 { return int64(refreshEvery + time.Since(e.born)) }
