package bridge

import (
	"context"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// bindKnown binds the routes whose upstream's schema is known without asking
// the backend. Contradictions are errors of the configuration.
func (s *site) bindKnown() error {
	var found config.Errors
	for i, e := range s.endpoints {
		schema := e.upstream.Schema()
		if schema == nil {
			continue
		}
		for _, err := range parts(atRoute(i, e.bind(schema))) {
			if one, ok := err.(*config.Error); ok { //nolint:errorlint // parts are leaves
				found = append(found, one)
			} else {
				return err
			}
		}
	}
	return joinConfig(found)
}

// follow binds the routes of an upstream to each schema that it comes to have,
// until ctx ends.
func (b *Bridge) follow(ctx context.Context, up *backend) {
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
func (b *Bridge) bindTo(up *backend) {
	schema := up.Schema()
	if schema == nil {
		return
	}
	for i, e := range b.site.Load().endpoints {
		if e.upstream != up {
			continue
		}
		if old := e.bound.Load(); old != nil && old.schema == schema {
			e.warn(i) // a schema from files is bound before
			continue
		}
		if err := atRoute(i, e.bind(schema)); err != nil {
			b.logger.Error("a route contradicts the upstream's schema and answers 501", "route", e.route.Path, "upstream", up.name, "error", err)
		}
		e.warn(i)
	}
}

// warn logs the warnings about the route, which is the configuration's with this index,
// unless it has done so. A refused schema has none.
func (e *endpoint) warn(index int) {
	b := e.bound.Load()
	if len(b.warnings) == 0 || !e.warned.CompareAndSwap(false, true) {
		return
	}
	e.bridge.logger.Warn("the configuration of a route is probably a mistake", "route", e.route.Path, "warning", atRoute(index, b.warnings))
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

// refresh asks the backend for its newest schema and binds the route to it. It
// returns nil where that is of no help, or was asked a moment ago.
func (e *endpoint) refresh(ctx context.Context) *binding {
	last, now := e.refreshed.Load(), e.refreshClock()
	if now-last < int64(refreshEvery) || !e.refreshed.CompareAndSwap(last, now) {
		return nil
	}
	// The wait itself does not count, or a slow answer would be asked for again
	// by the next message.
	defer func() { e.refreshed.Store(e.refreshClock()) }()
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	schema, err := e.upstream.RefreshSchema(ctx)
	if err != nil || e.bind(schema) != nil {
		return nil // the message's own error says more
	}
	if newest := e.bound.Load(); newest.err == nil {
		return newest
	}
	return nil
}

// refreshClock is the time by which refresh spaces its questions, and refreshEvery
// or more. It is monotonic: by the wall clock, one that is set back by an hour would
// have no schema read anew for as long.
func (e *endpoint) refreshClock() int64 { return int64(refreshEvery + time.Since(e.bridge.born)) }
