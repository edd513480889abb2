package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

type watchServer = grpc.ServerStreamingServer[testv1.FeedEvent]

func TestNextLendsTheBytesThatWereSent(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	// One message fits a frame, one is joined from many, and one is empty.
	events := []*testv1.FeedEvent{
		{Seq: 7, Kind: "small"},
		{Seq: 8, Payload: bytes.Repeat([]byte("0123456789abcdef"), 1<<16)},
		{},
	}
	backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
		for _, event := range events {
			if err := stream.Send(event); err != nil {
				return err
			}
		}
		return nil
	})
	s := watch(t, u, nil)
	for i, want := range events {
		if got := next(t, s); !proto.Equal(got, want) {
			t.Errorf("message %d differs", i)
		}
	}
	if err := s.Next(discard); !isEOF(err) {
		t.Errorf("got %v, want io.EOF", err)
	}
	if err := s.Next(discard); !isEOF(err) {
		t.Errorf("asked again: got %v, want io.EOF", err)
	}
}

func TestNextReturnsTheErrorOfTheFunction(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	backend.Feed.Publish(&testv1.FeedEvent{}, &testv1.FeedEvent{Kind: "second"})
	s := watch(t, u, &testv1.WatchRequest{History: true})
	mine := errors.New("mine")
	if err := s.Next(func([]byte) error { return mine }); err != mine { //nolint:errorlint // as it is, not wrapped
		t.Fatalf("got %v", err)
	}
	if got := next(t, s).GetKind(); got != "second" {
		t.Errorf("the stream goes on with %q", got)
	}
}

func TestRequestsArriveAsTheyWereGiven(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	got := make(chan *testv1.WatchRequest, 1)
	backend.OnWatch(func(req *testv1.WatchRequest, _ watchServer) error {
		got <- req
		return nil
	})
	want := &testv1.WatchRequest{Topic: "t", After: 9, Limit: proto.Int32(0)}
	s := watch(t, u, want)
	if err := s.Next(discard); !isEOF(err) {
		t.Fatal(err)
	}
	if req := <-got; !proto.Equal(req, want) {
		t.Errorf("got %v, want %v", req, want)
	}
}

func TestAccepted(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	for _, c := range []struct {
		name    string
		handler backendtest.WatchFunc
		check   func(*testing.T, *Stream)
	}{
		{"headers only", func(req *testv1.WatchRequest, stream watchServer) error {
			if err := stream.SendHeader(metadata.Pairs("a", "b")); err != nil {
				return err
			}
			return silent(req, stream)
		}, func(t *testing.T, s *Stream) {
			t.Helper()
			for range 2 {
				if err := s.Accepted(); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"a message", func(_ *testv1.WatchRequest, stream watchServer) error {
			return stream.Send(&testv1.FeedEvent{Kind: "first"})
		}, func(t *testing.T, s *Stream) {
			t.Helper()
			if err := s.Accepted(); err != nil {
				t.Fatal(err)
			}
			if got := next(t, s).GetKind(); got != "first" {
				t.Errorf("got %q", got)
			}
			if err := s.Next(discard); !isEOF(err) {
				t.Errorf("got %v, want io.EOF", err)
			}
		}},
		{"refused in trailers only", func(*testv1.WatchRequest, watchServer) error {
			return status.Error(codes.NotFound, "no such room")
		}, func(t *testing.T, s *Stream) {
			t.Helper()
			for range 2 {
				wantCode(t, s.Accepted(), codes.NotFound)
				wantCode(t, s.Next(discard), codes.NotFound)
			}
		}},
		{"done at once", func(*testv1.WatchRequest, watchServer) error { return nil }, func(t *testing.T, s *Stream) {
			t.Helper()
			if err := s.Accepted(); !isEOF(err) {
				t.Errorf("got %v, want io.EOF", err)
			}
		}},
		{"headers, then refused", func(_ *testv1.WatchRequest, stream watchServer) error {
			if err := stream.SendHeader(nil); err != nil {
				return err
			}
			return status.Error(codes.Internal, "late")
		}, func(t *testing.T, s *Stream) {
			t.Helper()
			if err := s.Accepted(); err != nil {
				t.Fatal(err)
			}
			wantCode(t, s.Next(discard), codes.Internal)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			backend.OnWatch(c.handler)
			c.check(t, watch(t, u, nil))
		})
	}
}

func TestASilentBackendIsNotLate(t *testing.T) {
	backend := backendtest.Start(t)
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr(), OpenTimeout: 100 * time.Millisecond})
	if !u.Reachable(within(t)) {
		t.Fatal("not reachable")
	}
	s := watch(t, u, nil)
	backend.AwaitRunning(1)
	accepted := make(chan error, 1)
	go func() { accepted <- s.Accepted() }()
	// Only an RPC without a slot can be late. One that is opened after the silent one, with the
	// same timeout, is given up before it.
	gone := backendtest.Start(t)
	gone.Stop()
	late := connect(t, Params{Target: gone.Addr(), OpenTimeout: 100 * time.Millisecond})
	_, err := late.Open(within(t), Call{Method: watchMethod})
	wantCode(t, err, codes.Unavailable)
	select {
	case err := <-accepted:
		t.Fatalf("a silent RPC ended with %v", err)
	default:
	}
	s.Close()
	wantCode(t, <-accepted, codes.Canceled)
	backend.AwaitRunning(0)
}

func TestTrailers(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
		stream.SetTrailer(metadata.Pairs("x-cost", "12"))
		if err := stream.Send(&testv1.FeedEvent{}); err != nil {
			return err
		}
		return status.Error(codes.Aborted, "enough")
	})
	s := watch(t, u, nil)
	next(t, s)
	if md := s.Trailer(); md != nil {
		t.Errorf("before the end: %v", md)
	}
	err := s.Next(discard)
	wantCode(t, err, codes.Aborted)
	if got := status.Convert(err).Message(); got != "enough" {
		t.Errorf("message %q", got)
	}
	if got := s.Trailer().Get("x-cost"); len(got) != 1 || got[0] != "12" {
		t.Errorf("trailer %v", got)
	}
}

func TestMessageTooLarge(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr(), MaxMessageBytes: 1000})
	for _, c := range []struct {
		name  string
		send  *testv1.FeedEvent
		err   error
		local bool
	}{
		{"sent too large", &testv1.FeedEvent{Payload: make([]byte, 1001)}, nil, true},
		{"the backend's own", nil, status.Error(codes.ResourceExhausted, "quota"), false},
		{"the backend's client's", nil, status.Error(codes.ResourceExhausted, "grpc: received message larger than max (5000000 vs. 4194304)"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
				if c.send != nil {
					return stream.Send(c.send)
				}
				return c.err
			})
			err := watch(t, u, nil).Next(discard)
			wantCode(t, err, codes.ResourceExhausted)
			if got := errors.Is(err, ErrMessageTooLarge); got != c.local {
				t.Errorf("errors.Is(%v, ErrMessageTooLarge) is %v", err, got)
			}
		})
	}
	t.Run("just not", func(t *testing.T) {
		backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
			return stream.Send(&testv1.FeedEvent{Payload: make([]byte, 997)}) // 1000 bytes with its tag and length
		})
		next(t, watch(t, u, nil))
	})
}

func TestCancelling(t *testing.T) {
	backend := backendtest.Start(t)
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr()})
	t.Run("Close reaches the backend", func(t *testing.T) {
		s := watch(t, u, nil)
		backend.AwaitRunning(1)
		s.Close()
		s.Close()
		backend.AwaitRunning(0)
		wantCode(t, s.Next(discard), codes.Canceled)
	})
	t.Run("the context reaches the backend", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := u.Open(ctx, Call{Method: watchMethod})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		backend.AwaitRunning(1)
		cancel()
		backend.AwaitRunning(0)
		wantCode(t, s.Accepted(), codes.Canceled)
	})
	t.Run("the deadline is the RPC's", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		s, err := u.Open(ctx, Call{Method: watchMethod})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		wantCode(t, s.Next(discard), codes.DeadlineExceeded)
		backend.AwaitRunning(0)
	})
}

func TestABackendThatDiesEndsItsRPCs(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	s := watch(t, u, nil)
	backend.AwaitRunning(1)
	backend.Stop()
	err := s.Next(discard)
	wantCode(t, err, codes.Unavailable)
	// grpc-go's own text names addresses, which only the operator may read.
	if got := status.Convert(err).Message(); got != "the connection to the backend was lost" {
		t.Errorf("the public status is %q", got)
	}
	if !strings.Contains(err.Error(), "error reading from server") {
		t.Errorf("the operator reads %q, which does not name the loss of the connection", err)
	}
	backend.Restart()
	checkCarries(t, u, backend)
}

// A client that does not read stops the backend. The bridge buffers a window for it, not all that
// the backend could have sent.
func TestFlowControlReachesTheBackend(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	const size, total = 8 << 10, 4 << 20
	var sent atomic.Int64
	backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
		for range total / size {
			if err := stream.Send(&testv1.FeedEvent{Payload: make([]byte, size)}); err != nil {
				return err
			}
			sent.Add(size)
		}
		return nil
	})
	stuck := watch(t, u, nil)
	backend.AwaitRunning(1)
	next(t, stuck)

	// Another RPC on the same connection still receives. That also gives the stuck one's backend
	// time to send all that it can.
	free := watch(t, u, nil)
	received := 0
	for {
		err := free.Next(func(wire []byte) error { received += len(wire); return nil })
		if isEOF(err) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if received < total {
		t.Errorf("the free RPC got %d bytes", received)
	}
	// The server's own write quota (64 KiB) adds to the window's 64 KiB.
	if held := sent.Load() - total; held > 256<<10 {
		t.Errorf("the stuck RPC's backend could send %d bytes", held)
	}
	if backend.Running() != 1 {
		t.Errorf("%d RPCs run", backend.Running())
	}
	stuck.Close()
	backend.AwaitRunning(0)
}

func TestInvoke(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	backend.OnGet(func(ctx context.Context, req *testv1.GetRequest) (*testv1.GetResponse, error) {
		if err := grpc.SetTrailer(ctx, metadata.Pairs("x-t", "t")); err != nil {
			return nil, err
		}
		if err := grpc.SetHeader(ctx, metadata.Pairs("x-h", "h")); err != nil {
			return nil, err
		}
		if req.GetName() == "" {
			return nil, status.Error(codes.InvalidArgument, "name is missing")
		}
		return &testv1.GetResponse{Name: req.GetName()}, nil
	})
	reply, err := u.Invoke(within(t), Call{Method: getMethod[1:], Request: wire(t, &testv1.GetRequest{Name: "n"})})
	if err != nil {
		t.Fatal(err)
	}
	response := new(testv1.GetResponse)
	if err := proto.Unmarshal(reply.Wire, response); err != nil || response.GetName() != "n" {
		t.Errorf("got %v, %v", response, err)
	}
	if got := fmt.Sprint(reply.Header["x-h"], reply.Trailer["x-t"]); got != "[h] [t]" {
		t.Errorf("metadata %s", got)
	}

	reply, err = u.Invoke(within(t), Call{Method: getMethod})
	wantCode(t, err, codes.InvalidArgument)
	if got := reply.Trailer.Get("x-t"); len(got) != 1 {
		t.Errorf("a failed RPC's trailer: %v", reply.Trailer)
	}
	_, err = u.Invoke(within(t), Call{Method: "ssebridge.test.v1.FeedService/Nope"})
	wantCode(t, err, codes.Unimplemented)
}

func TestMetadata(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr(), Metadata: map[string]string{"x-bridge": "b1", "x-empty": "", "X-Both": "operator"}})
	s, err := u.Open(t.Context(), Call{Method: watchMethod, Metadata: metadata.MD{
		"authorization": {"Bearer t"}, "x-both": {"caller"}, "X-Twice": {"1", "2"}, "x-raw-bin": {"\x00\xff"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	backend.AwaitRunning(1)
	md := backend.Metadata()
	for key, want := range map[string]string{
		"x-bridge": "[b1]", "x-empty": "[]", "x-both": "[operator]", "authorization": "[Bearer t]", "x-twice": "[1 2]", "x-raw-bin": "[\x00\xff]",
		"content-type": "[application/grpc+proto]",
	} {
		if got := fmt.Sprint(md.Get(key)); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if got := md.Get("user-agent"); len(got) != 1 || !strings.HasPrefix(got[0], "ssebridge ") {
		t.Errorf("user agent %q", got)
	}
	for _, bad := range []metadata.MD{{"x-a": {"line\nbreak"}}, {"x-a": {"é"}}, {"x a": {"v"}}, {"": {"v"}}, {"x-ü": {"v"}}} {
		_, err := u.Open(t.Context(), Call{Method: watchMethod, Metadata: bad})
		wantCode(t, err, codes.InvalidArgument)
	}
}

func TestCloseOfTheUpstreamEndsEverything(t *testing.T) {
	backend := backendtest.Start(t)
	backend.OnWatch(silent)
	u := connect(t, Params{Target: backend.Addr()})
	s := watch(t, u, nil)
	backend.AwaitRunning(1)
	ended := make(chan error, 1)
	go func() { ended <- s.Next(discard) }()
	for range 2 {
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, <-ended, codes.Canceled)
	backend.AwaitRunning(0)
	_, err := u.Open(t.Context(), Call{Method: watchMethod})
	wantCode(t, err, codes.Canceled)
	_, err = u.RefreshSchema(within(t))
	wantCode(t, err, codes.Canceled)
	if u.Reachable(within(t)) {
		t.Error("reachable after Close")
	}
}

func TestFrameOfManyBuffersIsOwnedAfterTake(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	name := string(bytes.Repeat([]byte("n"), 200<<10))
	var replies []Reply
	for range 3 {
		reply, err := u.Invoke(within(t), Call{Method: getMethod, Request: wire(t, &testv1.GetRequest{Name: name})})
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, reply)
	}
	for _, reply := range replies {
		response := new(testv1.GetResponse)
		if err := proto.Unmarshal(reply.Wire, response); err != nil || response.GetName() != name {
			t.Errorf("a reply was overwritten: %v", err)
		}
	}
}
