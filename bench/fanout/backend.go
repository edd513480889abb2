package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bench/internal/event"
	"github.com/ssebridge/ssebridge/bench/internal/pace"
	"github.com/ssebridge/ssebridge/bench/internal/publish"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// backend answers Watch with events at the pace that the topic is named for.
type backend struct {
	testv1.UnimplementedFeedServiceServer

	window *pace.Window
}

// runBackend serves until ctx is done. Of the options, the pace is not used.
func runBackend(ctx context.Context, options publish.Options) error {
	window, err := options.Open(ctx, nil)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.Listen)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	testv1.RegisterFeedServiceServer(server, &backend{window: window.Window})
	reflection.Register(server)
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	return server.Serve(listener)
}

// Watch sends a topic's events. What follows a dot in the topic's name keeps
// streams apart that have the same pace.
func (b *backend) Watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	name, _, _ := strings.Cut(request.GetTopic(), ".")
	p, err := pace.Parse(name, b.window)
	if err != nil {
		return status.Error(codes.NotFound, err.Error())
	}
	// The stream is accepted before it has anything to say.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	err = p.Run(stream.Context(), func(place uint64, sent time.Time) error {
		return stream.Send(message(place, sent))
	})
	return status.Convert(fmt.Errorf("watch: %w", err)).Err()
}

// message returns an event as a message.
func message(place uint64, sent time.Time) *testv1.FeedEvent {
	return &testv1.FeedEvent{
		Seq: int64(place), Cursor: string(event.AppendStamp(nil, place, sent)), Kind: event.Kind, //nolint:gosec // a place
		Body: &testv1.FeedEvent_Note{Note: &testv1.Note{Text: event.Text(place)}}, Level: testv1.Level_LEVEL_INFO,
	}
}
