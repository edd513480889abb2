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

// RPCSpan is the span of one RPC, from its opening to its end. Its methods do
// nothing on a nil RPCSpan.
type RPCSpan struct{ trace.Span }

// StartRPC begins the span of an RPC to an upstream, and has the call tell the backend of it.
// from is the request that the RPC is opened for, or nil.
func (o *Observer) StartRPC(
	ctx context.Context, from *Origin, name string, up *upstream.Upstream, call upstream.Call,
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
	call.Metadata = maps.Clone(call.Metadata) // other openings share it
	if call.Metadata == nil {
		call.Metadata = metadata.MD{}
	}
	o.tracing.propagator.Inject(ctx, tracedMetadata(call.Metadata))
	return ctx, call, &RPCSpan{span}
}

// serverAttrs say which upstream an RPC goes to.
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

// tracedMetadata is metadata as a propagator fills it. Values of a client's headers
// that gRPC could not send are left out: they must not cost the RPC.
type tracedMetadata metadata.MD

// Get is what propagation.TextMapCarrier asks for.
func (m tracedMetadata) Get(key string) string {
	if values := metadata.MD(m).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set replaces what the route has forwarded under the same name.
func (m tracedMetadata) Set(key, value string) {
	key = strings.ToLower(key)
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
		delete(m, key)
		return
	}
	m[key] = []string{value}
}

// Keys is what propagation.TextMapCarrier asks for.
func (m tracedMetadata) Keys() []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

// Accepted says that the backend has answered with headers.
func (s *RPCSpan) Accepted() {
	if s != nil {
		s.AddEvent("accept")
	}
}

// Ended ends the span with the RPC's end: io.EOF is OK, and nil says that the bridge
// has closed an RPC that has no clients any more. Only the first call counts.
func (s *RPCSpan) Ended(err error) {
	if s == nil || !s.IsRecording() {
		return
	}
	code := codes.OK
	switch {
	case err == nil:
		code = codes.Canceled
		s.AddEvent("close")
	case err != io.EOF: //nolint:errorlint // a failure may wrap that of a connection
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

// RPCs is the trace of a topic's RPCs, one after the other. The topic's pump writes it, and
// clients read it.
type RPCs struct {
	observer *Observer
	span     *RPCSpan // of the newest; nil: not traced

	origin  atomic.Pointer[Origin]  // of the RPCs to come
	opening atomic.Pointer[opening] // of the newest RPC
	gap     atomic.Pointer[gap]     // the newest
}

// Init sets the observer, and the request that the first RPC is opened for, or nil.
func (t *RPCs) Init(observer *Observer, from *Origin) {
	t.observer = observer
	t.origin.Store(from)
}

// SetOrigin has the RPCs to come begin with a request.
func (t *RPCs) SetOrigin(from *Origin) { t.origin.Store(from) }

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

// Gap notes a gap of which all clients of the topic are told.
func (t *RPCs) Gap(why reason.Gap) {
	if t.observer.tracing == nil {
		return
	}
	t.gap.Store(&gap{why})
	if t.span != nil {
		t.span.AddEvent("gap", trace.WithAttributes(attribute.String("ssebridge.reason", string(why))))
	}
}

// opening is the opening of an RPC: its span, and the span of the request that it is opened
// for.
type opening struct{ span, opener trace.SpanContext }

// gap is a gap of which all clients of a topic are told.
type gap struct{ why reason.Gap }

// Origin is the request that an RPC is opened for, as the RPC's span and the backend see it.
// It is kept, where a context is not.
type Origin struct {
	span    trace.SpanContext
	baggage baggage.Baggage
}

// context returns a context with the request's span.
func (o *Origin) context(ctx context.Context) context.Context {
	if o == nil {
		return ctx
	}
	return baggage.ContextWithBaggage(trace.ContextWithSpanContext(ctx, o.span), o.baggage)
}

// Origin returns the request as RPCs begin with it, nil where it is not traced.
func (rec *Record) Origin() *Origin {
	if rec == nil || rec.span == nil {
		return nil
	}
	return &rec.span.origin
}
