package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// errTooLate refuses a reload because the bridge drains.
var errTooLate = fmt.Errorf("the configuration is not reloaded: %w", errDraining)

// Reload replaces the bridge's configuration. It does not wait for the upstreams, nor for
// clients to leave. It returns errors of the configuration as New does, including
// contradictions with schemas that are known by now; then nothing has changed. Once Drain or
// Close has begun, Reload is refused.
//
// Requests after Reload has returned are served by the new configuration. Streams continue
// undisturbed if neither their route nor its upstream has changed. A schema file counts as
// changed if its content has another meaning; renewed certificates are used for new
// connections. The clients of other routes leave over drain.grace: they are asked to reconnect
// or, if no route matches their requests any more, are sent stream-end. Clients that do not
// read are cut a second later. Limits apply at once; a changed limits.message_bytes changes
// all routes.
//
// The Options of New stay in force. The keys listen, admin and tls have no effect on a Bridge.
// Concurrent calls of Reload run one after the other.
func (b *Bridge) Reload(cfg config.Config) error {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	if b.leaving.Draining() {
		return errTooLate
	}
	err := b.reload(cfg)
	if !errors.Is(err, errTooLate) {
		b.reloads.note(err)
	}
	return err
}

// ReloadFailed counts and reports a failed reload whose configuration did not reach Reload,
// because it, or a file of the server that belongs to it, could not be read. Reload counts its
// own failures.
func (b *Bridge) ReloadFailed(err error) {
	if err != nil && !b.leaving.Draining() {
		b.reloads.note(err)
	}
}

func (b *Bridge) reload(cfg config.Config) error {
	old := b.sites.Current()
	next, err := b.sites.Make(cfg, old)
	if err != nil {
		return err
	}
	// Unchanged routes are bound, too: they may be written in another way, with keys that have
	// no effect under the schema.
	if err := next.BindKnown(); err != nil {
		return b.sites.Discard(next, err)
	}
	if !b.replace(old, next) {
		return b.sites.Discard(next, errTooLate)
	}
	return nil
}

// replace replaces the old site by the next one, unless the bridge drains.
func (b *Bridge) replace(old, next *site.Site) bool {
	b.replacing.Lock()
	defer b.replacing.Unlock()
	if b.leaving.Draining() {
		return false
	}
	// If the bridge is ready, Ready records it now, and upstreams of the new site do not
	// change it.
	_ = b.Ready()
	left := next.TakeOver(old)
	b.topics.SetLimits(next.TopicLimits())
	b.open(next)
	b.retire(old, next, left)
	return true
}

// retire asks the clients of endpoints that the next site does not have to leave, and then
// releases the old site.
func (b *Bridge) retire(old, next *site.Site, left []*site.Endpoint) {
	dismissals := make([]delivery.Dismissal, len(left))
	owners := make([]*topic.Owner, len(left))
	for i, e := range left {
		why := reason.LeaveRemoved
		if next.Table.Overlaps(site.EntryOf(e.Route)) {
			why = reason.LeaveReload
		}
		dismissals[i] = delivery.Dismissal{Audience: &e.Audience, Reason: why}
		owners[i] = &e.Owner
		e.Presence.Retire()
	}
	b.topics.Retire(owners...)
	grace := time.Duration(*next.Config.Drain.Grace)
	b.retiring.Go(func() {
		b.dismiss(grace, dismissals, left)
		if err := old.Release(); err != nil {
			b.logger.Warn("closing an upstream that is not used any more", "error", err)
		}
	})
}

// dismiss asks the clients of endpoints to leave over grace. It returns when the last request
// and stream of these endpoints has ended, or the bridge is closed.
func (b *Bridge) dismiss(grace time.Duration, dismissals []delivery.Dismissal, left []*site.Endpoint) {
	enough, cancel := context.WithTimeout(b.life, grace+closeGrace)
	defer cancel()
	if b.clients.Dismiss(enough, grace, dismissals) == nil && awaitGone(enough, left) {
		return
	}
	b.clients.CutDismissed(dismissals)
	// The remaining requests are unary calls, which have a timeout.
	awaitGone(b.life, left)
}

// awaitGone waits until retired endpoints have neither requests nor streams. It returns false
// if ctx ends first.
func awaitGone(ctx context.Context, left []*site.Endpoint) bool {
	for _, e := range left {
		select {
		case <-e.Presence.Gone():
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Reloads is the history of a bridge's reloads.
type Reloads struct {
	OK, Failed int
	// Last is the time of the last reload, zero if there was none. Err is a copy of its
	// error, nil if it succeeded. The error may quote the configuration.
	Last time.Time
	Err  error
}

// Reloads returns the history of the bridge's reloads. It leaves out those that were refused
// because the bridge drains.
func (b *Bridge) Reloads() Reloads {
	b.reloads.mu.Lock()
	defer b.reloads.mu.Unlock()
	return b.reloads.all
}

// reloadHistory records the outcome of reloads.
type reloadHistory struct {
	begun time.Time // when the configuration of New was loaded; immutable

	mu   sync.Mutex
	all  Reloads
	good time.Time // when the last successful reload was
}

// loaded returns when the current configuration was loaded.
func (r *reloadHistory) loaded() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.good.IsZero() {
		return r.begun
	}
	return r.good
}

func (r *reloadHistory) note(err error) {
	err = configerr.Copy(err) // the caller may add positions to its error while other goroutines read this one
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.all.Failed++
	} else {
		r.all.OK++
		r.good = time.Now()
	}
	r.all.Last, r.all.Err = time.Now(), err
}
