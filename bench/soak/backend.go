package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// A backend's connections are ended now and then, as behind a balancer: a
// GOAWAY, and a moment later the RPCs are cut.
const (
	connectionAge   = 45 * time.Second
	connectionGrace = time.Second
)

// backend answers Watch from a history.
type backend struct {
	testv1.UnimplementedFeedServiceServer

	history history
	running atomic.Int64 // Watch RPCs
}

// runBackend serves until it is killed.
func runBackend(args []string) error {
	flags := flag.NewFlagSet("backend", flag.ExitOnError)
	listen := flags.String("listen", "", "address")
	start := flags.Int64("start", 0, "the moment of place 0, in Unix nanoseconds")
	every := flags.Duration("every", 0, "the time between two messages")
	_ = flags.Parse(args) // exits on errors
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *listen)
	if err != nil {
		return fmt.Errorf("backend: %w", err)
	}
	server := grpc.NewServer(grpc.KeepaliveParams(keepalive.ServerParameters{
		MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: connectionGrace,
	}))
	testv1.RegisterFeedServiceServer(server, &backend{history: history{time.Unix(0, *start), *every}})
	reflection.Register(server)
	return server.Serve(listener)
}

// Watch sends a topic's messages, each when it is due: behind the cursor, or
// those of the past that the kind begins with, or from now on.
func (b *backend) Watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	b.running.Add(1)
	defer b.running.Add(-1)
	k, ok := kindOf(request.GetTopic())
	if !ok {
		return status.Error(codes.NotFound, "no such topic")
	}
	place, resumes := k.after(request)
	switch {
	case resumes:
	case k.history:
		place = max(1, b.history.newest(time.Now())-before)
	default:
		place = b.history.newest(time.Now()) + 1
	}
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for ; ; place++ {
		if err := until(stream.Context(), b.history.due(place)); err != nil {
			return status.FromContextError(err).Err()
		}
		if err := stream.Send(k.message(place)); err != nil {
			return err
		}
	}
}

// Get says how many Watch RPCs are running.
func (b *backend) Get(context.Context, *testv1.GetRequest) (*testv1.GetResponse, error) {
	return &testv1.GetResponse{Kinds: &testv1.Kinds{Int64Value: b.running.Load()}}, nil
}

// until waits for a moment.
func until(ctx context.Context, moment time.Time) error {
	wait := time.Until(moment)
	if wait <= 0 {
		return ctx.Err()
	}
	return pause(ctx, wait)
}

// pause waits for a while.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
