package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// connectionGrace is how long the RPCs of a connection that is old go on.
const connectionGrace = time.Second

// backend answers Watch from a history.
type backend struct {
	testv1.UnimplementedFeedServiceServer

	history history

	mu      sync.Mutex
	running map[string]int64 // Watch RPCs, by kind
}

// runBackend serves until it is killed.
func runBackend(args []string) error {
	flags := flag.NewFlagSet("backend", flag.ExitOnError)
	listen := flags.String("listen", "", "address")
	start := flags.Int64("start", 0, "the moment of place 0, in Unix nanoseconds")
	every := flags.Duration("every", 0, "the time between two messages")
	// As behind a balancer: a GOAWAY, and a moment later the RPCs are cut.
	age := flags.Duration("age", 0, "after which time a connection is ended; 0 is never")
	_ = flags.Parse(args) // exits on errors
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *listen)
	if err != nil {
		return fmt.Errorf("backend: %w", err)
	}
	server := grpc.NewServer(grpc.KeepaliveParams(keepalive.ServerParameters{
		MaxConnectionAge: *age, MaxConnectionAgeGrace: connectionGrace,
	}))
	testv1.RegisterFeedServiceServer(server, &backend{history: history{time.Unix(0, *start), *every}, running: map[string]int64{}})
	reflection.Register(server)
	return server.Serve(listener)
}

// Watch sends a topic's messages, each when it is due: behind the cursor, or
// those of the past that the kind begins with, or from now on.
func (b *backend) Watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	k, ok := kindOf(request.GetTopic())
	if !ok {
		return status.Error(codes.NotFound, "no such topic")
	}
	b.runs(k.name, 1)
	defer b.runs(k.name, -1)
	place, resumes := k.after(request)
	if resumes && k.trims != keepsAll && b.history.trimmed(place, time.Now()) {
		return k.refuse(stream)
	}
	if !resumes {
		place = k.begin(b.history, time.Now())
	}
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	if k.hello {
		if err := stream.Send(helloMessage()); err != nil {
			return err
		}
	}
	return b.play(k, place, stream)
}

// play sends a topic's messages from a place on.
func (b *backend) play(k kind, place int64, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	for ; ; place++ {
		if err := until(stream.Context(), b.history.due(place)); err != nil {
			return status.FromContextError(err).Err()
		}
		if err := stream.Send(k.message(place)); err != nil {
			return err
		}
		if k.ends && place%lap == 0 {
			return nil
		}
	}
}

// begin is the place of the first message of an RPC without a cursor.
func (k kind) begin(h history, now time.Time) int64 {
	if k.history {
		return max(1, h.newest(now)-before)
	}
	return h.newest(now) + 1
}

// refuse says that the cursor is too old.
func (k kind) refuse(stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	if k.trims == trimsField {
		return stream.Send(&testv1.FeedEvent{Body: &testv1.FeedEvent_Alarm{Alarm: &testv1.Alarm{Text: "trimmed"}}})
	}
	return status.Error(codes.OutOfRange, "trimmed")
}

func (b *backend) runs(name string, more int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running[name] += more
}

// Get says how many Watch RPCs of a kind are running.
func (b *backend) Get(_ context.Context, request *testv1.GetRequest) (*testv1.GetResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &testv1.GetResponse{Kinds: &testv1.Kinds{Int64Value: b.running[request.GetName()]}}, nil
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
