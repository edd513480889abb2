package backendtest

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// WatchFunc answers one Watch RPC. It must return when the stream's context ends.
type WatchFunc func(*testv1.WatchRequest, grpc.ServerStreamingServer[testv1.FeedEvent]) error

// GetFunc answers one Get RPC.
type GetFunc func(context.Context, *testv1.GetRequest) (*testv1.GetResponse, error)

type handlers struct {
	watch WatchFunc
	get   GetFunc
}

// OnWatch makes fn answer all further Watch RPCs; nil restores the Feed.
func (b *Backend) OnWatch(fn WatchFunc) { b.update(func() { b.handlers.watch = fn }) }

// OnGet makes fn answer all further Get RPCs; nil restores the echo.
func (b *Backend) OnGet(fn GetFunc) { b.update(func() { b.handlers.get = fn }) }

// feedService implements FeedService: it counts RPCs and calls the handlers.
type feedService struct {
	testv1.UnimplementedFeedServiceServer

	backend *Backend
}

func (s *feedService) Watch(req *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	b := s.backend
	// The position is read before the RPC is counted, so that this stream gets the events that a
	// test publishes after AwaitRunning or AwaitOpens.
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
	s.backend.saw(ctx)
	return &testv1.PutResponse{Name: req.GetName(), Kinds: req.GetKinds()}, nil
}

// Upload counts the bytes that it receives.
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

// Chat echoes each message.
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

// began counts a Watch RPC and returns its handler, nil for the Feed.
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

// saw records the metadata of a unary RPC and returns the handlers.
func (b *Backend) saw(ctx context.Context) handlers {
	md, _ := metadata.FromIncomingContext(ctx)
	var h handlers
	b.update(func() {
		b.seen = md
		h = b.handlers
	})
	return h
}

// canceled returns the error of a handler whose caller has cancelled.
func canceled(ctx context.Context) error {
	return status.FromContextError(ctx.Err()).Err()
}

// refused returns the error of a request that the handler cannot serve.
func refused(code codes.Code, message string) error { return status.Error(code, message) }
