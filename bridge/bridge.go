package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/internal/logqueue"
)

// closeGrace is how long Drain and Close let clients take their last block.
const closeGrace = time.Second

// Bridge serves the routes of a configuration. It is an http.Handler, safe for
// concurrent use. Close it.
//
// A site is a configuration at run time, which a reload replaces. All other fields
// live as long as the bridge.
type Bridge struct {
	opts      Options
	logger    *slog.Logger
	incidents *failure.Incidents
	born      time.Time
	epochs    *sse.Epochs
	lines     *logqueue.Queue // writes the lines of logger and journal
	ownLines  bool            // the queue ends with the bridge
	log       slog.Handler    // what the queue writes to
	journal   *journal        // nil: requests are not logged
	tracing   *tracing        // nil: nor traced
	unmatched answerCounts    // of requests that no route takes
	site      atomic.Pointer[site]
	topics    *topic.Registry
	clients   delivery.Clients
	shedding  shedding
	rendering renderings    // of large messages
	binding   renderings    // of large requests
	endpoints atomic.Uint64 // made so far

	ready    atomic.Bool // it was once, and stays so
	draining atomic.Bool // not ready any more
	leaving  atomic.Bool // new clients are asked to come back, too
	leave    leave
	asked    reconnects // connections of HTTP/2 whose clients were asked to connect anew

	reloading sync.Mutex // of one reload at a time
	replacing sync.Mutex // of the moment in which the site is replaced, or is said to be the last
	reloads   record
	retiring  sync.WaitGroup // of what reloads have left over

	life   context.Context //nolint:containedctx // ends when Close does; of what outlives the calls that begin it
	stop   context.CancelFunc
	http10 sync.Once // the log line about HTTP/1.0
	timed  sync.Once // that about a server's WriteTimeout
}

// New makes a bridge. It does not wait for the upstreams. The faults of the
// configuration come back as config.Errors, all at once, with the contradictions
// between routes and schemas from files.
func New(cfg config.Config, opts Options) (*Bridge, error) {
	b := newBridge(opts)
	s, err := b.assemble(cfg, nil)
	if err == nil {
		if err = s.bindKnown(); err != nil {
			err = b.discarded(s, err)
		}
	}
	if err != nil {
		_ = b.closeLog() // err matters more
		return nil, err
	}
	b.life, b.stop = context.WithCancel(context.Background())
	b.journal, b.tracing = newJournal(b.log, b.lines, opts.AccessLog), newTracing(opts)
	b.topics = topic.NewRegistry(s.topicLimits())
	b.open(s)
	b.reloads.begun = time.Now()
	return b, nil
}

// newBridge makes a bridge that has no site yet. Only its log is to be closed.
func newBridge(opts Options) *Bridge {
	b := &Bridge{opts: opts, born: time.Now(), epochs: sse.NewEpochs(), rendering: newRenderings(), binding: newRenderings()}
	b.leave.begun = make(chan struct{})
	b.newLog()
	b.incidents = failure.NewIncidents(b.logger)
	return b
}

// Drain stops serving without losing anyone: the bridge says that it is not
// ready, serves on for drain.delay, then asks its clients to come back, spread
// evenly over drain.grace, and returns when all streams have ended. Those that
// take nothing are cut a second later, and all are when ctx ends. The configuration
// that holds when it begins says how long that is; a reload that is under way is
// not waited for, and is refused.
func (b *Bridge) Drain(ctx context.Context) error {
	cfg := b.endReloads().config.Drain
	err := pause(ctx, time.Duration(*cfg.Delay))
	grace := time.Duration(*cfg.Grace)
	b.beginLeaving(grace)
	if err == nil {
		// Clients that come back to this bridge meanwhile are asked to reconnect again.
		enough, cancel := context.WithTimeout(ctx, grace+closeGrace)
		defer cancel()
		if b.clients.Drain(enough, grace) == nil {
			return nil
		}
	}
	b.clients.Cut()
	return ctx.Err()
}

// DrainTimes returns drain.delay and drain.grace of the configuration that holds: how long
// Drain serves on, and over how long it asks clients to come back.
func (b *Bridge) DrainTimes() (delay, grace time.Duration) {
	drain := b.site.Load().config.Drain
	return time.Duration(*drain.Delay), time.Duration(*drain.Grace)
}

// Clients returns how many streams the bridge serves.
func (b *Bridge) Clients() int { return b.clients.Len() }

// Close ends everything: clients are asked to come back, those that take
// nothing are cut after a second, RPCs are cancelled. It returns when all of
// the bridge's goroutines have ended; those of requests belong to the server. A
// reload that is under way is refused when it has read its files, which may be later.
func (b *Bridge) Close() error {
	last := b.endReloads()
	b.beginLeaving(0)
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if err := b.clients.Drain(ctx, 0); err != nil {
		b.clients.Cut()
	}
	err := b.clients.Close()
	b.stop()
	b.topics.Close()
	b.retiring.Wait()
	for _, up := range last.upstreams {
		err = errors.Join(err, up.close())
	}
	b.incidents.Close()
	return errors.Join(err, b.closeLog())
}

// endReloads has the bridge drain, and returns its last site: a reload that is under
// way, maybe for long, is refused at its end.
func (b *Bridge) endReloads() *site {
	b.replacing.Lock()
	defer b.replacing.Unlock()
	b.draining.Store(true)
	return b.site.Load()
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
