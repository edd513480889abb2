package site

import (
	"context"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
)

// BindKnown binds the routes whose upstream's schema is known without asking
// the backend. Contradictions are errors of the configuration.
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

// follow binds the routes of an upstream to each schema that it comes to have,
// until ctx ends.
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

// bindTo binds the routes of an upstream to its newest schema, and logs the warnings
// about each route once. A route that contradicts the schema answers 501 until the next
// one.
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
			e.warn(i) // a schema from files is bound before
			continue
		}
		if err := configerr.AtRoute(i, e.Bind(schema)); err != nil {
			b.params.Logger.Error("a route contradicts the upstream's schema and answers 501", "route", e.Route.Path, "upstream", up.Name, "error", err)
		}
		e.warn(i)
	}
}

// warn logs the warnings about the route, which is the configuration's with this index,
// unless it has done so. A refused schema has none.
func (e *Endpoint) warn(index int) {
	b := e.bound.Load()
	if len(b.Warnings) == 0 || !e.warned.CompareAndSwap(false, true) {
		return
	}
	e.logger.Warn("the configuration of a route is probably a mistake", "route", e.Route.Path, "warning", configerr.AtRoute(index, b.Warnings))
}

const (
	// refreshEvery spaces the questions after a newer schema that messages
	// which cannot be shown raise, so that many of them do not flood the
	// backend.
	refreshEvery = 10 * time.Second
	// refreshTimeout bounds what such a message waits: all of a topic's
	// clients wait with it.
	refreshTimeout = time.Second
)

// Refresh asks the backend for its newest schema and binds the route to it. It
// returns nil where that is of no help, or was asked a moment ago.
func (e *Endpoint) Refresh(ctx context.Context) *Binding {
	last, now := e.refreshed.Load(), e.refreshClock()
	if now-last < int64(refreshEvery) || !e.refreshed.CompareAndSwap(last, now) {
		return nil
	}
	// The wait itself does not count, or a slow answer would be asked for again
	// by the next message.
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

// refreshClock is the time by which refresh spaces its questions, and refreshEvery
// or more. It is monotonic: by the wall clock, one that is set back by an hour would
// have no schema read anew for as long.
func (e *Endpoint) refreshClock() int64 { return int64(refreshEvery + time.Since(e.born)) }
