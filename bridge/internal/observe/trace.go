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
	// scopeName is the instrumentation scope of the bridge's spans.
	scopeName = "github.com/ssebridge/ssebridge/bridge"
	// schemaURL is the version of the semantic conventions that the spans follow.
	schemaURL = "https://opentelemetry.io/schemas/1.37.0"
)

// tracing makes spans.
type tracing struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
}

// newTracing returns nil if there is no TracerProvider. The global provider and propagator
// are not used; a program can pass them explicitly.
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

// requestSpan is the span of one request, from its arrival to the end of its answer, which
// may come after the handler has returned. Its methods do nothing on a nil requestSpan.
type requestSpan struct {
	trace.Span

	origin TraceOrigin

	// The newest RPC and gap of a stream's topic that the span has recorded.
	rpc *opening
	gap *gap
}

// openSpan begins the request's span, if it has none. It is called when the route is known,
// because the span's name contains the route, and samplers may depend on it.
//
//nolint:spancheck // it ends with the record
func (rec *Record) openSpan(r *http.Request) {
	tracing := rec.observer.tracing
	if tracing == nil || rec.span != nil {
		return
	}
	ctx := r.Context()
	if !trace.SpanContextFromContext(ctx).IsValid() { // else a middleware has begun a span
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
	rec.span = &requestSpan{Span: span, origin: TraceOrigin{span.SpanContext(), baggage.FromContext(ctx)}}
}

// otherMethod stands for unknown methods in the semantic conventions.
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

// spanAttrs returns a request's attributes. They leave out event ids and the query, which may
// hold secrets.
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

// addEvent adds an event. words are pairs of a name and a value.
func (s *requestSpan) addEvent(event string, words ...string) {
	if s == nil {
		return
	}
	attrs := make([]attribute.KeyValue, 0, len(words)/2)
	for i := 0; i+1 < len(words); i += 2 {
		attrs = append(attrs, attribute.String(words[i], words[i+1]))
	}
	s.AddEvent(event, trace.WithAttributes(attrs...))
}

// beginStream records how a stream begins.
func (s *requestSpan) beginStream(start Start, rpc *RPCs) {
	if s == nil {
		return
	}
	s.SetAttributes(attribute.String("ssebridge.start", start.how), attribute.Bool("ssebridge.resumed", start.how == startResumed))
	if rpc != nil {
		s.gap = rpc.gap.Load() // start has the gap, if the client misses events by it
	}
	s.addEvent("accept")
	switch start.how {
	case startResumed:
		s.addEvent("resume")
	case startMissed:
		s.addEvent("gap", "ssebridge.reason", string(start.gap))
	}
	s.followRPCs(rpc)
}

// followRPCs records changes of the stream's topic: it adds an event for a new gap, and a link
// to a new RPC that another request has opened.
func (s *requestSpan) followRPCs(rpc *RPCs) {
	if s == nil || rpc == nil {
		return
	}
	if newest := rpc.gap.Load(); newest != s.gap {
		if s.gap = newest; newest != nil {
			s.addEvent("gap", "ssebridge.reason", string(newest.why))
		}
	}
	if now := rpc.opening.Load(); now != s.rpc {
		if s.rpc = now; now != nil && !now.opener.Equal(s.origin.span) {
			s.AddLink(trace.Link{SpanContext: now.span, Attributes: []attribute.KeyValue{attribute.String("ssebridge.link", "rpc")}})
		}
	}
}

// fail records the failure of the stream's RPC.
func (s *requestSpan) fail(err error) {
	if s == nil {
		return
	}
	code := failure.StatusOf(err).Code()
	s.SetAttributes(attribute.Int("rpc.grpc.status_code", failure.CodeNumber(code)), attribute.String("error.type", failure.CodeName(code)))
	if isServerFault(code) {
		s.SetStatus(otelcodes.Error, failure.CodeName(code))
	}
}

// isServerFault reports whether the semantic conventions regard a code as an error of the
// server. Other codes are errors of the client.
func isServerFault(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// endStream ends the span of a stream.
func (s *requestSpan) endStream(rec *Record, bytes uint64) {
	if s == nil {
		return
	}
	s.SetAttributes(
		attribute.Int("http.response.status_code", http.StatusOK),
		attribute.String("ssebridge.end", rec.reason),
		attribute.Int64("ssebridge.events", int64(rec.events)),   //nolint:gosec // no stream overflows an int64
		attribute.Int64("http.response.body.size", int64(bytes)), //nolint:gosec // no stream overflows an int64
	)
	s.End()
}

// endAnswer ends the span of a request whose answer is not a stream. A 4xx status is not an
// error of the server.
func (s *requestSpan) endAnswer(rec *Record) {
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
