package observe

import (
	"context"
	"io"
	"maps"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/internal/printable"
	"github.com/ssebridge/ssebridge/upstream"
)

// RPCSpan is the span of one RPC, from its opening to its end. Its methods do nothing on a
// nil RPCSpan.
type RPCSpan struct{ trace.Span }

// StartRPC begins the span of an RPC to an upstream, and adds the trace context to the call's
// metadata. from is the request that the RPC is opened for, or nil.
func (o *Observer) StartRPC(
	ctx context.Context, from *TraceOrigin, name string, up *upstream.Upstream, call upstream.Call,
) (context.Context, upstream.Call, *RPCSpan) {
	if o.tracing == nil {
		return ctx, call, nil
	}
	rpc := strings.TrimPrefix(call.Method, "/")
	service, method, _ := strings.Cut(rpc, "/")
	ctx, span := o.tracing.tracer.Start(from.context(ctx), rpc, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(append(serverAttrs(name, up),
		attribute.String("rpc.system", "grpc"),
		attribute.String("rpc.service", service),
		attribute.String("rpc.method", method),
	)...))
	call.Metadata = maps.Clone(call.Metadata) // later RPCs of the topic share the metadata
	if call.Metadata == nil {
		call.Metadata = metadata.MD{}
	}
	o.tracing.propagator.Inject(ctx, tracedMetadata(call.Metadata))
	return ctx, call, &RPCSpan{span}
}

// serverAttrs returns the attributes of an RPC's upstream.
func serverAttrs(name string, up *upstream.Upstream) []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("ssebridge.upstream", name)}
	address, port := up.Server()
	if address != "" {
		all = append(all, attribute.String("server.address", address))
	}
	if port != 0 {
		all = append(all, attribute.Int("server.port", port))
	}
	return all
}

// tracedMetadata is a propagation.TextMapCarrier of metadata. It leaves out values of a
// client's headers that gRPC cannot send, because they would fail the RPC.
type tracedMetadata metadata.MD

// Get implements propagation.TextMapCarrier.
func (m tracedMetadata) Get(key string) string {
	if values := metadata.MD(m).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set implements propagation.TextMapCarrier. It replaces a value that the route forwards
// under the same name.
func (m tracedMetadata) Set(key, value string) {
	key = strings.ToLower(key)
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
		delete(m, key)
		return
	}
	m[key] = []string{value}
}

// Keys implements propagation.TextMapCarrier.
func (m tracedMetadata) Keys() []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

// Accepted records that the backend has sent headers.
func (s *RPCSpan) Accepted() {
	if s != nil {
		s.AddEvent("accept")
	}
}

// Ended ends the span. io.EOF means OK, and nil means that the bridge has closed the RPC
// because it has no clients left. Only the first call counts.
func (s *RPCSpan) Ended(err error) {
	if s == nil || !s.IsRecording() {
		return
	}
	code := codes.OK
	switch {
	case err == nil:
		code = codes.Canceled
		s.AddEvent("close")
	case err != io.EOF: //nolint:errorlint // an error that wraps io.EOF may be the failure of a connection
		code = failure.StatusOf(err).Code()
		s.SetAttributes(attribute.String("error.type", failure.CodeName(code)))
		s.SetStatus(otelcodes.Error, printable.Text(failure.StatusOf(err).Message(), pathBytes))
	}
	s.SetAttributes(attribute.Int("rpc.grpc.status_code", failure.CodeNumber(code)))
	s.End()
}

// Answered ends the span of a unary RPC.
func (s *RPCSpan) Answered(err error) {
	if err == nil {
		err = io.EOF
	}
	s.Ended(err)
}

// RPCs traces the consecutive RPCs of a topic. The topic's pump writes it, and clients read
// it.
type RPCs struct {
	observer *Observer
	span     *RPCSpan // of the newest RPC; nil if it is not traced

	origin  atomic.Pointer[TraceOrigin] // the request that later RPCs are opened for
	opening atomic.Pointer[opening]     // of the newest RPC
	gap     atomic.Pointer[gap]         // the newest gap
}

// Init sets the observer, and the request that the first RPC is opened for, which may be nil.
func (t *RPCs) Init(observer *Observer, from *TraceOrigin) {
	t.observer = observer
	t.origin.Store(from)
}

// SetTraceOrigin sets the request that later RPCs are opened for.
func (t *RPCs) SetTraceOrigin(from *TraceOrigin) { t.origin.Store(from) }

// Start begins the span of the topic's next RPC.
func (t *RPCs) Start(ctx context.Context, name string, up *upstream.Upstream, call upstream.Call) (context.Context, upstream.Call, *RPCSpan) {
	t.span = nil
	if t.observer.tracing == nil {
		return ctx, call, nil
	}
	from := t.origin.Load()
	ctx, call, t.span = t.observer.StartRPC(ctx, from, name, up, call)
	now := &opening{span: t.span.SpanContext()}
	if from != nil {
		now.opener = from.span
	}
	t.opening.Store(now)
	return ctx, call, t.span
}

// Gap records a gap in the topic's log.
func (t *RPCs) Gap(why reason.Gap) {
	if t.observer.tracing == nil {
		return
	}
	t.gap.Store(&gap{why})
	if t.span != nil {
		t.span.AddEvent("gap", trace.WithAttributes(attribute.String("ssebridge.reason", string(why))))
	}
}

// opening has the spans of an RPC and of the request that it is opened for.
type opening struct{ span, opener trace.SpanContext }

// gap is a gap in a topic's log. Its address identifies it.
type gap struct{ why reason.Gap }

// TraceOrigin is the trace context of the request that an RPC is opened for. Unlike a
// context.Context it may be stored.
type TraceOrigin struct {
	span    trace.SpanContext
	baggage baggage.Baggage
}

// context returns a context with the request's trace context.
func (o *TraceOrigin) context(ctx context.Context) context.Context {
	if o == nil {
		return ctx
	}
	return baggage.ContextWithBaggage(trace.ContextWithSpanContext(ctx, o.span), o.baggage)
}

// TraceOrigin returns the request's trace context, nil if the request is not traced.
func (rec *Record) TraceOrigin() *TraceOrigin {
	if rec == nil || rec.span == nil {
		return nil
	}
	return &rec.span.origin
}
