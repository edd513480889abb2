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
	"github.com/ssebridge/ssebridge/internal/pause"
)

// closeGrace is the time in which Drain and Close let clients receive their last block.
const closeGrace = time.Second

// Bridge serves the routes of a configuration. It is an http.Handler, and safe for concurrent
// use. The caller closes it.
//
// A reload replaces the current site of sites. All other fields live as long as the bridge.
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

	ready atomic.Bool // once set, it stays set

	reloading sync.Mutex // held by a reload
	replacing sync.Mutex // held to replace the current site, or to refuse further reloads
	reloads   reloadHistory
	retiring  sync.WaitGroup // goroutines that end the endpoints which reloads have replaced

	life context.Context //nolint:containedctx // the context of these goroutines, which outlive Reload; Close ends it
	stop context.CancelFunc
}

// New returns a bridge. It does not wait for the upstreams. All errors of the configuration
// are reported at once, as config.Errors. They include contradictions between routes and
// schemas from files.
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

// newBridge returns a bridge without a site. The caller has to close only its log.
func newBridge(opts Options) *Bridge {
	b := &Bridge{born: time.Now(), log: newLog(opts.logger())}
	b.logger = b.log.logger
	b.gate = admit.NewGate(b.logger)
	b.incidents = failure.NewIncidents(b.logger)
	b.sites = site.NewSites(site.Params{
		Logger: b.logger, Incidents: b.incidents, Born: b.born, Conns: opts.Upstreams, Descriptors: opts.Descriptors,
		Authenticate: opts.Authenticate,
	})
	return b
}

// firstSite returns the first site, made of a configuration.
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

// open makes a site the current one.
func (b *Bridge) open(s *site.Site) {
	b.gate.SetLimits(s.Config.Limits, s.Written)
	b.sites.Open(s)
}

// ServeHTTP answers a request by its route.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.handler.ServeHTTP(w, r) }

// Drain stops the bridge without losing a client. The bridge reports that it is not ready,
// serves for another drain.delay, then asks its clients to reconnect, spread evenly over
// drain.grace. Drain returns when all streams have ended. One second after drain.grace it
// cuts clients that do not read, and when ctx ends it cuts all clients. The configuration at
// its beginning applies. Drain does not wait for a running reload, which is refused.
func (b *Bridge) Drain(ctx context.Context) error {
	cfg := b.endReloads().Config.Drain
	err := pause.For(ctx, time.Duration(*cfg.Delay))
	grace := time.Duration(*cfg.Grace)
	b.leaving.Begin(grace)
	if err == nil {
		// Clients that meanwhile reconnect to this bridge are asked to reconnect again.
		enough, cancel := context.WithTimeout(ctx, grace+closeGrace)
		defer cancel()
		if b.clients.Drain(enough, grace) == nil {
			return nil
		}
	}
	b.clients.Cut()
	return ctx.Err()
}

// DrainTimes returns drain.delay and drain.grace of the current configuration: the time for
// which Drain continues to serve, and the time over which it asks clients to reconnect.
func (b *Bridge) DrainTimes() (delay, grace time.Duration) {
	drain := b.sites.Current().Config.Drain
	return time.Duration(*drain.Delay), time.Duration(*drain.Grace)
}

// Clients returns the number of streams that the bridge serves.
func (b *Bridge) Clients() int { return b.clients.Len() }

// Close asks all clients to reconnect, cuts those that do not read after a second, and
// cancels all RPCs. It returns when all goroutines of the bridge have ended; the goroutines
// of requests belong to the server. Close does not wait for a running reload, which is
// refused once it has read its files.
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
	err = errors.Join(err, last.Close())
	b.incidents.Close()
	return errors.Join(err, b.log.close())
}

// endReloads marks the bridge as draining, and returns its last site. A running reload will be
// refused.
func (b *Bridge) endReloads() *site.Site {
	b.replacing.Lock()
	defer b.replacing.Unlock()
	b.leaving.Drain()
	return b.sites.Current()
}
