package embedded_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // the backend's
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

const routes = `
routes:
  - {path: /feed, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, open_grace: 30s, trailers: [x-cost], event: {name: {field: kind}}}
  - {path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app}
`

// upstreamAt is the configuration of a backend at a target; keys are further ones.
func upstreamAt(target, keys string) string {
	return fmt.Sprintf("upstreams: {app: {target: '%s'%s}}", target, keys) + routes
}

// watches has a backend answer Watch with two events and an end.
func watches(b *backendtest.Backend, before func(grpc.ServerStream) error, end error, events ...*testv1.FeedEvent) {
	b.OnWatch(func(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
		if before != nil {
			if err := before(stream); err != nil {
				return err
			}
		}
		for _, event := range events {
			if err := stream.Send(event); err != nil {
				return err
			}
		}
		return end
	})
}

func event(seq int64) *testv1.FeedEvent { return &testv1.FeedEvent{Seq: seq, Kind: "tick"} }

// compressed compresses a stream.
func compressed(stream grpc.ServerStream) error {
	return grpc.SetSendCompressor(stream.Context(), "gzip")
}

// cases are routes, backends and faults. setUp starts a backend and returns the
// configuration; want is in the answer.
var cases = []struct {
	name   string
	setUp  func(t *testing.T) string
	path   string
	prefer string
	status int
	want   []string
}{
	{"a stream", func(t *testing.T) string {
		b := backendtest.Start(t)
		watches(b, nil, nil, event(1), event(2))
		return upstreamAt(b.Target(), "")
	}, "/feed", "", 200, []string{"event: tick", `data: {"seq":"1","kind":"tick"}`, "stream-end"}},
	{"a compressed stream", func(t *testing.T) string {
		b := backendtest.Start(t)
		watches(b, compressed, nil, event(1), &testv1.FeedEvent{Payload: make([]byte, 4000)})
		return upstreamAt(b.Target(), "")
	}, "/feed", "", 200, []string{`"seq":"1"`, `"payload":"AAAA`, "stream-end"}},
	{"a compressed message that is too large", func(t *testing.T) string {
		b := backendtest.Start(t)
		watches(b, compressed, nil, &testv1.FeedEvent{Payload: make([]byte, 17<<20)})
		return upstreamAt(b.Target(), "")
	}, "/feed", "", 429, []string{`"code":8`}},
	{"a compressed answer", func(t *testing.T) string {
		b := backendtest.Start(t)
		b.OnGet(func(ctx context.Context, _ *testv1.GetRequest) (*testv1.GetResponse, error) {
			return &testv1.GetResponse{Name: strings.Repeat("n", 500)}, grpc.SetSendCompressor(ctx, "gzip")
		})
		return upstreamAt(b.Target(), "")
	}, "/get", "", 200, []string{`{"name":"nnnn`}},
	{"reflection of the older version", func(t *testing.T) string {
		b := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionV1Alpha))
		watches(b, nil, nil, event(1))
		return upstreamAt(b.Target(), "")
	}, "/feed", "", 200, []string{`"seq":"1"`}},
	{"TLS", func(t *testing.T) string {
		authority := backendtest.NewAuthority(t)
		b := backendtest.Start(t, backendtest.WithTLS(authority))
		watches(b, nil, nil, event(1))
		return upstreamAt(b.Target(), ", tls: {ca: '"+authority.CAFile+"'}")
	}, "/feed", "", 200, []string{`"seq":"1"`}},
	{"a socket", func(t *testing.T) string {
		b := backendtest.Start(t, backendtest.WithUnixSocket())
		watches(b, nil, nil, event(1))
		return upstreamAt(b.Target(), "")
	}, "/feed", "", 200, []string{`"seq":"1"`}},
	{"the dns resolver", func(t *testing.T) string {
		b := backendtest.Start(t)
		watches(b, nil, nil, event(1))
		return upstreamAt("dns:///"+b.Target(), "")
	}, "/feed", "", 200, []string{`"seq":"1"`}},
	{"the passthrough resolver", func(t *testing.T) string {
		b := backendtest.Start(t)
		watches(b, nil, nil, event(1))
		return upstreamAt("passthrough:///"+b.Target(), "")
	}, "/feed", "", 200, []string{`"seq":"1"`}},
	{"health", func(t *testing.T) string {
		b := backendtest.Start(t)
		watches(b, nil, nil, event(1))
		return upstreamAt(b.Target(), ", health: true")
	}, "/feed", "", 200, []string{`"seq":"1"`}},
	{"details of google.rpc", func(t *testing.T) string {
		b := backendtest.Start(t)
		refusal, err := status.New(codes.InvalidArgument, "no").WithDetails(
			&errdetails.ErrorInfo{Reason: "CLOSED"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		watches(b, nil, refusal.Err())
		return upstreamAt(b.Target(), "")
	}, "/feed", "", 400, []string{`"@type":"type.googleapis.com/google.rpc.ErrorInfo"`, `"reason":"CLOSED"`, `"retryDelay":"1s"`}},
	{"details that only the test links", func(t *testing.T) string {
		b := backendtest.Start(t)
		unknown := &anypb.Any{TypeUrl: "type.googleapis.com/opentelemetry.proto.trace.v1.Span", Value: nil}
		refusal, err := status.New(codes.NotFound, "no").WithDetails(unknown)
		if err != nil {
			t.Fatal(err)
		}
		watches(b, nil, refusal.Err(), event(1))
		return upstreamAt(b.Target(), "")
	}, "/feed", "", 200, []string{`data: {"code":5,"message":"no",`, `"status":"NOT_FOUND"}`}},
	{"an internal error", func(t *testing.T) string {
		b := backendtest.Start(t)
		watches(b, nil, status.Error(codes.Internal, "secret"))
		return upstreamAt(b.Target(), "")
	}, "/feed", "status", 500, []string{"under incident"}},
	{"a refusal of connect-go", func(t *testing.T) string {
		return upstreamAt(connectBackend(t, connect.NewError(connect.CodeNotFound, nil)), ", schema: {descriptor_set: '"+descriptorSet(t)+"'}")
	}, "/feed", "", 404, []string{`"code":5`}},
	{"a stream of connect-go", func(t *testing.T) string {
		return upstreamAt(connectBackend(t, nil), ", schema: {descriptor_set: '"+descriptorSet(t)+"'}")
	}, "/feed", "", 200, []string{`"seq":"1"`, "stream-end"}},
	{"large headers", func(t *testing.T) string {
		return foreign(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
			_ = http.NewResponseController(w).Flush()
		})
	}, "/feed", "", 429, []string{`"message":"the response's headers are larger than 256 KiB"`}},
	{"a page in the backend's place", func(t *testing.T) string {
		return foreign(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusForbidden) })
	}, "/feed", "status", 503, []string{"under incident"}},
	{"a page for a unary call", func(t *testing.T) string {
		return foreign(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusNotFound) })
	}, "/get", "", 503, []string{"under incident"}},
}

// The command answers each request as a program does that embeds the bridge and links
// nothing else.
func TestBinaryAndLibraryAnswerAlike(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			configuration := c.setUp(t)
			answers := map[string]string{}
			for name := range commands {
				code, body := ask(t, serve(t, name, configuration)+c.path, c.prefer)
				if code != c.status {
					t.Errorf("%s: %d, want %d: %s", name, code, c.status, body)
				}
				for _, want := range c.want {
					if !strings.Contains(body, want) {
						t.Errorf("%s: %q is not in %s", name, want, body)
					}
				}
				answers[name] = canonical(body)
			}
			if answers["binary"] != answers["library"] {
				t.Errorf("the binary answers\n%s\nthe library\n%s", answers["binary"], answers["library"])
			}
		})
	}
}

// ask asks once, and reads the answer to its end. While the schema is not there, the answer waits.
func ask(t *testing.T, url, prefer string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if prefer != "" {
		request.Header.Set("Prefer", prefer)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it has been read
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

var (
	epochs    = regexp.MustCompile(`[A-Z2-7]{26}`)
	incidents = regexp.MustCompile(`incident [A-Z2-7]{12}`)
	finals    = regexp.MustCompile(`~[A-Z2-7]+~end`)
	retries   = regexp.MustCompile(`retry: \d+`)
)

// canonical is an answer without what differs each time.
func canonical(body string) string {
	body = epochs.ReplaceAllString(body, "EPOCH")
	body = incidents.ReplaceAllString(body, "incident ID")
	body = finals.ReplaceAllString(body, "~SEAL~end")
	return retries.ReplaceAllString(body, "retry: N")
}

// foreign is a configuration of a backend behind an intermediary that answers all calls
// but those of reflection itself.
func foreign(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	m := backendtest.StartIntermediary(t, backendtest.Start(t), nil)
	m.Answer(answer)
	return upstreamAt(m.Addr(), ", schema: {descriptor_set: '"+descriptorSet(t)+"'}")
}

// connectBackend serves Watch by connect-go, and returns its address.
func connectBackend(t *testing.T, refusal *connect.Error) string {
	t.Helper()
	mux := http.NewServeMux()
	const watch = "/ssebridge.test.v1.FeedService/Watch"
	mux.Handle(watch, connect.NewServerStreamHandler(watch,
		func(_ context.Context, _ *connect.Request[testv1.WatchRequest], stream *connect.ServerStream[testv1.FeedEvent]) error {
			if refusal != nil {
				return refusal
			}
			return stream.Send(event(1))
		}))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}
