package observe

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"
	"unique"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/ssebridge/ssebridge/bridge/internal/peer"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/internal/logqueue"
	"github.com/ssebridge/ssebridge/internal/printable"
)

// Bounds in bytes of a client's or backend's text in a log or a span.
const (
	methodBytes = 16
	pathBytes   = 256
	agentBytes  = 128
	idBytes     = 128
)

// Params are the parameters of an Observer.
type Params struct {
	Born   time.Time       // when the bridge was made
	Log    slog.Handler    // writes an access line
	Lines  *logqueue.Queue // calls Log
	Ends   bool            // logs each request when its answer has ended
	Begins bool            // also logs each stream when it begins
	// TracerProvider makes a span for each request and RPC. Nil disables tracing.
	TracerProvider trace.TracerProvider
	Propagator     propagation.TextMapPropagator // nil means W3C Trace Context and Baggage
}

// Observer logs, traces and counts the requests of a bridge. Its methods are safe for
// concurrent use.
type Observer struct {
	born      time.Time
	journal   *journal // nil if requests are not logged
	tracing   *tracing // nil if requests are not traced
	Unmatched Answers  // of requests that match no route
}

// New returns an Observer.
func New(params Params) *Observer {
	return &Observer{born: params.Born, journal: newJournal(params), tracing: newTracing(params)}
}

// watched reports whether requests are logged or traced.
func (o *Observer) watched() bool { return o.journal != nil || o.tracing != nil }

// Record is one request as operators see it, from its arrival to the end of its answer. A
// stream may outlive its handler by hours. Strings that many clients have in common are
// stored once.
//
// Record is not safe for concurrent use: its methods are called by the goroutine that serves
// the request at the time. The methods for streams do nothing on a nil Record, see
// [Record.Kept].
type Record struct {
	observer *Observer
	route    string        // empty until the route is known
	counts   *RouteCounts  // of the route; nil until it is known
	span     *requestSpan  // nil if the request is not traced
	began    time.Duration // since the bridge was made
	id       string        // X-Request-Id

	// Set only if requests are logged or traced.
	method, path, agent unique.Handle[string]
	client              netip.Addr
	protocol            protocol
	transport           transport

	streaming bool     // the answer is a stream
	status    int16    // of the response, 0 until it is written
	bytes     int      // of the body, unless the answer is a stream
	refusal   *refusal // nil if the bridge has not refused the request

	// Set for streams.
	events uint64
	reason string // of the end; empty: the reason.End of StreamEnded
	last   string // the last id
}

// transport is the connection type of a request.
type transport byte

const (
	overTCP transport = iota
	overTLS
	overUnixSocket
)

func (t transport) String() string { return [...]string{"tcp", "tls", "unix"}[t] }

// protocol is a version of HTTP.
type protocol struct{ major, minor byte }

func (p protocol) String() string {
	if p.major > 1 {
		return strconv.Itoa(int(p.major))
	}
	return strconv.Itoa(int(p.major)) + "." + strconv.Itoa(int(p.minor))
}

// Begin returns the record of a new request, and sets X-Request-Id in the response's header.
// The request's context has its peer.Client.
func (o *Observer) Begin(answer http.Header, r *http.Request) *Record {
	rec := &Record{observer: o, began: time.Since(o.born), id: requestID(answer, r)}
	answer[RequestIDHeader] = []string{rec.id}
	if o.watched() {
		rec.method = unique.Make(printable.Text(r.Method, methodBytes))
		rec.path = unique.Make(printable.Text(r.URL.Path, pathBytes)) // a query may hold a token
		rec.agent = unique.Make(printable.Text(r.UserAgent(), agentBytes))
		rec.client = peer.Of(r).Addr
		rec.protocol = protocol{byte(r.ProtoMajor), byte(r.ProtoMinor)} //nolint:gosec // net/http knows no larger ones
		rec.transport = transportOf(r)
	}
	return rec
}

// transportOf returns the connection type of a request.
func transportOf(r *http.Request) transport {
	switch {
	case r.TLS != nil:
		return overTLS
	case peer.OverUnix(r):
		return overUnixSocket
	}
	return overTCP
}

// ID returns the request's X-Request-Id.
func (rec *Record) ID() string { return rec.id }

// SetRoute sets the path and counters of the request's route, and begins the span.
func (rec *Record) SetRoute(path string, counts *RouteCounts, r *http.Request) {
	rec.route, rec.counts = path, counts
	rec.openSpan(r)
}

// Age returns the time since the request arrived.
func (rec *Record) Age(now time.Time) time.Duration { return now.Sub(rec.observer.born) - rec.began }

// Kept returns the record if requests are logged or traced, else nil, so that a stream does
// not keep the record without need.
func (rec *Record) Kept() *Record {
	if rec == nil || !rec.observer.watched() {
		return nil
	}
	return rec
}

// SetStatus sets the status of the response.
func (rec *Record) SetStatus(status int) { rec.status = int16(status) } //nolint:gosec // net/http knows three digits

// CountBytes counts bytes of the response's body.
func (rec *Record) CountBytes(bytes int) { rec.bytes += bytes }

// SetStreaming sets whether the answer is a stream, which may outlive the handler.
func (rec *Record) SetStreaming(streaming bool) { rec.streaming = streaming }

// The values of "start" in access lines, spans and metrics.
const (
	startNew     = "new"
	startResumed = "resumed"
	startMissed  = "missed" // with a gap
)

// Start is how a stream begins, with the reason of its gap.
type Start struct {
	how string
	gap reason.Gap
}

// StartOf returns how a subscription begins.
func StartOf(sub *topic.Subscription) Start {
	switch sub.Start {
	case topic.Missed:
		return Start{startMissed, sub.Missed}
	case topic.Resumed:
		return Start{startResumed, ""}
	default:
		return Start{startNew, ""}
	}
}

// StreamBegins records the beginning of a stream. from is the client's Last-Event-ID, and rpc
// the trace of its topic.
func (rec *Record) StreamBegins(start Start, from string, rpc *RPCs) {
	if rec == nil {
		return
	}
	rec.observer.journal.logBegin(rec, start, from)
	rec.span.beginStream(start, rpc)
}

// Traced reports whether the request has a recording span.
func (rec *Record) Traced() bool { return rec != nil && rec.span != nil && rec.span.IsRecording() }

// FollowRPCs records new gaps and RPCs of the client's topic in the span.
func (rec *Record) FollowRPCs(rpc *RPCs) {
	if rec != nil {
		rec.span.followRPCs(rpc)
	}
}

// AddEvent adds an event to the span. attributes are pairs of a name and a value.
func (rec *Record) AddEvent(event string, attributes ...string) {
	if rec != nil {
		rec.span.addEvent(event, attributes...)
	}
}

// AskedToLeave records why the client is asked to leave.
func (rec *Record) AskedToLeave(why reason.Leave) {
	if rec != nil {
		rec.reason = string(why)
		if why == reason.LeaveRemoved {
			rec.reason = string(reason.EndStream)
		}
		rec.span.addEvent("leave", "ssebridge.reason", rec.reason)
	}
}

// Last is the state of a stream at its end, before it leaves its topic.
type Last struct {
	End    reason.End
	Events uint64 // number of events that the client was sent
	ID     string // the client's last event id
	RPC    *RPCs
	Err    error // of the topic's RPC
}

// StreamLeaves records the state of a stream at its end, before it leaves its topic.
func (rec *Record) StreamLeaves(last Last) {
	if rec == nil {
		return
	}
	rec.events, rec.last = last.Events, last.ID
	rec.span.followRPCs(last.RPC)
	if last.End != reason.EndComplete || rec.reason != "" {
		return // the stream did not end because of its RPC
	}
	rec.reason = string(reason.EndStream)
	if last.Err != nil {
		rec.reason = string(reason.EndError)
		rec.span.fail(last.Err)
	}
}

// StreamEnded logs the end of a stream, after the given number of bytes, and ends its span.
func (rec *Record) StreamEnded(end reason.End, bytes uint64) {
	if rec == nil || !rec.streaming {
		return
	}
	if end != reason.EndComplete && end != reason.EndAsked || rec.reason == "" {
		rec.reason = string(end)
	}
	rec.observer.journal.logEnd(rec, bytes)
	rec.span.endStream(rec, bytes)
}

// HandlerReturned is called when the handler returns. It counts and logs every answer that is not a
// stream.
func (rec *Record) HandlerReturned(r *http.Request) {
	if rec.streaming {
		return // a stream was counted when it began
	}
	counts := &rec.observer.Unmatched
	if rec.counts != nil {
		counts = &rec.counts.Answers
	}
	counts.Add(int(rec.status))
	if !rec.observer.watched() {
		return
	}
	rec.openSpan(r) // a request without a route has no span yet
	rec.observer.journal.logAnswer(rec)
	rec.span.endAnswer(rec)
}
