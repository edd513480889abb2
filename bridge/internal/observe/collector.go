package observe

import (
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/tally"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
	"github.com/ssebridge/ssebridge/internal/logqueue"
	"github.com/ssebridge/ssebridge/internal/release"
	"github.com/ssebridge/ssebridge/upstream"
)

// State is a snapshot of a bridge for one scrape.
type State struct {
	Limits config.Limits
	Hash   string // of the configuration

	Reloads Reloads
	Ready   bool
	Drains  bool
	Lost    logqueue.Lost // lines of the log

	Topics                          *topic.Counts
	LogBytes, KeptBytes             int64
	PendingRequests, PendingAnswers int64
	Unmatched                       *Answers
	Routes                          map[string]RouteState    // by path
	Upstreams                       map[string]UpstreamState // by name
}

// Reloads counts the bridge's reloads.
type Reloads struct {
	OK, Failed int
	LastFailed bool
	Loaded     time.Time // when the current configuration was loaded
}

// RouteState is a snapshot of the endpoints of one path.
type RouteState struct {
	Counts      *RouteCounts
	Lag         delivery.Lag
	Topics      map[topic.Kind]int
	Contradicts bool // an endpoint answers 501, because it does not fit its schema
}

// UpstreamState is a snapshot of an upstream.
type UpstreamState struct {
	*upstream.Upstream

	Counts   *UpstreamCounts
	CatchUps *topic.Slots
}

// Collector returns the metrics of a bridge. It calls state at each scrape.
func Collector(state func() State) prometheus.Collector {
	c := &collector{state: state, metrics: map[string]described{}}
	for _, m := range metrics() {
		c.metrics[m.name] = described{prometheus.NewDesc(m.name, m.help, m.labels, nil), m.kind}
	}
	return c
}

// collector reads the bridge's counters at each scrape.
type collector struct {
	state   func() State
	metrics map[string]described
}

type described struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	now := c.state()
	r := scrape{collector: c, out: out}
	r.bridge(now)
	for path, route := range now.Routes {
		r.route(path, route.Counts, route.Lag)
		r.topics(path, route.Topics)
		r.value("ssebridge_route_contradicts_schema", flag(route.Contradicts), path)
	}
	for name, up := range now.Upstreams {
		r.upstream(name, up)
	}
}

// scrape is one Collect.
type scrape struct {
	*collector

	out chan<- prometheus.Metric
}

// value sends a counter or a gauge. A label that is not valid UTF-8 becomes an error of this
// metric alone.
func (r scrape) value(name string, value float64, labels ...string) {
	m := r.metrics[name]
	sent, err := prometheus.NewConstMetric(m.desc, m.kind, value, labels...)
	if err != nil {
		sent = prometheus.NewInvalidMetric(m.desc, err)
	}
	r.out <- sent
}

func (r scrape) count(name string, value uint64, labels ...string) {
	r.value(name, float64(value), labels...)
}

// family sends all counters of a family, with the family's label as the last one.
func (r scrape) family(name string, family *tally.Family[string], labels ...string) {
	for label, n := range family.All() {
		r.count(name, n, append(slices.Clip(labels), label)...)
	}
}

func (r scrape) histogram(name string, h *tally.Histogram, labels ...string) {
	m, s := r.metrics[name], h.Snapshot()
	sent, err := prometheus.NewConstHistogram(m.desc, s.Count, s.Sum.Seconds(), s.Within, labels...)
	if err != nil {
		sent = prometheus.NewInvalidMetric(m.desc, err)
	}
	r.out <- sent
}

// bridge sends the metrics of the bridge as a whole.
func (r scrape) bridge(now State) {
	r.value("ssebridge_clients_limit", float64(now.Limits.Clients))
	r.value("ssebridge_topics_limit", float64(now.Limits.Topics))
	r.family("ssebridge_topic_evictions_total", now.Topics.Evictions)
	r.value("ssebridge_log_bytes", float64(now.LogBytes))
	r.value("ssebridge_pending_bytes", float64(now.PendingRequests), "requests")
	r.value("ssebridge_pending_bytes", float64(now.PendingAnswers), "answers")
	r.value("ssebridge_pending_bytes_limit", float64(now.Limits.PendingBytes))
	r.value("ssebridge_log_kept_bytes", float64(now.KeptBytes))
	r.value("ssebridge_log_bytes_limit", float64(now.Limits.ReplayBytes))
	r.count("ssebridge_log_trims_total", now.Topics.Trims.Load())
	r.count("ssebridge_clients_parted_total", now.Topics.Parted.Load())

	r.answers(unmatchedRoute, now.Unmatched)
	r.count("ssebridge_log_lines_lost_total", now.Lost.Dropped, "queue_full")
	r.count("ssebridge_log_lines_lost_total", now.Lost.Failed, "write_failed")
	r.value("ssebridge_config_reloads_total", float64(now.Reloads.OK), "ok")
	r.value("ssebridge_config_reloads_total", float64(now.Reloads.Failed), "failed")
	r.value("ssebridge_config_last_reload_successful", flag(!now.Reloads.LastFailed))
	r.value("ssebridge_config_loaded_timestamp_seconds", float64(now.Reloads.Loaded.UnixMilli())/1e3)
	r.value("ssebridge_config_info", 1, now.Hash)

	r.value("ssebridge_ready", flag(now.Ready))
	r.value("ssebridge_draining", flag(now.Drains))
	r.value("ssebridge_build_info", 1, version(), runtime.Version())
}

// route sends the counts of a route.
func (r scrape) route(path string, c *RouteCounts, lag delivery.Lag) {
	for by, transport := range delivery.Transports() {
		r.value("ssebridge_clients", float64(c.Delivery.Clients[by].Load()), path, transport)
		r.histogram("ssebridge_delivery_seconds", c.Delivery.Reached[by], path, transport)
	}
	for start, name := range map[topic.Start]string{topic.Fresh: startNew, topic.Resumed: startResumed, topic.Missed: startMissed} {
		r.count("ssebridge_connects_total", c.connects[start].Load(), path, name)
	}
	r.family("ssebridge_disconnects_total", c.Delivery.Ends, path)
	r.answers(path, &c.Answers)
	r.histogram("ssebridge_unary_seconds", c.Unary, path)
	r.family("ssebridge_shed_total", c.shed, path)
	r.family("ssebridge_auth_refused_total", c.refused, path)
	r.count("ssebridge_auth_unverified_total", c.Unverified.Load(), path)
	r.count("ssebridge_frames_sent_total", c.Delivery.Frames.Load(), path)
	r.count("ssebridge_sent_bytes_total", c.Delivery.Bytes.Load(), path, "identity")
	r.count("ssebridge_sent_bytes_total", c.Delivery.GzipBytes.Load(), path, "gzip")
	for client, behind := range map[string]delivery.Behind{"slowest": lag.Slowest, "median": lag.Median} {
		r.count("ssebridge_client_lag_frames", behind.Frames, path, client)
		r.value("ssebridge_client_lag_seconds", behind.Time.Seconds(), path, client)
	}
	r.count("ssebridge_replays_total", c.replays.Load(), path)
	r.count("ssebridge_replayed_frames_total", c.replayed.Load(), path)
	c.Gaps.read(r, path)
	r.count("ssebridge_messages_received_total", c.messages.Load(), path)
	r.count("ssebridge_received_bytes_total", c.bytes.Load(), path)
	for way, name := range transcode.Paths() {
		r.count("ssebridge_messages_transcoded_total", c.paths[way].Load(), path, name)
	}
	r.count("ssebridge_messages_unshown_total", c.Unshown.Load(), path)
	r.count("ssebridge_long_ids_total", c.longIDs.Load(), path)
	r.count("ssebridge_repeated_cursors_total", c.Repeated.Load(), path)
}

// topics sends the number of a route's topics of each kind.
func (r scrape) topics(path string, kinds map[topic.Kind]int) {
	for _, role := range topic.Roles() {
		for _, state := range topic.States() {
			r.value("ssebridge_topics", float64(kinds[topic.Kind{Role: role, State: state}]), path, role, state)
		}
	}
}

// upstream sends the counts of an upstream.
func (r scrape) upstream(name string, up UpstreamState) {
	usage := up.Usage()
	r.value("ssebridge_upstream_connections", float64(usage.Ready), name, "ready")
	r.value("ssebridge_upstream_connections", float64(usage.Silent), name, "silent")
	r.value("ssebridge_upstream_connections", float64(usage.Apart), name, "apart")
	r.value("ssebridge_upstream_connections", float64(usage.Connections-usage.Ready-usage.Silent), name, "connecting")
	r.addresses(name, usage.Addresses)
	r.value("ssebridge_upstream_streams", float64(usage.Streams), name)
	r.value("ssebridge_upstream_opening", float64(usage.Opening), name)
	for kind, calls := range map[string]*Calls{"stream": &up.Counts.streams, "unary": &up.Counts.Unary} {
		r.count("ssebridge_upstream_opens_total", calls.Opens.Load(), name, kind)
		r.family("ssebridge_upstream_ends_total", calls.ends, name, kind)
	}
	r.count("ssebridge_upstream_reconnects_total", up.Counts.reconnects.Load(), name)
	r.count("ssebridge_upstream_moves_total", up.Counts.moves.Load(), name)
	r.count("ssebridge_upstream_idle_total", up.Counts.idle.Load(), name)
	r.histogram("ssebridge_upstream_accept_seconds", up.Counts.accept, name)
	running, waiting := up.CatchUps.Usage()
	r.value("ssebridge_upstream_catchups", float64(running), name, "running")
	r.value("ssebridge_upstream_catchups", float64(waiting), name, "waiting")
	if certificate := up.Certificate(); certificate != nil {
		r.value("ssebridge_upstream_certificate_not_after_seconds", float64(certificate.NotAfter.Unix()), name)
		r.value("ssebridge_upstream_certificate_not_before_seconds", float64(certificate.NotBefore.Unix()), name)
	}
	r.value("ssebridge_upstream_schema_known", flag(up.Schema() != nil), name)
}

// maxAddresses bounds the addresses of an upstream that have a series of their own.
const maxAddresses = 32

// addresses sends the number of RPCs at each address. Addresses beyond maxAddresses share
// one series.
func (r scrape) addresses(name string, addresses []upstream.AddressUsage) {
	states := map[string]int{"ready": 0, "connecting": 0, "foreign": 0, "failing": 0, "gone": 0}
	others := 0
	for i, a := range addresses {
		switch {
		case a.Gone:
			states["gone"]++
		case a.Failing && a.Ready:
			states["failing"]++
		case a.Ready:
			states["ready"]++
		case a.Foreign:
			states["foreign"]++
		default:
			states["connecting"]++
		}
		if i < maxAddresses {
			r.value("ssebridge_upstream_address_streams", float64(a.Streams), name, a.Address)
		} else {
			others += a.Streams
		}
	}
	if len(addresses) > maxAddresses {
		r.value("ssebridge_upstream_address_streams", float64(others), name, "other")
	}
	for state, n := range states {
		r.value("ssebridge_upstream_addresses", float64(n), name, state)
	}
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// modulePath is the path of this module.
const modulePath = "github.com/ssebridge/ssebridge"

// version returns the version of the bridge, also when another program embeds it.
func version() string {
	if released := release.Version(); released != "" {
		return released
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Path == modulePath {
		return info.Main.Version
	}
	for _, module := range info.Deps {
		if module.Path == modulePath {
			return module.Version
		}
	}
	return "unknown"
}
