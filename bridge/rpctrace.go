package bridge

import (
	"context"
	"io"
	"maps"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/internal/printable"
	"github.com/ssebridge/ssebridge/upstream"
)

// rpcSpan is the span of one RPC, from its opening to its end. Its methods do
// nothing on a nil rpcSpan.
type rpcSpan struct{ trace.Span }

// startRPC begins the span of an RPC to a backend, whose context holds the request
// that it is opened for, and has the call tell the backend of it.
func (t *tracing) startRPC(ctx context.Context, up *backend, call upstream.Call) (context.Context, upstream.Call, *rpcSpan) {
	if t == nil {
		return ctx, call, nil
	}
	name := strings.TrimPrefix(call.Method, "/")
	service, method, _ := strings.Cut(name, "/")
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(append(up.spanAttributes(),
		attribute.String("rpc.system", "grpc"),
		attribute.String("rpc.service", service),
		attribute.String("rpc.method", method),
	)...))
	call.Metadata = maps.Clone(call.Metadata) // other openings share it
	if call.Metadata == nil {
		call.Metadata = metadata.MD{}
	}
	t.propagator.Inject(ctx, tracedMetadata(call.Metadata))
	return ctx, call, &rpcSpan{span}
}

// spanAttributes say which backend an RPC goes to.
func (u *backend) spanAttributes() []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("ssebridge.upstream", u.name)}
	address, port := u.Server()
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

// accepted says that the backend has answered with headers.
func (s *rpcSpan) accepted() {
	if s != nil {
		s.AddEvent("accept")
	}
}

// ended ends the span with the RPC's end: io.EOF is OK, and nil says that the bridge
// has closed an RPC that has no clients any more. Only the first call counts.
func (s *rpcSpan) ended(err error) {
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

// answered ends the span of a unary RPC.
func (s *rpcSpan) answered(err error) {
	if err == nil {
		err = io.EOF
	}
	s.ended(err)
}

// startRPC begins the span of the feed's next RPC.
func (f *feed) startRPC(ctx context.Context, call upstream.Call) (context.Context, upstream.Call) {
	tracing := f.endpoint.bridge.tracing
	f.span = nil
	if tracing == nil {
		return ctx, call
	}
	from := f.origin.Load()
	ctx, call, f.span = tracing.startRPC(from.context(ctx), f.endpoint.upstream, call)
	now := &opening{span: f.span.SpanContext()}
	if from != nil {
		now.opener = from.span
	}
	f.opening.Store(now)
	return ctx, call
}

// gapped notes a gap that all clients are told.
func (f *feed) gapped(reason string) {
	if f.endpoint.bridge.tracing == nil {
		return
	}
	f.gap.Store(&gap{reason})
	if f.span != nil {
		f.span.AddEvent("gap", trace.WithAttributes(attribute.String("ssebridge.reason", reason)))
	}
}

// feedOf returns what fills the log that a client listens to.
func feedOf(sub *topic.Subscription) *feed {
	f, _ := sub.Topic.Source().(*feed)
	return f
}

// source is the request as RPCs begin with it; nil where it is not traced.
func (v *visit) source() *origin {
	if v == nil || v.journey == nil {
		return nil
	}
	return &v.journey.origin
}

// starter has a topic's RPCs begin with the request that has them opened, or opened
// again; nil where it is not traced.
func (v *visit) starter() func(topic.Source) {
	from := v.source()
	if from == nil {
		return nil
	}
	return func(source topic.Source) {
		if f, ok := source.(*feed); ok {
			f.origin.Store(from)
		}
	}
}
