package upstream

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

const (
	healthService = "grpc.health.v1.Health"
	healthMethod  = healthService + "/Watch"
)

// fault makes a backend's reflection fail for the health service only. The zero fault does nothing.
type fault struct {
	mu sync.Mutex
	// code is the code of the failure; OK means none.
	code codes.Code
	// ends reports whether the RPC ends with the code, not just the one answer.
	ends bool
	// silent is set if the backend never answers.
	silent bool
}

func (f *fault) set(code codes.Code, ends bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.code, f.ends = code, ends
}

func (f *fault) get() (code codes.Code, ends bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.code, f.ends
}

// start starts a backend with the fault.
func (f *fault) start(t *testing.T) *backendtest.Backend {
	t.Helper()
	return backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionV1), backendtest.WithServerOptions(
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return handler(srv, &faultyStream{ServerStream: stream, fault: f})
		})))
}

type faultyStream struct {
	grpc.ServerStream

	fault  *fault
	symbol string // the last requested one
}

func (s *faultyStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if req, ok := m.(*reflectionv1.ServerReflectionRequest); ok {
		s.symbol = req.GetFileContainingSymbol()
	}
	return err
}

func (s *faultyStream) SendMsg(m any) error {
	if s.fault.silent {
		<-s.Context().Done()
		return s.Context().Err()
	}
	code, ends := s.fault.get()
	if s.symbol != healthService || code == codes.OK {
		return s.ServerStream.SendMsg(m)
	}
	if ends {
		return status.Error(code, "not now")
	}
	return s.ServerStream.SendMsg(&reflectionv1.ServerReflectionResponse{
		MessageResponse: &reflectionv1.ServerReflectionResponse_ErrorResponse{
			ErrorResponse: &reflectionv1.ErrorResponse{ErrorCode: int32(code), ErrorMessage: "not now"},
		},
	})
}

// A temporary failure does not remove services.
func TestAFailureOfReflectionKeepsTheSchema(t *testing.T) {
	var fault fault
	backend := fault.start(t)
	u := connect(t, Params{Target: backend.Addr()})
	first, err := u.awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	changed := u.SchemaChanged()
	for _, ends := range []bool{false, true} {
		for _, code := range []codes.Code{codes.Internal, codes.Unknown, codes.ResourceExhausted, codes.PermissionDenied, codes.Unavailable} {
			fault.set(code, ends)
			_, err := u.RefreshSchema(within(t))
			if err == nil || !strings.Contains(err.Error(), "not now") {
				t.Errorf("%v (ends the RPC: %v): the reading gave %v", code, ends, err)
			}
			if code != codes.Unknown {
				wantCode(t, err, code)
			}
		}
	}
	select {
	case <-changed:
		t.Error("a change was reported")
	default:
	}
	fault.set(codes.OK, false)
	if s, err := u.RefreshSchema(within(t)); err != nil || s != first {
		t.Errorf("the schema is another one, %v", err)
	}
}

// A first reading that fails halfway gives no schema, and is retried.
func TestAFailedFirstReadingIsRetried(t *testing.T) {
	var fault fault
	fault.set(codes.Internal, false)
	u := connect(t, Params{Target: fault.start(t).Addr()})
	_, err := u.RefreshSchema(within(t))
	wantCode(t, err, codes.Internal)
	if u.Schema() != nil {
		t.Error("there is a schema")
	}
	fault.set(codes.OK, false)
	s, err := u.awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Method(healthMethod); err != nil {
		t.Error(err)
	}
}

// A backend that does not find a service that it lists may still be starting: it is asked again
// without an external trigger.
func TestAServiceThatIsLostIsLookedForAgain(t *testing.T) {
	for _, code := range []codes.Code{codes.NotFound, codes.Unimplemented} {
		t.Run(code.String(), func(t *testing.T) {
			var fault fault
			u := connect(t, Params{Target: fault.start(t).Addr()})
			first, err := u.awaitSchema(within(t))
			if err != nil {
				t.Fatal(err)
			}
			fault.set(code, false)
			s, err := u.RefreshSchema(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Method(healthMethod); err == nil || !strings.Contains(err.Error(), "its schema could not be read") {
				t.Errorf("got %v", err)
			}
			checkFeed(t, s)
			changed := u.SchemaChanged()
			if again, err := u.RefreshSchema(within(t)); err != nil || again != s {
				t.Errorf("the schema is another one, %v", err)
			}
			fault.set(codes.OK, false)
			select {
			case <-changed:
			case <-within(t).Done():
				t.Fatal("the service was not looked for again")
			}
			if u.Schema().sum != first.sum {
				t.Error("not all is back")
			}
		})
	}
}

func TestServicesThatCannotBeReadAnyMoreAreLost(t *testing.T) {
	had, err := newSchema([]*protoregistry.Files{feedFiles(t)}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	const feed = "ssebridge.test.v1.FeedService"
	cause := errors.New("its file is missing")
	broken := map[protoreflect.FullName]error{feed: cause, "x.Never": cause, "x.Before": cause}
	now := &Schema{broken: broken}
	lost := now.lost(had, map[protoreflect.FullName]bool{"x.Before": true, "x.Gone": true})
	if len(lost) != 2 || !lost[feed] || !lost["x.Before"] {
		t.Errorf("lost: %v", lost)
	}
	if lost := now.lost(nil, nil); len(lost) != 0 {
		t.Errorf("lost of nothing: %v", lost)
	}
}

// A persistent failure has one line in the log, even if its text names other ports each time.
func TestAFailureThatGoesOnIsLoggedOnce(t *testing.T) {
	var log lines
	u := &Upstream{logger: log.logger()}
	k := &schemaKeeper{changed: make(chan struct{})}
	lost := func(cause string) error {
		return &rpcError{status: status.New(codes.Unavailable, "lost"), cause: errors.New(cause)}
	}
	for _, err := range []error{lost("port 1"), lost("port 1"), lost("port 2"), status.Error(codes.Internal, "other"), status.Error(codes.Internal, "other")} {
		k.record(u, nil, reading{}, err)
	}
	if got := log.count("could not be read"); got != 2 {
		t.Errorf("logged %d times:\n%s", got, log.text.String())
	}
	k.loggedAt = k.loggedAt.Add(-failureSilence)
	k.record(u, nil, reading{}, status.Error(codes.Internal, "other"))
	k.record(u, nil, reading{}, lost("port 3"))
	if got := log.count("could not be read"); got != 3 {
		t.Errorf("logged %d times:\n%s", got, log.text.String())
	}
}
