package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

const (
	// every is the time between two messages of a stream.
	every = 100 * time.Millisecond
	// largeText makes a message of 3 MB.
	largeText = 3 << 20
)

// backend has streams whose messages are numbered by the times at which they are due, so
// that it can resume at any cursor.
type backend struct {
	testv1.UnimplementedFeedServiceServer

	text string // of large messages
}

// runBackend serves until it is killed.
func runBackend(args []string) error {
	flags := flag.NewFlagSet("backend", flag.ExitOnError)
	listen := flags.String("listen", "", "address")
	_ = flags.Parse(args) // exits on errors
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *listen)
	if err != nil {
		return fmt.Errorf("backend: %w", err)
	}
	server := grpc.NewServer(grpc.MaxConcurrentStreams(10_000), grpc.ForceServerCodecV2(newCodec()))
	testv1.RegisterFeedServiceServer(server, backend{text: strings.Repeat("x", largeText)})
	reflection.Register(server)
	return server.Serve(listener)
}

// due returns when a message is due.
func due(seq int64) time.Time { return time.UnixMilli(seq * every.Milliseconds()) }

// Watch sends a topic's messages after the cursor, or from now on. They are large where the
// topic begins with "large"; where it begins with "silent" there are none.
func (b backend) Watch(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	if strings.HasPrefix(request.GetTopic(), "silent") {
		<-stream.Context().Done()
		return status.FromContextError(stream.Context().Err()).Err()
	}
	text := ""
	if strings.HasPrefix(request.GetTopic(), "large") {
		text = b.text
	}
	seq := request.GetAfter()
	if seq == 0 {
		seq = time.Now().UnixMilli() / every.Milliseconds()
	}
	for {
		seq++
		timer := time.NewTimer(time.Until(due(seq)))
		select {
		case <-timer.C:
		case <-stream.Context().Done():
			timer.Stop()
			return status.FromContextError(stream.Context().Err()).Err()
		}
		if err := stream.Send(&testv1.FeedEvent{Seq: seq, Cursor: text}); err != nil {
			return err
		}
	}
}

// Get answers with 3 MB to a name that begins with "large".
func (b backend) Get(_ context.Context, request *testv1.GetRequest) (*testv1.GetResponse, error) {
	name := request.GetName()
	if strings.HasPrefix(name, "large") {
		name = b.text
	}
	return &testv1.GetResponse{Name: name}, nil
}

// Put answers with nothing.
func (backend) Put(context.Context, *testv1.PutRequest) (*testv1.PutResponse, error) {
	return &testv1.PutResponse{}, nil
}
