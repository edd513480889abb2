package bridge

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"
	"unique"

	"github.com/ssebridge/ssebridge/bridge/internal/delivery"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/internal/printable"
)

// How much of what a client sends, or a backend says, may reach a log or a span.
const (
	methodBytes = 16
	pathBytes   = 256
	agentBytes  = 128
	idBytes     = 128
	errorBytes  = 1 << 10
)

// visit is a request as operators see it, in the log and in traces, from its coming
// to the true end of its answer: a stream may go on for long without its handler.
// Strings that differ little from client to client are kept once for all.
//
// Its methods are called by the goroutine that serves the request at the time, and
// do nothing on a nil visit, which is neither logged nor traced.
type visit struct {
	bridge   *Bridge
	endpoint *endpoint     // nil while the route is not known
	journey  *journey      // its trace; nil: there is none
	began    time.Duration // of the bridge's age
	id       string        // X-Request-Id

	// Set where the bridge is watched.
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
	reason string // of the end; empty: the delivery.End says it all
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

// witness is a response whose visit sees what it is answered with.
type witness struct {
	http.ResponseWriter

	visit *visit
}

// receive begins the visit of a request that was identified.
func (b *Bridge) receive(w http.ResponseWriter, r *http.Request) *witness {
	v := &visit{bridge: b, began: time.Since(b.born), id: requestID(w.Header(), r)}
	w.Header()[requestIDHeader] = []string{v.id}
	if b.watched() {
		v.method = unique.Make(printable.Text(r.Method, methodBytes))
		v.path = unique.Make(printable.Text(r.URL.Path, pathBytes)) // a query may hold a token
		v.agent = unique.Make(printable.Text(r.UserAgent(), agentBytes))
		v.client = clientAddr(r)
		v.protocol = protocol{byte(r.ProtoMajor), byte(r.ProtoMinor)} //nolint:gosec // net/http knows no larger ones
		v.transport = transportOf(r)
	}
	return &witness{w, v}
}

// watched reports whether requests are logged or traced.
func (b *Bridge) watched() bool { return b.journal != nil || b.tracing != nil }

// transportOf names what a request came over.
func transportOf(r *http.Request) transport {
	switch {
	case r.TLS != nil:
		return overTLS
	case overUnix(r):
		return overUnixSocket
	}
	return overTCP
}

// visitOf returns the visit whose response is being written.
func visitOf(w http.ResponseWriter) *visit {
	if w, ok := w.(*witness); ok {
		return w.visit
	}
	return nil
}

// bare returns the server's own response, which delivery may ask for its connection.
func bare(w http.ResponseWriter) http.ResponseWriter {
	if w, ok := w.(*witness); ok {
		return w.ResponseWriter
	}
	return w
}

// Unwrap is what http.ResponseController looks for.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status.
func (w *witness) WriteHeader(status int) {
	w.visit.status = int16(status) //nolint:gosec // net/http knows three digits
	w.limitAnswer(time.Time{})
	w.ResponseWriter.WriteHeader(status)
}

// Write notes how much was written. Each piece of it has its time.
func (w *witness) Write(p []byte) (n int, err error) {
	whole := time.Now().Add(answerTimeout + time.Duration(len(p)/answerRate)*time.Second)
	for piece := range slices.Chunk(p, answerPiece) {
		w.limitAnswer(whole)
		var wrote int
		wrote, err = w.ResponseWriter.Write(piece)
		n += wrote
		if err != nil {
			break
		}
	}
	w.visit.bytes += n
	return n, err
}

// finds says that the request's route is known.
func (v *visit) finds(e *endpoint, r *http.Request) {
	v.endpoint = e
	v.openSpan(r)
}

// age is how old the visit is.
func (v *visit) age(now time.Time) time.Duration { return now.Sub(v.bridge.born) - v.began }

// kept is the visit as far as a stream has to keep it.
func (v *visit) kept() *visit {
	if v == nil || !v.bridge.watched() {
		return nil
	}
	return v
}

// streams says that the answer is a stream, which may end later than the handler.
func (v *visit) streams(streaming bool) {
	if v != nil {
		v.streaming = streaming
	}
}

// begins says how a client's stream begins.
func (v *visit) begins(voice *voice, from string) {
	if v == nil {
		return
	}
	start := startOf(voice.sub)
	v.bridge.journal.begins(v, start, from)
	v.journey.begins(start, voice.sub)
}

// How streams begin, as lines, spans and metrics have it.
const (
	startNew     = "new"
	startResumed = "resumed"
	startMissed  = "missed" // with a gap
)

// start is how a stream begins, and the reason of its gap.
type start struct{ how, gap string }

func startOf(sub *topic.Subscription) start {
	switch sub.Start {
	case topic.Missed:
		return start{startMissed, sub.Missed}
	case topic.Resumed:
		return start{startResumed, ""}
	default:
		return start{startNew, ""}
	}
}

// traced reports whether the visit has a trace that is kept.
func (v *visit) traced() bool { return v != nil && v.journey != nil && v.journey.span.IsRecording() }

// follows looks at what has become of the client's topic.
func (v *visit) follows(sub *topic.Subscription) {
	if v != nil {
		v.journey.follows(sub)
	}
}

// happens says that something has become of the stream; words come in pairs.
func (v *visit) happens(event string, words ...string) {
	if v != nil {
		v.journey.happens(event, words...)
	}
}

// leaves says for which reason the client is asked to leave.
func (v *visit) leaves(reason string) {
	if v != nil {
		v.reason = reason
		v.journey.happens("leave", "ssebridge.reason", reason)
	}
}

// ends is what is to be known of a stream's end before its topic is left.
func (v *visit) ends(end delivery.End, voice *voice, client *delivery.Client) {
	if v == nil {
		return
	}
	v.events = client.Frames
	v.journey.follows(voice.sub)
	v.last = voice.lastID(client.Position, v.events > 0)
	if end != delivery.EndComplete || v.reason != "" {
		return // that the RPC has failed is not why
	}
	v.reason = reasonEnd
	if err := voice.sub.Topic.Status().Err; err != nil {
		v.reason = reasonError
		v.journey.fails(err)
	}
}

// How a stream ends that has said all: by stream-end, or by stream-error.
const (
	reasonEnd   = "end"
	reasonError = "error"
)

// ended is the end of a stream.
func (v *visit) ended(end delivery.End, bytes uint64) {
	if v == nil || !v.streaming {
		return
	}
	if end != delivery.EndComplete && end != delivery.EndAsked || v.reason == "" {
		v.reason = string(end)
	}
	v.bridge.journal.ends(v, bytes)
	v.journey.ends(v, bytes)
}

// returned is the end of the handler, and of all that is no stream.
func (v *visit) returned(r *http.Request) {
	v.count()
	if v.streaming || !v.bridge.watched() {
		return
	}
	v.openSpan(r) // of a request without a route
	v.bridge.journal.answers(v)
	v.journey.answers(v)
}
