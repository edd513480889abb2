package bridge

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"

	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

const (
	// scopeName names the bridge's spans among others'.
	scopeName = "github.com/ssebridge/ssebridge/bridge"
	// schemaURL is the version of the semantic conventions that they follow.
	schemaURL = "https://opentelemetry.io/schemas/1.37.0"
)

// tracing is what spans are made with.
type tracing struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
}

// newTracing returns nil where nothing is to be traced. The global provider and
// propagator are not used; a program that wants them passes them in.
func newTracing(opts Options) *tracing {
	if opts.TracerProvider == nil {
		return nil
	}
	t := &tracing{
		tracer:     opts.TracerProvider.Tracer(scopeName, trace.WithSchemaURL(schemaURL)),
		propagator: opts.Propagator,
	}
	if t.propagator == nil {
		t.propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	}
	return t
}

// journey is the trace of a visit: one span, from the request to the true end of
// its answer, however long that takes. Happenings in between are its events. Its
// methods do nothing on a nil journey.
type journey struct {
	span   trace.Span
	origin origin

	// Of a stream: what it has been told of its topic's.
	rpc *opening
	gap *gap
}

// origin is what an RPC's span, and what the backend is told, begin with: the
// request that opened the RPC. It is kept, where a context is not.
type origin struct {
	span    trace.SpanContext
	baggage baggage.Baggage
}

// context returns a context that an RPC's is made from.
func (o *origin) context(ctx context.Context) context.Context {
	if o == nil {
		return ctx
	}
	return baggage.ContextWithBaggage(trace.ContextWithSpanContext(ctx, o.span), o.baggage)
}

// opening is the opening of an RPC: its span, and that of the request that it is
// opened for.
type opening struct{ span, opener trace.SpanContext }

// gap is a gap that all clients of a topic are told.
type gap struct{ reason string }

// openSpan begins the visit's span, if it has none: when the route is known, whose
// name is the span's and by which samplers may decide.
//
//nolint:spancheck // it is ended when the visit is
func (v *visit) openSpan(r *http.Request) {
	tracing := v.bridge.tracing
	if tracing == nil || v.journey != nil {
		return
	}
	ctx := r.Context()
	if !trace.SpanContextFromContext(ctx).IsValid() { // else a middleware has begun one
		ctx = tracing.propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	name := knownMethod(r.Method)
	if name == otherMethod {
		name = "HTTP"
	}
	attrs := v.spanAttrs(r)
	if v.endpoint != nil {
		path := v.endpoint.route.Path
		name += " " + path
		attrs = append(attrs, attribute.String("http.route", path), attribute.String("ssebridge.route", path))
	}
	ctx, span := tracing.tracer.Start(ctx, name,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(v.bridge.born.Add(v.began)), trace.WithAttributes(attrs...))
	v.journey = &journey{span: span, origin: origin{span.SpanContext(), baggage.FromContext(ctx)}}
}

// otherMethod is what the conventions call a method that they do not know.
const otherMethod = "_OTHER"

func knownMethod(method string) string {
	known := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
	}
	if slices.Contains(known, method) {
		return method
	}
	return otherMethod
}

// spanAttrs are a request's attributes. No id, and no query, is one.
func (v *visit) spanAttrs(r *http.Request) []attribute.KeyValue {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	method := knownMethod(r.Method)
	attrs := append(make([]attribute.KeyValue, 0, 16),
		attribute.String("http.request.method", method),
		attribute.String("url.scheme", scheme),
		attribute.String("url.path", v.path.Value()),
		attribute.String("network.protocol.name", "http"),
		attribute.String("network.protocol.version", v.protocol.String()),
		attribute.String("ssebridge.request_id", v.id),
	)
	if method == otherMethod {
		attrs = append(attrs, attribute.String("http.request.method_original", v.method.Value()))
	}
	if v.client.IsValid() {
		attrs = append(attrs, attribute.String("client.address", v.client.String()))
	}
	if agent := v.agent.Value(); agent != "" {
		attrs = append(attrs, attribute.String("user_agent.original", agent))
	}
	return attrs
}

// happens adds an event; words come in pairs.
func (j *journey) happens(event string, words ...string) {
	if j == nil {
		return
	}
	attrs := make([]attribute.KeyValue, 0, len(words)/2)
	for i := 0; i+1 < len(words); i += 2 {
		attrs = append(attrs, attribute.String(words[i], words[i+1]))
	}
	j.span.AddEvent(event, trace.WithAttributes(attrs...))
}

// begins says how a stream begins.
func (j *journey) begins(start start, sub *topic.Subscription) {
	if j == nil {
		return
	}
	j.span.SetAttributes(attribute.String("ssebridge.start", start.how), attribute.Bool("ssebridge.resumed", start.how == startResumed))
	if f := feedOf(sub); f != nil {
		j.gap = f.gap.Load() // told before
	}
	j.happens("accept")
	switch start.how {
	case startResumed:
		j.happens("resume")
	case startMissed:
		j.happens("gap", "ssebridge.reason", start.gap)
	}
	j.follows(sub)
}

// follows tells what has become of the stream's topic meanwhile: of gaps, and of
// RPCs that are not this request's own, whose traces the span is linked to.
func (j *journey) follows(sub *topic.Subscription) {
	if j == nil {
		return
	}
	f := feedOf(sub)
	if f == nil {
		return
	}
	if told := f.gap.Load(); told != j.gap {
		if j.gap = told; told != nil {
			j.happens("gap", "ssebridge.reason", told.reason)
		}
	}
	if now := f.opening.Load(); now != j.rpc {
		if j.rpc = now; now != nil && !now.opener.Equal(j.origin.span) {
			j.span.AddLink(trace.Link{SpanContext: now.span, Attributes: []attribute.KeyValue{attribute.String("ssebridge.link", "rpc")}})
		}
	}
}

// fails says that the stream ended with a failure of its RPC.
func (j *journey) fails(err error) {
	if j == nil {
		return
	}
	code := failure.StatusOf(err).Code()
	j.span.SetAttributes(attribute.Int("rpc.grpc.status_code", failure.CodeNumber(code)), attribute.String("error.type", failure.CodeName(code)))
	if isServerFault(code) {
		j.span.SetStatus(otelcodes.Error, failure.CodeName(code))
	}
}

// isServerFault reports whether a code is the answering side's error, by the
// conventions for servers; others are the client's.
func isServerFault(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// ends is the end of a stream.
func (j *journey) ends(v *visit, bytes uint64) {
	if j == nil {
		return
	}
	j.span.SetAttributes(
		attribute.Int("http.response.status_code", http.StatusOK),
		attribute.String("ssebridge.end", v.reason),
		attribute.Int64("ssebridge.events", int64(v.events)),     //nolint:gosec // no stream has so many
		attribute.Int64("http.response.body.size", int64(bytes)), //nolint:gosec // nor so much
	)
	j.span.End()
}

// answers is the end of a request that was answered without a stream. A status of
// 4xx is no error of the server's.
func (j *journey) answers(v *visit) {
	if j == nil {
		return
	}
	if v.status == 0 {
		j.span.SetAttributes(attribute.String("ssebridge.end", "aborted"))
	} else {
		j.span.SetAttributes(attribute.Int("http.response.status_code", int(v.status)), attribute.Int("http.response.body.size", v.bytes))
	}
	if v.status >= http.StatusInternalServerError {
		j.span.SetAttributes(attribute.String("error.type", strconv.Itoa(int(v.status))))
		j.span.SetStatus(otelcodes.Error, "")
	}
	j.span.End()
}
