package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// directs is how many honest clients listen to the backend itself.
const directs = 20

// listenDirectly listens to the backend without a bridge. An attack that reaches the
// backend, by replays that the bridge has to ask for, makes it late for all of its clients,
// and so does a machine whose processors are busy: these clients show by how much.
func (h *honest) listenDirectly(ctx context.Context, backend string, number int) error {
	conn, err := grpc.NewClient("passthrough:///"+backend, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is to be sent
	for ctx.Err() == nil {
		stream, err := testv1.NewFeedServiceClient(conn).Watch(ctx, &testv1.WatchRequest{Topic: fmt.Sprintf("direct%d", number)}, grpc.WaitForReady(true))
		for err == nil {
			var event *testv1.FeedEvent
			if event, err = stream.Recv(); err == nil {
				h.direct.Count(time.Since(due(event.GetSeq())))
			}
		}
		if errors.Is(err, io.EOF) {
			return errors.New("the backend has ended a stream")
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}
