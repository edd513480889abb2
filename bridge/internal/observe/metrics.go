package observe

import "github.com/prometheus/client_golang/prometheus"

// metric describes one of the bridge's metrics.
type metric struct {
	name   string
	kind   prometheus.ValueType // zero for a histogram
	help   string
	labels []string
}

// The names of labels. All values come from the configuration and the program: text of a
// client or a backend never becomes a label, so that the number of series is bounded.
const (
	labelRoute     = "route" // the path in the configuration
	labelUpstream  = "upstream"
	labelReason    = "reason"
	labelTransport = "transport"
	labelState     = "state"
	labelKind      = "kind"
)

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// metrics returns all metrics; docs/metrics.md describes them.
func metrics() []metric {
	return []metric{
		{"ssebridge_clients", gauge, "Streams being served.", []string{labelRoute, labelTransport}},
		{"ssebridge_requests_total", counter, "Requests by the status they were answered with; a stream is 200.", []string{labelRoute, "status"}},
		{"ssebridge_unary_seconds", 0, "From a request for a unary method to its answer.", []string{labelRoute}},
		{"ssebridge_clients_limit", gauge, "limits.clients.", nil},
		{"ssebridge_connects_total", counter, "Streams that have begun on a topic, by where they started.", []string{labelRoute, "start"}},
		{"ssebridge_disconnects_total", counter, "Streams that have ended, by why.", []string{labelRoute, labelReason}},
		{"ssebridge_auth_refused_total", counter, "Requests that were not admitted, because of their credentials.", []string{labelRoute, labelReason}},
		{"ssebridge_auth_unverified_total", counter, "Requests asked to come back, as their credentials could not be verified.", []string{labelRoute}},
		{"ssebridge_shed_total", counter, "Clients asked to come back later because a limit was reached.", []string{labelRoute, labelReason}},
		{"ssebridge_frames_sent_total", counter, "Frames of logs written to clients.", []string{labelRoute}},
		{"ssebridge_sent_bytes_total", counter, "Bytes written to clients.", []string{labelRoute, "encoding"}},
		{
			"ssebridge_delivery_seconds", 0,
			"From a message's coming in to the last client of its topic having it; for transport http, to one client, sampled.",
			[]string{labelRoute, labelTransport},
		},
		{"ssebridge_client_lag_frames", gauge, "How many frames a client is behind its topic.", []string{labelRoute, "client"}},
		{"ssebridge_client_lag_seconds", gauge, "How long the next frame of a client has been there.", []string{labelRoute, "client"}},
		{"ssebridge_replays_total", counter, "Clients that have come back and resumed in a log.", []string{labelRoute}},
		{"ssebridge_replayed_frames_total", counter, "Frames that were there for clients that resumed.", []string{labelRoute}},
		{
			"ssebridge_gaps_total", counter, "stream-gap events: once for a log, and once for each client that has one of its own.",
			[]string{labelRoute, labelReason, "told", "cause"},
		},
		{
			"ssebridge_gaps_told_total", counter, "stream-gap events that clients were sent, once for each client.",
			[]string{labelRoute, labelReason},
		},
		{"ssebridge_messages_received_total", counter, "Messages from upstreams.", []string{labelRoute}},
		{"ssebridge_received_bytes_total", counter, "Bytes of those messages, as protobuf.", []string{labelRoute}},
		{"ssebridge_messages_transcoded_total", counter, "Messages of streams that became JSON, by how.", []string{labelRoute, "path"}},
		{"ssebridge_messages_unshown_total", counter, "Messages that could not be shown as JSON.", []string{labelRoute}},
		{"ssebridge_long_ids_total", counter, "Events with an id over 128 bytes.", []string{labelRoute}},
		{"ssebridge_repeated_cursors_total", counter, "Messages with the cursor of the one before, where event.cursor is unique.", []string{labelRoute}},
		{"ssebridge_route_contradicts_schema", gauge, "1 while the route answers 501, as it does not fit its upstream's schema.", []string{labelRoute}},
		{"ssebridge_topics", gauge, "Topics, by what they are to their stream and how they stand.", []string{labelRoute, "role", labelState}},
		{"ssebridge_topics_limit", gauge, "limits.topics.", nil},
		{"ssebridge_topic_evictions_total", counter, "Lingering topics ended before their time, by the limit.", []string{labelReason}},
		{"ssebridge_log_bytes", gauge, "Memory of all logs.", nil},
		{"ssebridge_pending_bytes", gauge, "Memory of requests and answers that are held for clients, beyond the first 4 KiB of each.", []string{labelKind}},
		{"ssebridge_pending_bytes_limit", gauge, "limits.pending_bytes.", nil},
		{"ssebridge_log_kept_bytes", gauge, "Memory of events that are kept until their client has them; a quarter of limits.replay_bytes is for them.", nil},
		{"ssebridge_log_bytes_limit", gauge, "limits.replay_bytes.", nil},
		{"ssebridge_log_trims_total", counter, "How often the largest log gave up its oldest frames for limits.replay_bytes.", nil},
		{"ssebridge_clients_parted_total", counter, "Clients placed in another log, since they kept others of theirs waiting.", nil},
		{"ssebridge_upstream_connections", gauge, "Connections to the upstream.", []string{labelUpstream, labelState}},
		{"ssebridge_upstream_addresses", gauge, "Addresses of the upstream.", []string{labelUpstream, labelState}},
		{"ssebridge_upstream_address_streams", gauge, "RPCs at each address of the upstream.", []string{labelUpstream, "address"}},
		{"ssebridge_upstream_streams", gauge, "RPCs under way.", []string{labelUpstream}},
		{"ssebridge_upstream_opening", gauge, "RPCs that wait for a place on a connection.", []string{labelUpstream}},
		{"ssebridge_upstream_opens_total", counter, "RPCs begun.", []string{labelUpstream, labelKind}},
		{"ssebridge_upstream_ends_total", counter, "RPCs ended, by their gRPC code.", []string{labelUpstream, labelKind, "code"}},
		{"ssebridge_upstream_reconnects_total", counter, "RPCs of streams begun again for a topic that had one before.", []string{labelUpstream}},
		{"ssebridge_upstream_moves_total", counter, "RPCs moved to another address, for balance.rebalance.", []string{labelUpstream}},
		{"ssebridge_upstream_idle_total", counter, "RPCs opened again since they sent nothing for idle_timeout.", []string{labelUpstream}},
		{"ssebridge_upstream_accept_seconds", 0, "From the opening of a stream's RPC to its headers.", []string{labelUpstream}},
		{"ssebridge_upstream_catchups", gauge, "Catch-up RPCs that count against limits.catchups, and those that wait.", []string{labelUpstream, labelState}},
		{"ssebridge_upstream_certificate_not_after_seconds", gauge, "When the upstream's client certificate expires, as Unix time.", []string{labelUpstream}},
		{"ssebridge_upstream_certificate_not_before_seconds", gauge, "From when it is valid, as Unix time.", []string{labelUpstream}},
		{"ssebridge_upstream_schema_known", gauge, "1 once the upstream's schema has been read.", []string{labelUpstream}},
		{"ssebridge_config_reloads_total", counter, "Reloads of the configuration.", []string{"result"}},
		{"ssebridge_config_last_reload_successful", gauge, "0 while the newest configuration has been refused.", nil},
		{"ssebridge_config_loaded_timestamp_seconds", gauge, "When the configuration that holds was taken over.", nil},
		{"ssebridge_config_info", gauge, "1; the configuration that holds, by its hash, secrets left out.", []string{"hash"}},
		{"ssebridge_log_lines_lost_total", counter, "Lines that are not in the log, by why.", []string{labelReason}},
		{"ssebridge_ready", gauge, "1 while the bridge says that it is ready.", nil},
		{"ssebridge_draining", gauge, "1 once the bridge has begun to drain.", nil},
		{"ssebridge_build_info", gauge, "1; which build this is.", []string{"version", "goversion"}},
	}
}
