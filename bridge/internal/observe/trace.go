package observe

import (
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
func newTracing(params Params) *tracing {
	if params.TracerProvider == nil {
		return nil
	}
	t := &tracing{
		tracer:     params.TracerProvider.Tracer(scopeName, trace.WithSchemaURL(schemaURL)),
		propagator: params.Propagator,
	}
	if t.propagator == nil {
		t.propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	}
	return t
}

// requestSpan is the span of one request, from its arrival to the true end of its answer,
// however long that takes. What happens in between are its events. Its methods do nothing on
// a nil requestSpan.
type requestSpan struct {
	trace.Span

	origin Origin

	// Of a stream: what the span has noted of its topic's RPCs.
	rpc *opening
	gap *gap
}

// openSpan begins the request's span, if it has none: when the route is known, whose
// name is the span's and by which samplers may decide.
//
//nolint:spancheck // it is ended when the record is
func (rec *Record) openSpan(r *http.Request) {
	tracing := rec.observer.tracing
	if tracing == nil || rec.span != nil {
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
	attrs := spanAttrs(rec, r)
	if rec.route != "" {
		name += " " + rec.route
		attrs = append(attrs, attribute.String("http.route", rec.route), attribute.String("ssebridge.route", rec.route))
	}
	ctx, span := tracing.tracer.Start(ctx, name,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(rec.observer.born.Add(rec.began)), trace.WithAttributes(attrs...))
	rec.span = &requestSpan{Span: span, origin: Origin{span.SpanContext(), baggage.FromContext(ctx)}}
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
func spanAttrs(rec *Record, r *http.Request) []attribute.KeyValue {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	method := knownMethod(r.Method)
	attrs := append(make([]attribute.KeyValue, 0, 16),
		attribute.String("http.request.method", method),
		attribute.String("url.scheme", scheme),
		attribute.String("url.path", rec.path.Value()),
		attribute.String("network.protocol.name", "http"),
		attribute.String("network.protocol.version", rec.protocol.String()),
		attribute.String("ssebridge.request_id", rec.id),
	)
	if method == otherMethod {
		attrs = append(attrs, attribute.String("http.request.method_original", rec.method.Value()))
	}
	if rec.client.IsValid() {
		attrs = append(attrs, attribute.String("client.address", rec.client.String()))
	}
	if agent := rec.agent.Value(); agent != "" {
		attrs = append(attrs, attribute.String("user_agent.original", agent))
	}
	return attrs
}

// happens adds an event; words come in pairs.
func (s *requestSpan) happens(event string, words ...string) {
	if s == nil {
		return
	}
	attrs := make([]attribute.KeyValue, 0, len(words)/2)
	for i := 0; i+1 < len(words); i += 2 {
		attrs = append(attrs, attribute.String(words[i], words[i+1]))
	}
	s.AddEvent(event, trace.WithAttributes(attrs...))
}

// begins says how a stream begins.
func (s *requestSpan) begins(start Start, rpc *RPCs) {
	if s == nil {
		return
	}
	s.SetAttributes(attribute.String("ssebridge.start", start.how), attribute.Bool("ssebridge.resumed", start.how == startResumed))
	if rpc != nil {
		s.gap = rpc.gap.Load() // the client is told of it at the start
	}
	s.happens("accept")
	switch start.how {
	case startResumed:
		s.happens("resume")
	case startMissed:
		s.happens("gap", "ssebridge.reason", string(start.gap))
	}
	s.follows(rpc)
}

// follows notes what has become of the stream's topic meanwhile: its gaps, and its RPCs that
// are not this request's own, to whose traces the span is linked.
func (s *requestSpan) follows(rpc *RPCs) {
	if s == nil || rpc == nil {
		return
	}
	if newest := rpc.gap.Load(); newest != s.gap {
		if s.gap = newest; newest != nil {
			s.happens("gap", "ssebridge.reason", string(newest.why))
		}
	}
	if now := rpc.opening.Load(); now != s.rpc {
		if s.rpc = now; now != nil && !now.opener.Equal(s.origin.span) {
			s.AddLink(trace.Link{SpanContext: now.span, Attributes: []attribute.KeyValue{attribute.String("ssebridge.link", "rpc")}})
		}
	}
}

// fails says that the stream ended with a failure of its RPC.
func (s *requestSpan) fails(err error) {
	if s == nil {
		return
	}
	code := failure.StatusOf(err).Code()
	s.SetAttributes(attribute.Int("rpc.grpc.status_code", failure.CodeNumber(code)), attribute.String("error.type", failure.CodeName(code)))
	if isServerFault(code) {
		s.SetStatus(otelcodes.Error, failure.CodeName(code))
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
func (s *requestSpan) ends(rec *Record, bytes uint64) {
	if s == nil {
		return
	}
	s.SetAttributes(
		attribute.Int("http.response.status_code", http.StatusOK),
		attribute.String("ssebridge.end", rec.reason),
		attribute.Int64("ssebridge.events", int64(rec.events)),   //nolint:gosec // no stream has so many
		attribute.Int64("http.response.body.size", int64(bytes)), //nolint:gosec // nor so much
	)
	s.End()
}

// answers is the end of a request that was answered without a stream. A status of
// 4xx is no error of the server's.
func (s *requestSpan) answers(rec *Record) {
	if s == nil {
		return
	}
	if rec.status == 0 {
		s.SetAttributes(attribute.String("ssebridge.end", "aborted"))
	} else {
		s.SetAttributes(attribute.Int("http.response.status_code", int(rec.status)), attribute.Int("http.response.body.size", rec.bytes))
	}
	if rec.status >= http.StatusInternalServerError {
		s.SetAttributes(attribute.String("error.type", strconv.Itoa(int(rec.status))))
		s.SetStatus(otelcodes.Error, "")
	}
	s.End()
}
