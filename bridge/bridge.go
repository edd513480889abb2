package bridge

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/serve"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/source"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// closeGrace is how long Drain and Close let clients take their last block.
const closeGrace = time.Second

// Bridge serves the routes of a configuration. It is an http.Handler, safe for
// concurrent use. Close it.
//
// A site is a configuration at run time, which a reload replaces. All other fields
// live as long as the bridge.
type Bridge struct {
	log       *log
	logger    *slog.Logger // writes to log
	born      time.Time
	incidents *failure.Incidents
	sites     *site.Sites
	gate      *admit.Gate
	observer  *observe.Observer
	topics    *topic.Registry
	clients   delivery.Clients
	leaving   *serve.Leaving
	handler   serve.Handler

	ready atomic.Bool // it was once, and stays so

	reloading sync.Mutex // of one reload at a time
	replacing sync.Mutex // of the moment in which the site is replaced, or is said to be the last
	reloads   record
	retiring  sync.WaitGroup // of what reloads have left over

	life context.Context //nolint:containedctx // ends when Close does; of what outlives the calls that begin it
	stop context.CancelFunc
}

// New makes a bridge. It does not wait for the upstreams. The faults of the
// configuration come back as config.Errors, all at once, with the contradictions
// between routes and schemas from files.
func New(cfg config.Config, opts Options) (*Bridge, error) {
	b := newBridge(opts)
	s, err := b.firstSite(cfg)
	if err != nil {
		_ = b.log.close() // err matters more
		return nil, err
	}
	b.life, b.stop = context.WithCancel(context.Background())
	b.topics = topic.NewRegistry(s.TopicLimits())
	b.observer = observe.New(observe.Params{
		Born: b.born, Log: b.log.handler, Lines: b.log.lines, Ends: opts.AccessLog != AccessOff, Begins: opts.AccessLog == AccessAll,
		TracerProvider: opts.TracerProvider, Propagator: opts.Propagator,
	})
	b.leaving = serve.NewLeaving(b.born, opts.Leaving)
	b.handler = serve.Handler{
		Sites: b.sites, Gate: b.gate, Observer: b.observer, Topics: b.topics, Clients: &b.clients, Leaving: b.leaving,
		Binding: source.NewProcessors(), Logger: b.logger,
		Sources: &source.Sources{
			Logger: b.logger, Observer: b.observer, Gate: b.gate, Epochs: sse.NewEpochs(), Rendering: source.NewProcessors(), Born: b.born,
		},
	}
	b.open(s)
	b.reloads.begun = time.Now()
	return b, nil
}

// newBridge makes a bridge that has no site yet. Only its log is to be closed.
func newBridge(opts Options) *Bridge {
	b := &Bridge{born: time.Now(), log: newLog(opts.logger())}
	b.logger = b.log.logger
	b.gate = admit.NewGate(b.logger)
	b.incidents = failure.NewIncidents(b.logger)
	b.sites = site.NewSites(site.Params{
		Logger: b.logger, Incidents: b.incidents, Born: b.born, Conns: opts.Upstreams, Descriptors: opts.Descriptors,
	})
	return b
}

// firstSite makes the first site of a configuration.
func (b *Bridge) firstSite(cfg config.Config) (*site.Site, error) {
	s, err := b.sites.Make(cfg, nil)
	if err != nil {
		return nil, err
	}
	if err := s.BindKnown(); err != nil {
		return nil, b.sites.Discard(s, err)
	}
	return s, nil
}

// open serves requests by a site from now on.
func (b *Bridge) open(s *site.Site) {
	b.gate.SetLimits(s.Config.Limits, s.Written)
	b.sites.Open(s)
}

// ServeHTTP answers a request by its route.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.handler.ServeHTTP(w, r) }

// Drain stops serving without losing anyone: the bridge says that it is not
// ready, serves on for drain.delay, then asks its clients to come back, spread
// evenly over drain.grace, and returns when all streams have ended. Those that
// take nothing are cut a second later, and all are when ctx ends. The configuration
// that holds when it begins says how long that is; a reload that is under way is
// not waited for, and is refused.
func (b *Bridge) Drain(ctx context.Context) error {
	cfg := b.endReloads().Config.Drain
	err := pause(ctx, time.Duration(*cfg.Delay))
	grace := time.Duration(*cfg.Grace)
	b.leaving.Begin(grace)
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
	drain := b.sites.Current().Config.Drain
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
	b.leaving.Begin(0)
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if err := b.clients.Drain(ctx, 0); err != nil {
		b.clients.Cut()
	}
	err := b.clients.Close()
	b.stop()
	b.topics.Close()
	b.retiring.Wait()
	for _, up := range last.Backends {
		err = errors.Join(err, up.Close())
	}
	b.incidents.Close()
	return errors.Join(err, b.log.close())
}

// endReloads has the bridge drain, and returns its last site: a reload that is under
// way, maybe for long, is refused at its end.
func (b *Bridge) endReloads() *site.Site {
	b.replacing.Lock()
	defer b.replacing.Unlock()
	b.leaving.Drain()
	return b.sites.Current()
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
