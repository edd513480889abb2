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

// errTooLate refuses a reload since the bridge drains.
var errTooLate = fmt.Errorf("the configuration is not reloaded: %w", errDraining)

// Reload puts another configuration in place of the bridge's. It does not wait for
// the upstreams, nor for clients to leave. The faults of the configuration come
// back as New's errors do, contradictions with schemas that are known by now
// included; then nothing has changed. Once Drain or Close has begun it is refused.
//
// Requests that come after Reload has returned are served by the new
// configuration. Streams of routes that are the same, at an upstream that is the
// same, go on as if nothing had been; a schema file that an upstream names counts
// by what it means, and renewed certificates are used from the next connection
// on. The clients of other routes leave over
// drain.grace: they are asked to come back or, where no route takes their requests
// any more, are told the end. Those that take nothing are cut a second later.
// Limits hold at once, limits.message_bytes by way of the routes.
//
// Options stay as they were given to New; listen, admin and tls mean nothing here.
// Reloads at the same time are done one after the other.
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

// ReloadFailed tells the bridge that a configuration could not even be read, or a file
// of the server's that belongs to it, so that it counts and is reported as a reload that
// has failed. Those that Reload itself refuses are counted without it.
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
	// All routes are bound, also those that will turn out to be the same: these may
	// be written otherwise, with keys that the schema makes void.
	if err := next.BindKnown(); err != nil {
		return b.sites.Discard(next, err)
	}
	if !b.replace(old, next) {
		return b.sites.Discard(next, errTooLate)
	}
	return nil
}

// replace puts the next site in place of the one before, unless the bridge drains by now.
func (b *Bridge) replace(old, next *site.Site) bool {
	b.replacing.Lock()
	defer b.replacing.Unlock()
	if b.leaving.Draining() {
		return false
	}
	// A bridge that is ready stays so, whatever is to be awaited now. Why it is
	// not does not matter here.
	_ = b.Ready()
	left := next.TakeOver(old)
	b.topics.SetLimits(next.TopicLimits())
	b.open(next)
	b.retire(old, next, left)
	return true
}

// retire sends the clients of the endpoints away that the old site has left over,
// and then lets go of it.
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

// dismiss returns when the last request and the last stream of some endpoints have
// ended, or the bridge is being closed.
func (b *Bridge) dismiss(grace time.Duration, dismissals []delivery.Dismissal, left []*site.Endpoint) {
	enough, cancel := context.WithTimeout(b.life, grace+closeGrace)
	defer cancel()
	if b.clients.Dismiss(enough, grace, dismissals) == nil && awaitGone(enough, left) {
		return
	}
	b.clients.CutDismissed(dismissals)
	// The rest are calls of unary methods, which have a timeout.
	awaitGone(b.life, left)
}

// awaitGone waits until some retired endpoints have neither requests nor streams.
// It is false where ctx ended before.
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

// Reloads tells what has become of a bridge's reloads.
type Reloads struct {
	OK, Failed int
	// Last is when the last one was, zero if there was none, and Err why it
	// failed, nil if it did not: a copy of what was returned, which may hold what the
	// configuration says.
	Last time.Time
	Err  error
}

// Reloads tells what has become of all reloads so far; those that were refused for
// a drain are none.
func (b *Bridge) Reloads() Reloads {
	b.reloads.mu.Lock()
	defer b.reloads.mu.Unlock()
	return b.reloads.told
}

// record keeps what has become of reloads.
type record struct {
	begun time.Time // the bridge's own configuration was taken over; does not change

	mu   sync.Mutex
	told Reloads
	good time.Time // the last reload that was one
}

// loaded returns when the configuration that holds was taken over.
func (r *record) loaded() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.good.IsZero() {
		return r.begun
	}
	return r.good
}

func (r *record) note(err error) {
	err = configerr.Copy(err) // a caller may give its error positions while others read theirs
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.told.Failed++
	} else {
		r.told.OK++
		r.good = time.Now()
	}
	r.told.Last, r.told.Err = time.Now(), err
}
