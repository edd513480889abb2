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

// How much of a client's or backend's text may reach a log or a span, in bytes.
const (
	methodBytes = 16
	pathBytes   = 256
	agentBytes  = 128
	idBytes     = 128
)

// Params are what requests are observed with.
type Params struct {
	Born   time.Time       // when the bridge was made
	Log    slog.Handler    // writes an access line
	Lines  *logqueue.Queue // calls Log
	Ends   bool            // each request has a line when its answer has ended
	Begins bool            // and each stream when it begins
	// TracerProvider makes a span for each request and RPC; nil: there are none.
	TracerProvider trace.TracerProvider
	Propagator     propagation.TextMapPropagator // nil: W3C Trace Context and Baggage
}

// Observer logs, traces and counts the requests of a bridge. Its methods are safe for
// concurrent use.
type Observer struct {
	born      time.Time
	journal   *journal // nil: requests are not logged
	tracing   *tracing // nil: nor traced
	Unmatched Answers  // of requests that no route takes
}

// New makes an observer.
func New(params Params) *Observer {
	return &Observer{born: params.Born, journal: newJournal(params), tracing: newTracing(params)}
}

// watched reports whether requests are logged or traced.
func (o *Observer) watched() bool { return o.journal != nil || o.tracing != nil }

// Record is one request as operators see it, from its arrival to the true end of its answer:
// a stream may go on for long without its handler. Strings that differ little from client to
// client are kept once for all.
//
// Its methods are called by the goroutine that serves the request at the time. Those of a
// stream do nothing on a nil record, see [Record.Kept].
type Record struct {
	observer *Observer
	route    string        // empty while the route is not known
	counts   *RouteCounts  // of the route; nil as long
	span     *requestSpan  // nil: there is none
	began    time.Duration // of the bridge's age
	id       string        // X-Request-Id

	// Set where requests are watched.
	method, path, agent unique.Handle[string]
	client              netip.Addr
	protocol            protocol
	transport           transport

	streaming bool     // the answer is a stream
	status    int16    // of the response, 0 while there is none
	bytes     int      // of the body, where it is no stream
	refusal   *refusal // why it is no stream; nil: it was not refused, or by a middleware

	// Of a stream.
	events uint64
	reason string // of the end; empty: the reason.End says it all
	last   string // the last id
}

// transport is what a request comes over.
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

// Begin begins the record of a request that has its peer.Client in its context, and gives it
// an X-Request-Id in the response's header.
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

// transportOf returns what a request came over.
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

// Route sets the request's route, by its path and counts, and begins the span.
func (rec *Record) Route(path string, counts *RouteCounts, r *http.Request) {
	rec.route, rec.counts = path, counts
	rec.openSpan(r)
}

// Age returns how old the request is.
func (rec *Record) Age(now time.Time) time.Duration { return now.Sub(rec.observer.born) - rec.began }

// Kept returns the record if a stream has to keep it: nil where requests are neither logged
// nor traced.
func (rec *Record) Kept() *Record {
	if rec == nil || !rec.observer.watched() {
		return nil
	}
	return rec
}

// Answered notes the status of the response.
func (rec *Record) Answered(status int) { rec.status = int16(status) } //nolint:gosec // net/http knows three digits

// Wrote counts bytes of the response's body.
func (rec *Record) Wrote(bytes int) { rec.bytes += bytes }

// Streams notes whether the answer is a stream, which may end later than the handler.
func (rec *Record) Streams(streaming bool) { rec.streaming = streaming }

// How streams begin, as lines, spans and metrics have it.
const (
	startNew     = "new"
	startResumed = "resumed"
	startMissed  = "missed" // with a gap
)

// Start is how a stream begins, and the reason of its gap.
type Start struct {
	how string
	gap reason.Gap
}

// StartOf returns how a client's stream begins.
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

// StreamBegins notes how a stream begins, with the id that its client came with. rpc is its
// topic's.
func (rec *Record) StreamBegins(start Start, from string, rpc *RPCs) {
	if rec == nil {
		return
	}
	rec.observer.journal.begins(rec, start, from)
	rec.span.begins(start, rpc)
}

// Traced reports whether the request has a span that is recorded.
func (rec *Record) Traced() bool { return rec != nil && rec.span != nil && rec.span.IsRecording() }

// Follows notes what has become of the RPC of the client's topic.
func (rec *Record) Follows(rpc *RPCs) {
	if rec != nil {
		rec.span.follows(rpc)
	}
}

// Happens notes an event of the stream; attributes are pairs of a name and a value.
func (rec *Record) Happens(event string, attributes ...string) {
	if rec != nil {
		rec.span.happens(event, attributes...)
	}
}

// AskedToLeave notes for which reason the client is asked to leave.
func (rec *Record) AskedToLeave(why reason.Leave) {
	if rec != nil {
		rec.reason = string(why)
		if why == reason.LeaveRemoved {
			rec.reason = string(reason.EndStream)
		}
		rec.span.happens("leave", "ssebridge.reason", rec.reason)
	}
}

// Last is what is known of a stream before its topic is left.
type Last struct {
	End    reason.End
	Events uint64 // that the client was sent
	ID     string // the last one that the client has
	RPC    *RPCs
	Err    error // of the topic's RPC
}

// StreamLeaves notes what is to be known of a stream's end before its topic is left.
func (rec *Record) StreamLeaves(last Last) {
	if rec == nil {
		return
	}
	rec.events, rec.last = last.Events, last.ID
	rec.span.follows(last.RPC)
	if last.End != reason.EndComplete || rec.reason != "" {
		return // that the RPC has failed is not why
	}
	rec.reason = string(reason.EndStream)
	if last.Err != nil {
		rec.reason = string(reason.EndError)
		rec.span.fails(last.Err)
	}
}

// StreamEnded is the end of a stream that was sent so many bytes.
func (rec *Record) StreamEnded(end reason.End, bytes uint64) {
	if rec == nil || !rec.streaming {
		return
	}
	if end != reason.EndComplete && end != reason.EndAsked || rec.reason == "" {
		rec.reason = string(end)
	}
	rec.observer.journal.ends(rec, bytes)
	rec.span.ends(rec, bytes)
}

// Returned is the end of the handler, and of every answer that is no stream.
func (rec *Record) Returned(r *http.Request) {
	if rec.streaming {
		return // it was counted when it began
	}
	counts := &rec.observer.Unmatched
	if rec.counts != nil {
		counts = &rec.counts.Answers
	}
	counts.Add(int(rec.status))
	if !rec.observer.watched() {
		return
	}
	rec.openSpan(r) // of a request without a route
	rec.observer.journal.answers(rec)
	rec.span.answers(rec)
}
