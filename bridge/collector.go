package bridge

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ssebridge/ssebridge/bridge/internal/observe"
)

// Collector returns the bridge's metrics, for a registry of the caller; docs/metrics.md
// describes them. The bridge does not register them itself. A scrape visits each client and
// topic once, so it should happen every few seconds at most. After Close the metrics are
// those of a bridge without clients.
//
// A process with several bridges distinguishes their metrics by
// prometheus.WrapRegistererWith.
func (b *Bridge) Collector() prometheus.Collector { return observe.Collector(b.state) }

// state returns a snapshot of the bridge for a scrape.
func (b *Bridge) state() observe.State {
	s, reloads := b.sites.Current(), b.Reloads()
	requests, answers := b.gate.PendingBytes()
	now := observe.State{
		Limits: s.Config.Limits, Hash: s.Hash,
		Reloads: observe.Reloads{OK: reloads.OK, Failed: reloads.Failed, LastFailed: reloads.Err != nil, Loaded: b.reloads.loaded()},
		Ready:   b.Ready() == nil, Drains: b.leaving.Draining(), Lost: b.log.lines.Lost(),
		Topics: b.topics.Counts(), LogBytes: b.topics.Bytes(), KeptBytes: b.topics.KeptBytes(),
		PendingRequests: requests, PendingAnswers: answers,
		Unmatched: &b.observer.Unmatched,
		Routes:    make(map[string]observe.RouteState, len(s.Counts)),
		Upstreams: make(map[string]observe.UpstreamState, len(s.Backends)),
	}
	lags, topics, contradicting := b.clients.Lags(), s.Topics(b.topics.Census()), s.Contradicting()
	for path, counts := range s.Counts {
		now.Routes[path] = observe.RouteState{Counts: counts, Lag: lags[counts.Delivery], Topics: topics[path], Contradicts: contradicting[path]}
	}
	for name, up := range s.Backends {
		now.Upstreams[name] = observe.UpstreamState{Upstream: up.Upstream, Counts: up.Counts, CatchUps: up.CatchUps}
	}
	return now
}
