// Relay is the least that carrying a gRPC stream to a socket takes: grpc-go's
// client as it is, and a write of the event for each message. There is no HTTP
// server, no resuming and no sharing.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ssebridge/ssebridge/bench/internal/event"
	"github.com/ssebridge/ssebridge/bench/internal/publish"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

const response = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"

func main() {
	backend := flag.String("backend", "127.0.0.1:50051", "address of the gRPC server")
	options := publish.Parse(os.Args[1:])
	publish.Main(func(ctx context.Context) error { return run(ctx, options.Listen, *backend) })
}

// run serves until ctx is done, and joins what it has started.
func run(ctx context.Context, listen, backend string) error {
	connection, err := grpc.NewClient(backend, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // the program ends
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() }) // Accept then says so
	defer stop()
	r := relay{testv1.NewFeedServiceClient(connection)}
	var running sync.WaitGroup
	defer running.Wait()
	for {
		client, err := listener.Accept()
		if err != nil {
			return context.Cause(ctx) // nil, but for the listener's end
		}
		running.Go(func() {
			_ = r.serve(ctx, client) // a client that is gone, or the end
			_ = client.Close()
		})
	}
}

// relay serves clients.
type relay struct {
	backend testv1.FeedServiceClient
}

// serve carries an RPC to a client until one of the two ends.
func (r relay) serve(ctx context.Context, client net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.ReadRequest(bufio.NewReaderSize(client, 1024))
	if err != nil {
		return err
	}
	stream, err := r.backend.Watch(ctx, &testv1.WatchRequest{Topic: strings.TrimPrefix(request.URL.Path, "/")})
	if err != nil {
		return err
	}
	if _, err := client.Write([]byte(response)); err != nil {
		return err
	}
	var chunk []byte
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		place := uint64(message.GetSeq()) //nolint:gosec // a place
		sent, err := moment(message)
		if err != nil {
			return err
		}
		chunk = event.AppendChunk(chunk[:0], place, sent)
		if _, err := client.Write(chunk); err != nil {
			return err
		}
	}
}

// moment returns when a message was sent.
func moment(message *testv1.FeedEvent) (sent time.Time, err error) {
	var parser event.Parser
	found := false
	parser.Feed([]byte(message.GetCursor()), func(_ uint64, at int64) { sent, found = time.Unix(0, at), true })
	if !found {
		return sent, fmt.Errorf("no stamp: %q", message.GetCursor())
	}
	return sent, nil
}
