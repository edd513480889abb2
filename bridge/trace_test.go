package bridge_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// collector receives spans by OTLP, as protobuf over HTTP.
type collector struct {
	mu    sync.Mutex
	spans []*tracev1.Span
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collectorv1.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// named returns the spans of a name.
func (c *collector) named(name string) []*tracev1.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*tracev1.Span
	for _, span := range c.spans {
		if span.GetName() == name {
			found = append(found, span)
		}
	}
	return found
}

// exporting sends spans to a collector of the test.
func exporting(t *testing.T) (*collector, *sdktrace.TracerProvider) {
	t.Helper()
	c := &collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(server.URL+"/v1/traces"))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	t.Cleanup(func() {
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c, provider
}

func flush(t *testing.T, provider *sdktrace.TracerProvider) {
	t.Helper()
	if err := provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// await polls until the collector has n spans of a name: the client may see the end of a stream before the server does.
func (c *collector) await(t *testing.T, provider *sdktrace.TracerProvider, name string, n int) []*tracev1.Span {
	t.Helper()
	for t.Context().Err() == nil {
		flush(t, provider)
		if found := c.named(name); len(found) >= n {
			return found
		}
	}
	t.Fatal("the test has ended")
	return nil
}

func attrOf(span *tracev1.Span, key string) string {
	for _, attr := range span.GetAttributes() {
		if attr.GetKey() == key {
			if text := attr.GetValue().GetStringValue(); text != "" {
				return text
			}
			return strings.TrimSpace(attr.GetValue().String())
		}
	}
	return ""
}

func eventsOf(span *tracev1.Span) []string {
	var names []string
	for _, event := range span.GetEvents() {
		names = append(names, event.GetName())
	}
	return names
}

// It uses real sockets. The request is the RPC's parent, the backend gets the trace context, the
// span of a second client is linked to the RPC, and a stream's span lasts as long as the stream.
func TestACollectorGetsTheTraceOfAStream(t *testing.T) {
	backend := backend(t)
	host, port, err := net.SplitHostPort(backend.Addr())
	if err != nil {
		t.Fatal(err)
	}
	collector, provider := exporting(t)
	g := startWith(t, parse(t, "upstreams:\n  app: {target: '"+backend.Target()+"'}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n"+
		"  - {path: '/feeds/{topic}', rpc: "+watch+", upstream: app, share: true, request: {query: true}, replay: {linger: 0s}}\n"), bridge.Options{TracerProvider: provider})
	const parent, parentTrace = "00f067aa0ba902b7", "4bf92f3577b34da6a3ce929d0e0e4736"
	first := ssetest.Connect(t, g.URL+"/feeds/a?kinds.string_value=secret", ssetest.Options{Header: http.Header{
		"Traceparent": {"00-" + parentTrace + "-" + parent + "-01"}, "Tracestate": {"vendor=x"}, "Baggage": {"tenant=7"}, "User-Agent": {"test/1"},
	}})
	backend.AwaitRunning(1)
	first.AwaitEvents(1)
	received := backend.Metadata()
	if got := received.Get("tracestate"); !slices.Equal(got, []string{"vendor=x"}) {
		t.Errorf("tracestate is %q", got)
	}
	if got := received.Get("baggage"); !slices.Equal(got, []string{"tenant=7"}) {
		t.Errorf("baggage is %q", got)
	}
	second := ssetest.Connect(t, g.URL+"/feeds/a?kinds.string_value=secret", ssetest.Options{H2C: true})
	second.AwaitEvents(1)
	backend.Feed.Publish(&testv1.FeedEvent{}, &testv1.FeedEvent{})
	first.AwaitMessages(2)
	second.AwaitMessages(2)
	flush(t, provider)
	if n := len(collector.named("GET /feeds/{topic}")); n != 0 {
		t.Errorf("%d spans of streams have ended while they continue", n)
	}
	first.Close()
	collector.await(t, provider, "GET /feeds/{topic}", 1)
	second.Close()
	rpcs := collector.await(t, provider, watch, 1)
	requests := collector.await(t, provider, "GET /feeds/{topic}", 2)

	rpc, one, two := rpcs[0], requests[0], requests[1]
	if hex(one.GetTraceId()) != parentTrace || hex(one.GetParentSpanId()) != parent || one.GetKind() != tracev1.Span_SPAN_KIND_SERVER {
		t.Errorf("the request's span: %v", one)
	}
	if hex(rpc.GetTraceId()) != parentTrace || !slices.Equal(rpc.GetParentSpanId(), one.GetSpanId()) || rpc.GetKind() != tracev1.Span_SPAN_KIND_CLIENT {
		t.Errorf("the RPC's span: %v", rpc)
	}
	if got, want := received.Get("traceparent"), "00-"+parentTrace+"-"+hex(rpc.GetSpanId())+"-01"; !slices.Equal(got, []string{want}) {
		t.Errorf("the backend gets %q, want %s", got, want)
	}
	if len(two.GetLinks()) != 1 || !slices.Equal(two.GetLinks()[0].GetSpanId(), rpc.GetSpanId()) || len(two.GetParentSpanId()) != 0 {
		t.Errorf("the second client's span: %v", two)
	}
	if len(one.GetLinks()) != 0 {
		t.Errorf("the first client's span is linked to %v", one.GetLinks())
	}
	for key, want := range map[string]string{
		"http.request.method": "GET", "url.path": "/feeds/a", "http.route": "/feeds/{topic}", "ssebridge.route": "/feeds/{topic}",
		"network.protocol.version": "1.1", "client.address": "127.0.0.1", "user_agent.original": "test/1", "url.scheme": "http",
		"http.response.status_code": "int_value:200", "ssebridge.start": "new", "ssebridge.end": "gone", "ssebridge.events": "int_value:2",
	} {
		if got := attrOf(one, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	for key, want := range map[string]string{
		"rpc.system": "grpc", "rpc.service": "ssebridge.test.v1.FeedService", "rpc.method": "Watch", "rpc.grpc.status_code": "int_value:1",
		"ssebridge.upstream": "app", "server.address": host, "server.port": "int_value:" + port,
	} {
		if got := attrOf(rpc, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if got := attrOf(two, "network.protocol.version"); got != "2" {
		t.Errorf("the second client speaks HTTP/%s", got)
	}
	if got := eventsOf(one); !slices.Equal(got, []string{"accept"}) {
		t.Errorf("the stream's events are %q", got)
	}
	if rpc.GetEndTimeUnixNano() < two.GetEndTimeUnixNano()-uint64(time.Minute) || strings.Contains(one.String(), "secret") {
		t.Errorf("%v", one)
	}
}

func hex(id []byte) string {
	const digits = "0123456789abcdef"
	var text strings.Builder
	for _, b := range id {
		text.WriteByte(digits[b>>4])
		text.WriteByte(digits[b&15])
	}
	return text.String()
}

// traced makes a world's bridge record its spans.
func traced(spans *tracetest.SpanRecorder) func(*bridge.Options) {
	return func(o *bridge.Options) {
		o.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	}
}

// ended returns the ended spans of a name.
func ended(spans *tracetest.SpanRecorder, name string) []sdktrace.ReadOnlySpan {
	synctest.Wait()
	return slices.DeleteFunc(spans.Ended(), func(span sdktrace.ReadOnlySpan) bool { return span.Name() != name })
}

// only returns the only ended span of a name.
func only(t *testing.T, spans *tracetest.SpanRecorder, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	found := ended(spans, name)
	if len(found) != 1 {
		t.Fatalf("%d spans are named %s", len(found), name)
	}
	return found[0]
}

// tale returns the events of a span with their attributes.
func tale(span sdktrace.ReadOnlySpan) string {
	var words []string
	for _, event := range span.Events() {
		word := []string{event.Name}
		for _, attr := range event.Attributes {
			word = append(word, attr.Value.AsString())
		}
		words = append(words, strings.Join(word, ":"))
	}
	return strings.Join(words, " ")
}

func value(span sdktrace.ReadOnlySpan, key string) attribute.Value {
	for _, attr := range span.Attributes() {
		if string(attr.Key) == key {
			return attr.Value
		}
	}
	return attribute.Value{}
}

// Each opening of the RPC is a span.
func TestASpanHasTheEventsOfItsStream(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	inWorldWith(t, feedRoute("methods: [GET, POST], reconnect: {codes: [UNAVAILABLE], initial: 12s, max: 12s}, max_age: 10m"), traced(spans), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(1, 2)
		rpc.send(unknownAny("x"))
		synctest.Wait()
		rpc.end(status.Error(codes.Unavailable, "away\x00"))
		time.Sleep(13 * time.Second)
		next := w.rpc()
		next.count(3, 3)
		expect(t, c, "open 1 2 gap:untranscodable gap:upstream stale live 3")
		time.Sleep(10 * time.Minute)
		expect(t, c, "open 1 2 gap:untranscodable gap:upstream stale live 3 retry:max_age")
		span := only(t, spans, "GET /feed")
		if got, want := tale(span), "accept gap:untranscodable gap:upstream stale:UNAVAILABLE live leave:max_age"; got != want {
			t.Errorf("the stream's span has %s\nwant                   %s", got, want)
		}
		if n := value(span, "ssebridge.events").AsInt64(); n != 5 {
			t.Errorf("%d events, want 5", n)
		}
		time.Sleep(time.Minute) // until the topic's linger has ended
		rpcs := ended(spans, watch)
		if len(rpcs) != 2 || rpcs[1].Parent().SpanID() != span.SpanContext().SpanID() {
			t.Fatalf("the RPCs' spans are %v", rpcs)
		}
		lost := rpcs[0]
		if got := tale(lost); got != "accept gap:untranscodable" {
			t.Errorf("the RPC's span has %s", got)
		}
		if s := lost.Status(); s.Code != otelcodes.Error || s.Description != `away\x00` || value(lost, "rpc.grpc.status_code").AsInt64() != 14 {
			t.Errorf("the RPC's span has the status %+v", s)
		}
		if lost.Parent().SpanID() != span.SpanContext().SpanID() || len(span.Links()) != 0 {
			t.Errorf("the RPC's parent is %v, and the request's links are %v", lost.Parent(), span.Links())
		}
	})
}

// The client that causes a broken RPC to be reopened is the parent of the next RPC. A resumed stream has an attribute.
func TestTheSpanOfAClientThatReconnects(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	inWorldWith(t, feedRoute(""), traced(spans), func(t *testing.T, w *world) {
		c := w.listen("/feed", ssetest.Options{H2C: true})
		rpc := w.rpc()
		rpc.count(1, 1)
		rpc.end(status.Error(codes.Aborted, ""))
		expect(t, c, "open 1 retry:upstream")
		first, lost := only(t, spans, "GET /feed"), only(t, spans, watch)
		spans.Reset()
		c.Reconnect()
		rpc = w.rpc()
		rpc.count(2, 2)
		rpc.end(nil)
		_ = c.AwaitEnd()
		second, next := only(t, spans, "GET /feed"), only(t, spans, watch)
		if lost.Parent().SpanID() != first.SpanContext().SpanID() || next.Parent().SpanID() != second.SpanContext().SpanID() {
			t.Error("an RPC is not its opener's child")
		}
		if got := tale(second); !strings.HasPrefix(got, "accept resume") || value(second, "ssebridge.resumed") != attribute.BoolValue(true) {
			t.Errorf("the span has %s", got)
		}
		if value(second, "ssebridge.end").AsString() != "end" || next.Status().Code != otelcodes.Unset || second.Status().Code != otelcodes.Unset {
			t.Errorf("%v %v", second.Status(), next.Status())
		}
	})
}

func TestTheSpanOfAMergeIsLinkedToTheMainRPC(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	inWorldWith(t, feedRoute("event: {id: seq}, resume: {field: after}"), traced(spans), func(t *testing.T, w *world) {
		main := w.listen("/feed", ssetest.Options{})
		rpc := w.rpc()
		rpc.count(5, 5)
		expect(t, main, "open 5")
		c := w.listen("/feed", ssetest.Options{LastEventID: "3"})
		catchUp := w.rpc()
		catchUp.count(4, 5)
		rpc.count(6, 6)
		expect(t, c, "open 4 5 6")
		c.Close()
		synctest.Wait()
		span := spans.Ended()[len(spans.Ended())-1]
		if got := tale(span); !strings.Contains(got, "merge") {
			t.Errorf("the span has %s", got)
		}
		if links := span.Links(); len(links) != 1 || links[0].SpanContext.TraceID() == span.SpanContext().TraceID() {
			t.Errorf("the links are %v", links)
		}
	})
}

// A client's error is not an error of the span; errors of the bridge and its backend are.
func TestSpansOfFailedRequests(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	inWorldWith(t, fewRoutes, traced(spans), func(t *testing.T, w *world) {
		w.Stage.get = func(_ context.Context, r *testv1.GetRequest) (*testv1.GetResponse, error) {
			switch r.GetName() {
			case "lost":
				return nil, status.Error(codes.NotFound, "no such thing")
			case "away":
				return nil, status.Error(codes.Unavailable, "away")
			}
			return &testv1.GetResponse{}, nil
		}
		for _, test := range []struct {
			method, path, name string
			status             int
			failed, called     bool
		}{
			{"GET", "/things/a", "GET /things/{name}", 200, false, true},
			{"GET", "/things/lost", "GET /things/{name}", 404, false, true},
			{"GET", "/things/away", "GET /things/{name}", 503, true, true},
			{"GET", "/nowhere", "GET", 404, false, false},
			{"FORGED", "/things/a", "HTTP", 405, false, false},
			{"HEAD", "/things/a", "HEAD /things/{name}", 200, false, false},
			{"GET", "/feeds/a?limit=x", "GET /feeds/{topic}", 400, false, false},
		} {
			spans.Reset()
			w.do(test.method, test.path, "")
			span := only(t, spans, test.name)
			if got := value(span, "http.response.status_code").AsInt64(); int(got) != test.status || (span.Status().Code == otelcodes.Error) != test.failed {
				t.Errorf("%s %s: status %d, %v", test.method, test.path, got, span.Status())
			}
			if len(spans.Ended()) == 2 != test.called {
				t.Errorf("%s %s: %d spans", test.method, test.path, len(spans.Ended()))
			}
			if test.called {
				rpc := only(t, spans, "ssebridge.test.v1.FeedService/Get")
				if rpc.Parent().SpanID() != span.SpanContext().SpanID() || (rpc.Status().Code == otelcodes.Error) != (test.status != http.StatusOK) {
					t.Errorf("%s %s: the RPC's span has the status %v", test.method, test.path, rpc.Status())
				}
			}
		}
	})
}

// INTERNAL is an error of the server, NOT_FOUND is not.
func TestSpansOfFailedStreams(t *testing.T) {
	for code, failed := range map[codes.Code]bool{codes.NotFound: false, codes.Unimplemented: true} {
		t.Run(code.String(), func(t *testing.T) {
			spans := tracetest.NewSpanRecorder()
			inWorldWith(t, feedRoute(""), traced(spans), func(t *testing.T, w *world) {
				c := w.listen("/feed", ssetest.Options{H2C: true})
				rpc := w.rpc()
				rpc.count(1, 1)
				rpc.end(status.Error(code, "x"))
				_ = c.AwaitEnd()
				span := only(t, spans, "GET /feed")
				if (span.Status().Code == otelcodes.Error) != failed || value(span, "ssebridge.end").AsString() != "error" {
					t.Errorf("%v %v", span.Status(), span.Attributes())
				}
			})
		})
	}
}

// An absent upstream is not a failure of a stream whose client leaves. A client that joined before
// there was an RPC is linked to the RPC later.
func TestTheSpanOfAClientThatLeavesEarly(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	inWorldWith(t, feedRoute("reconnect: {codes: [UNAVAILABLE]}"), traced(spans), func(t *testing.T, w *world) {
		first := w.listen("/feed", ssetest.Options{})
		joined := w.listen("/feed", ssetest.Options{H2C: true})
		rpc := w.rpc()
		rpc.accept()
		expect(t, joined, "open")
		rpc.end(status.Error(codes.Unavailable, "away"))
		synctest.Wait()
		joined.Close()
		span := only(t, spans, "GET /feed")
		if span.Status().Code != otelcodes.Unset || value(span, "ssebridge.end").AsString() != "gone" {
			t.Errorf("%v %v", span.Status(), span.Attributes())
		}
		if lost := only(t, spans, watch); len(span.Links()) != 1 || span.Links()[0].SpanContext.SpanID() != lost.SpanContext().SpanID() {
			t.Errorf("the links are %v", span.Links())
		}
		first.Close()
	})
}

// They fail no RPC.
func TestInvalidTraceHeadersAreIgnored(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	inWorldWith(t, "limits: {request_bytes: 64KiB}\n"+feedRoute("share: false"), traced(spans), func(t *testing.T, w *world) {
		for _, header := range []http.Header{
			{"Traceparent": {"00-\xff"}, "Tracestate": {"\xff"}, "Baggage": {"\xff=\xff"}},
			{"Traceparent": {"00-00000000000000000000000000000000-0000000000000000-01"}},
			{"Traceparent": {strings.Repeat("0", 10000)}, "Baggage": {strings.Repeat("a=b,", 5000)}},
			{"Baggage": {"a=%0d%0agrpc-status:%200"}},
			{"User-Agent": {"\xff\x80" + strings.Repeat("x", 5000)}},
		} {
			c := w.listen("/feed", ssetest.Options{Header: header})
			rpc := w.rpc()
			rpc.count(1, 1)
			expect(t, c, "open 1")
			for _, key := range []string{"traceparent", "tracestate", "baggage"} {
				for _, text := range rpc.Metadata.Get(key) {
					if len(text) > 8192 || strings.ContainsAny(text, "\r\n") {
						t.Errorf("%s of %d bytes: %.100q", key, len(text), text)
					}
				}
			}
			c.Close()
		}
		synctest.Wait()
		for _, span := range spans.Ended() {
			if span.Name() == "GET /feed" && span.Parent().IsValid() {
				t.Errorf("the span has a forged parent: %v", span.Parent())
			}
			for _, attr := range span.Attributes() {
				if len(attr.Value.AsString()) > 300 || strings.ContainsFunc(attr.Value.AsString(), func(c rune) bool { return c < ' ' || c > '~' }) {
					t.Errorf("%s is %.100q", attr.Key, attr.Value.AsString())
				}
			}
		}
	})
}

// The headers are ignored then.
func TestTheSpanOfAMiddlewareIsTheParent(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	b, err := bridge.New(parse(t, "upstreams: {app: {target: '127.0.0.1:1'}}\n"+feedRoute("")), bridge.Options{TracerProvider: provider})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	ctx, outer := provider.Tracer("middleware").Start(t.Context(), "outer")
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/nowhere", nil)
	request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	b.ServeHTTP(httptest.NewRecorder(), request)
	if got := spans.Ended(); len(got) != 1 || got[0].Parent().SpanID() != outer.SpanContext().SpanID() {
		t.Errorf("the spans are %v", got)
	}
	outer.End()
	if trace.SpanFromContext(t.Context()).IsRecording() {
		t.Error("a span has not ended")
	}
}
