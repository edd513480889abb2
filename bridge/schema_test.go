package bridge_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

const feedRoutes = "  - {path: /feed, rpc: " + watch + ", upstream: app, share: true, methods: [GET, POST], request: {query: true}}\n"

// Clients wait, and are served when the backend is up. Then the bridge is ready.
func TestTheBridgeStartsBeforeTheBackend(t *testing.T) {
	b := backend(t)
	b.Stop()
	g := start(t, b.Target(), feedRoutes)
	if err := g.Bridge.Ready(); err == nil || err.Error() != "the schema is not known yet of: app" {
		t.Errorf("Ready says %v", err)
	}
	if code, text := probe(g.Bridge.Admin(), "/readyz"); code != http.StatusServiceUnavailable || text != "not ready\nthe schema is not known yet of: app\n" {
		t.Errorf("/readyz says %d %q", code, text)
	}
	if code, text := probe(g.Bridge.Admin(), "/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/healthz says %d %q", code, text)
	}
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	b.Restart()
	b.AwaitRunning(1)
	b.Feed.Publish(&testv1.FeedEvent{})
	c.AwaitMessages(1)
	if err := g.Bridge.Ready(); err != nil {
		t.Errorf("Ready says %v", err)
	}
	if code, text := probe(g.Bridge.Admin(), "/readyz?upstreams"); code != http.StatusOK || text != "ready\n" {
		t.Errorf("/readyz?upstreams says %d %q", code, text)
	}

	// The bridge stays ready when the backend is lost, because a 503 would end every stream. Only
	// /readyz?upstreams reports it.
	b.Stop()
	c.Await("the gap", func(s ssetest.Snapshot) bool { return s.Gaps == 1 })
	if code, _ := probe(g.Bridge.Admin(), "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz says %d without the backend", code)
	}
	code, text := http.StatusOK, ""
	for i := 0; i < 10_000 && code == http.StatusOK; i++ { // the connection may notice it later than the stream
		code, text = probe(g.Bridge.Admin(), "/readyz?upstreams")
	}
	if code != http.StatusServiceUnavailable || text != "not ready\nnot reachable: app\n" {
		t.Errorf("/readyz?upstreams says %d %q without the backend", code, text)
	}
}

// They keep their ids. Clients that prefer a status get one. Hardening: no client learns the backend's address.
func TestClientsAreAskedToReconnectWithoutABackend(t *testing.T) {
	b := backend(t)
	b.Stop()
	g := startWith(t, parse(t, "upstreams:\n  app: {target: '"+b.Target()+"', open_timeout: 100ms}\nroutes:\n"+feedRoutes), bridge.Options{})
	for _, id := range []string{"", "ABCDEFGHIJKLMNOPQRSTUVWXYZ-5"} {
		c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{LastEventID: id})
		endedWell(t, c)
		seen := c.Snapshot()
		if story(seen) != "open retry:upstream" || id != "" && seen.LastEventID != id {
			t.Errorf("got %s", seen)
		}
		retry := seen.Events[1]
		if said := said(t, retry.Data); said.Code != 14 || said.Status != "UNAVAILABLE" || leaks(retry.Data, b) {
			t.Errorf("the client was sent %s", retry.Data)
		}
	}
	for _, request := range [][]string{
		{http.MethodGet, "Prefer", "status"},
		{http.MethodGet, "Accept", "application/json"},
		{http.MethodPost},
		{http.MethodPost, "Accept", "*/*"}, // the method may be unary
	} {
		got := do(t, request[0], g.URL+"/feed", "", request[1:]...)
		if got.Status != http.StatusServiceUnavailable || leaks(got.Body, b) {
			t.Errorf("%v is answered %d %s", request, got.Status, got.Body)
		}
	}
	for _, request := range [][]string{
		{http.MethodGet}, {http.MethodGet, "Accept", "*/*"}, {http.MethodPost, "Accept", "text/event-stream, */*;q=0.1"},
	} {
		got := do(t, request[0], g.URL+"/feed", "", request[1:]...)
		if got.Status != http.StatusOK || got.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%v is answered %d %s", request, got.Status, got.Body)
		}
	}
}

// leaks reports whether a text reveals the backend.
func leaks(text string, b *backendtest.Backend) bool {
	host, port, _ := strings.Cut(b.Addr(), ":")
	return strings.Contains(text, host) || strings.Contains(text, port) || strings.Contains(text, "dial") || strings.Contains(text, "refused")
}

// Clients of a running stream are sent a gap without an address, and the stream continues on their
// connection when the backend is back.
func TestTheBackendIsLostAndReturns(t *testing.T) {
	b := backend(t)
	g := start(t, b.Target(), feedRoutes)
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	b.AwaitRunning(1)
	b.Feed.Publish(&testv1.FeedEvent{})
	c.AwaitMessages(1)
	b.Stop()
	c.AwaitEvents(3) // the gap
	b.Restart()
	b.AwaitRunning(1)
	b.Feed.Publish(&testv1.FeedEvent{})
	c.AwaitMessages(2)
	seen := c.Snapshot()
	if got := strings.ReplaceAll(strings.ReplaceAll(story(seen), " stale", ""), " live", ""); got != "open 1 gap:upstream 2" || leaks(transcript(seen), b) {
		t.Errorf("the client saw %s", seen)
	}
}

// Each route sends the events of its own service, and events of the other service in an Any.
func TestServicesMayDeclareOneMessageDifferently(t *testing.T) {
	for name, version := range map[string]backendtest.Reflection{"v1": backendtest.ReflectionV1, "v1alpha": backendtest.ReflectionV1Alpha} {
		t.Run(name, func(t *testing.T) {
			b := backend(t, backendtest.WithReflection(version), backendtest.WithContradiction(t))
			g := start(t, b.Target(), "  - {path: /alpha, rpc: "+backendtest.AlphaMethod+", upstream: app}\n  - {path: /beta, rpc: "+backendtest.BetaMethod+", upstream: app}\n"+feedRoutes)
			for path, want := range map[string]string{"/alpha": backendtest.AlphaEvent, "/beta": backendtest.BetaEvent} {
				c := ssetest.Connect(t, g.URL+path, ssetest.Options{})
				c.AwaitMessages(1)
				if got := c.Snapshot().Messages()[0].Data; got != want {
					t.Errorf("%s sent %s, want %s", path, got, want)
				}
			}
			c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
			b.AwaitRunning(1)
			b.Feed.Publish(&testv1.FeedEvent{})
			c.AwaitMessages(1)
		})
	}
}

// changed is the test backend's schema after a change to feed.proto.
func changed(t *testing.T, change func(feed *descriptorpb.FileDescriptorProto)) *protoregistry.Files {
	t.Helper()
	set := backendtest.Descriptors()
	change(set.GetFile()[len(set.GetFile())-1])
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// rename renames the field `kind` of FeedEvent.
func rename(name string) func(feed *descriptorpb.FileDescriptorProto) {
	return func(feed *descriptorpb.FileDescriptorProto) {
		for _, message := range feed.GetMessageType() {
			for _, field := range message.GetField() {
				if message.GetName() == "FeedEvent" && field.GetName() == "kind" {
					field.Name, field.JsonName = new(name), new(name)
				}
			}
		}
	}
}

// firstMessage opens topics until the first message of one is the wanted one: it waits for a new
// schema, which does not notify clients.
func firstMessage(t *testing.T, g *gateway, b *backendtest.Backend, want string) {
	t.Helper()
	b.Feed.Publish(&testv1.FeedEvent{Kind: "k"})
	got := ""
	for i := 0; i < 1000 && got != want; i++ {
		c := ssetest.Connect(t, fmt.Sprintf("%s/feed?history=true&topic=%s-%d", g.URL, want, i), ssetest.Options{})
		got = c.AwaitMessages(1)[0].Data
		c.Close()
	}
	if got != want {
		t.Errorf("the first message is %s, want %s", got, want)
	}
}

// The backend returns with another schema.
func TestRPCsAreReadByTheNewestSchema(t *testing.T) {
	b := backend(t, backendtest.WithDescriptors(changed(t, rename("old"))))
	g := start(t, b.Target(), feedRoutes)
	firstMessage(t, g, b, `{"seq":"1","old":"k"}`)
	b.Restart(backendtest.WithDescriptors(changed(t, rename("new"))))
	firstMessage(t, g, b, `{"seq":"1","new":"k"}`)
}

// Other routes are served, and /readyz and the log have the reason. When the backend returns with
// the missing method, the route works.
func TestARouteThatContradictsTheSchemaAnswers501(t *testing.T) {
	without := changed(t, func(feed *descriptorpb.FileDescriptorProto) {
		methods := feed.GetService()[0].GetMethod()
		feed.GetService()[0].Method = methods[:1] // Watch
	})
	b := backend(t, backendtest.WithDescriptors(without))
	g := start(t, b.Target(), feedRoutes+
		"  - {path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app}\n"+
		"  - {path: /bad, rpc: "+watch+", upstream: app, share: true, event: {id: sek}}\n")
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	c.AwaitEvents(1)
	for _, path := range []string{"/get", "/bad"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := do(t, method, g.URL+path, "")
			if got.Status != http.StatusNotImplemented {
				t.Errorf("%s %s is answered %d %s", method, path, got.Status, got.Body)
			}
			if method == http.MethodGet && !sameJSON(t, got.Body, `{"code":12,"message":"the route does not fit what the backend serves; the bridge's log says why"}`) {
				t.Errorf("the client was sent %s", got.Body)
			}
		}
	}
	if err := g.Bridge.Ready(); err != nil {
		t.Errorf("Ready says %v", err)
	}
	_, text := probe(g.Bridge.Admin(), "/readyz")
	want := "ready\n" +
		"route /get answers 501: routes[1].rpc: service \"ssebridge.test.v1.FeedService\" has no method \"Get\"\n" +
		"route /bad answers 501: routes[2].event.id: ssebridge.test.v1.FeedEvent has no field \"sek\"; did you mean \"seq\"?\n"
	if text != want {
		t.Errorf("/readyz says\n%swant\n%s", text, want)
	}
	for line := range strings.Lines(text) {
		if _, why, ok := strings.Cut(strings.TrimSpace(line), " answers 501: "); ok && !strings.Contains(strings.ReplaceAll(g.Log.String(), `\"`, `"`), why) {
			t.Errorf("the log does not say %s", why)
		}
	}

	b.Restart(backendtest.WithDescriptors(protoregistry.GlobalFiles))
	// The bridge reads the new schema when the connection is up again.
	status, deadline := 0, time.Now().Add(10*time.Second)
	for status != http.StatusOK && time.Now().Before(deadline) {
		status = do(t, http.MethodGet, g.URL+"/get", "").Status
	}
	if status != http.StatusOK {
		t.Errorf("/get is still answered %d", status)
	}
}

// With the new schema the message is shown.
func TestAnUnknownTypeInAnAnyCausesOneRequestForTheSchema(t *testing.T) {
	var readings atomic.Int32
	count := func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if strings.Contains(info.FullMethod, "ServerReflection") {
			readings.Add(1)
		}
		return handler(srv, stream)
	}
	b := backend(t, backendtest.WithServerOptions(grpc.StreamInterceptor(count)))
	g := start(t, b.Target(), feedRoutes)
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	b.AwaitRunning(1)
	c.AwaitEvents(1)
	before := readings.Load()
	known, err := anypb.New(&errdetails.ErrorInfo{Reason: "known to reflection only"})
	if err != nil {
		t.Fatal(err)
	}
	b.Feed.Publish(&testv1.FeedEvent{Extra: known})
	want := `{"seq":"1","extra":{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"known to reflection only"}}`
	if got := c.AwaitMessages(1)[0].Data; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	after := readings.Load()
	if after == before {
		t.Error("the schema was not read again")
	}

	// A flood of messages of an unknown type causes a flood of gaps, but not of requests for the schema.
	for range 50 {
		b.Feed.Publish(proto.CloneOf(unknownAny("")))
	}
	b.Feed.Publish(&testv1.FeedEvent{Kind: "last"})
	if seen := c.Await("the last one", func(s ssetest.Snapshot) bool { return len(s.Messages()) == 2 }); seen.Gaps != 50 {
		t.Errorf("%d gaps, want 50", seen.Gaps)
	}
	if now := readings.Load(); now > after+2 {
		t.Errorf("%d readings of the schema for 50 messages", now-after)
	}
	if lines := strings.Count(g.Log.String(), "cannot be shown"); lines != 1 {
		t.Errorf("%d lines in the log for 50 messages", lines)
	}
}

func TestAUnaryAnswerWithAnUnknownTypeCausesOneRequestForTheSchema(t *testing.T) {
	b := backend(t)
	g := start(t, b.Target(), "  - {path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app}\n")
	known, err := anypb.New(&errdetails.RetryInfo{})
	if err != nil {
		t.Fatal(err)
	}
	b.OnGet(func(context.Context, *testv1.GetRequest) (*testv1.GetResponse, error) {
		return &testv1.GetResponse{Kinds: &testv1.Kinds{Any: known}}, nil
	})
	for range 2 {
		got := do(t, http.MethodGet, g.URL+"/get", "")
		if want := `{"kinds":{"any":{"@type":"type.googleapis.com/google.rpc.RetryInfo"}}}` + "\n"; got.Body != want {
			t.Errorf("answered %d %s, want %s", got.Status, got.Body, want)
		}
	}
	b.OnGet(func(context.Context, *testv1.GetRequest) (*testv1.GetResponse, error) {
		return &testv1.GetResponse{Kinds: &testv1.Kinds{Any: unknownAny("").GetExtra()}}, nil
	})
	for range 20 {
		if got := do(t, http.MethodGet, g.URL+"/get", ""); got.Status != http.StatusInternalServerError {
			t.Errorf("answered %d %s", got.Status, got.Body)
		}
	}
}
