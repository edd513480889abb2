package backendtest

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// WatchFunc answers one Watch RPC. It must return when the stream's context
// ends.
type WatchFunc func(*testv1.WatchRequest, grpc.ServerStreamingServer[testv1.FeedEvent]) error

// GetFunc answers one Get RPC.
type GetFunc func(context.Context, *testv1.GetRequest) (*testv1.GetResponse, error)

// PutFunc answers one Put RPC.
type PutFunc func(context.Context, *testv1.PutRequest) (*testv1.PutResponse, error)

type handlers struct {
	watch WatchFunc
	get   GetFunc
	put   PutFunc
}

// OnWatch has the Watch RPCs from now on answered by fn; nil is the Feed again.
func (b *Backend) OnWatch(fn WatchFunc) { b.update(func() { b.handlers.watch = fn }) }

// OnGet has the Get RPCs from now on answered by fn; nil is the echo again.
func (b *Backend) OnGet(fn GetFunc) { b.update(func() { b.handlers.get = fn }) }

// OnPut has the Put RPCs from now on answered by fn; nil is the echo again.
func (b *Backend) OnPut(fn PutFunc) { b.update(func() { b.handlers.put = fn }) }

// feedService is the server side of FeedService: the counting and the dispatch.
type feedService struct {
	testv1.UnimplementedFeedServiceServer

	backend *Backend
}

func (s *feedService) Watch(req *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	b := s.backend
	// The position is taken before the RPC is counted, so that what a test
	// publishes after AwaitRunning or AwaitOpens reaches this stream.
	position := b.Feed.position(req)
	fn := b.began(stream.Context())
	defer b.ended()
	if fn != nil {
		return fn(req, stream)
	}
	return b.Feed.send(req, position, stream)
}

func (s *feedService) Get(ctx context.Context, req *testv1.GetRequest) (*testv1.GetResponse, error) {
	h := s.backend.saw(ctx)
	if h.get != nil {
		return h.get(ctx, req)
	}
	return &testv1.GetResponse{Name: req.GetName(), Kinds: req.GetKinds()}, nil
}

func (s *feedService) Put(ctx context.Context, req *testv1.PutRequest) (*testv1.PutResponse, error) {
	h := s.backend.saw(ctx)
	if h.put != nil {
		return h.put(ctx, req)
	}
	return &testv1.PutResponse{Name: req.GetName(), Kinds: req.GetKinds()}, nil
}

// Upload counts the bytes it is sent.
func (s *feedService) Upload(stream grpc.ClientStreamingServer[testv1.UploadRequest, testv1.UploadResponse]) error {
	var size int64
	for {
		part, err := stream.Recv()
		if ended(err) {
			return stream.SendAndClose(&testv1.UploadResponse{Size: size})
		}
		if err != nil {
			return err
		}
		size += int64(len(part.GetPart()))
	}
}

// Chat says back what it is told.
func (s *feedService) Chat(stream grpc.BidiStreamingServer[testv1.ChatRequest, testv1.ChatResponse]) error {
	for {
		said, err := stream.Recv()
		if ended(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testv1.ChatResponse{Text: said.GetText()}); err != nil {
			return err
		}
	}
}

// began counts a Watch RPC and returns the function that answers it, nil for the Feed.
func (b *Backend) began(ctx context.Context) WatchFunc {
	md, _ := metadata.FromIncomingContext(ctx)
	var fn WatchFunc
	b.update(func() {
		b.opens++
		b.running++
		b.seen = md
		fn = b.handlers.watch
	})
	return fn
}

func (b *Backend) ended() { b.update(func() { b.running-- }) }

// saw notes the metadata of a unary RPC and returns the functions that answer it.
func (b *Backend) saw(ctx context.Context) handlers {
	md, _ := metadata.FromIncomingContext(ctx)
	var h handlers
	b.update(func() {
		b.seen = md
		h = b.handlers
	})
	return h
}

// canceled is the error of a handler whose caller has gone.
func canceled(ctx context.Context) error {
	return status.FromContextError(ctx.Err()).Err()
}

// refused is a handler's answer to a request it cannot serve.
func refused(code codes.Code, message string) error { return status.Error(code, message) }
