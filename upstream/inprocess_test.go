package upstream

import (
	"context"
	"net"

	"google.golang.org/grpc/test/bufconn"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// echoService answers a Watch with the requested topic.
type echoService struct {
	testv1.UnimplementedFeedServiceServer
}

func (echoService) Watch(req *testv1.WatchRequest, stream watchServer) error {
	return stream.Send(&testv1.FeedEvent{Kind: req.GetTopic()})
}

func bufDialer(listener *bufconn.Listener) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
}
