package upstream

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

const (
	watchMethod = "/ssebridge.test.v1.FeedService/Watch"
	getMethod   = "/ssebridge.test.v1.FeedService/Get"
)

func TestMain(m *testing.M) {
	resolver.Register(staticResolver{})
	goleak.VerifyTestMain(m)
}

// staticResolver resolves static:///host:port to that address, like a resolver that a program has
// registered with grpc-go.
type staticResolver struct{}

func (staticResolver) Scheme() string { return "static" }

func (staticResolver) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	return staticResolver{}, cc.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: target.Endpoint()}}})
}

func (staticResolver) ResolveNow(resolver.ResolveNowOptions) {}

func (staticResolver) Close() {}

// connect makes an upstream that is closed with the test.
func connect(t testing.TB, params Params) *Upstream {
	t.Helper()
	if params.Name == "" {
		params.Name = "app"
	}
	u, err := New(params)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return u
}

// within returns a context for an event that should come soon.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// watch opens Watch and closes it with the test.
func watch(t testing.TB, u *Upstream, req *testv1.WatchRequest) *Stream {
	t.Helper()
	s, err := u.Open(t.Context(), Call{Method: watchMethod, Request: wire(t, req)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// next reads one event.
func next(t testing.TB, s *Stream) *testv1.FeedEvent {
	t.Helper()
	event := new(testv1.FeedEvent)
	if err := s.Next(func(wire []byte) error { return proto.Unmarshal(wire, event) }); err != nil {
		t.Fatal(err)
	}
	return event
}

func wire(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if err == nil || status.Code(err) != want {
		t.Fatalf("got error %v, want a status of %v", err, want)
	}
}

func discard([]byte) error { return nil }

// checkCarries opens an RPC and receives an event from it.
func checkCarries(t *testing.T, u *Upstream, backend *backendtest.Backend) {
	t.Helper()
	running := backend.Running()
	s := watch(t, u, nil)
	backend.AwaitRunning(running + 1)
	backend.Feed.Publish(&testv1.FeedEvent{Kind: "tick"})
	if got := next(t, s).GetKind(); got != "tick" {
		t.Fatalf("got %q", got)
	}
	s.Close()
	backend.AwaitRunning(running)
}

// silent does not answer a Watch until its caller ends it.
func silent(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
