package main

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// serve runs a backend whose newest message is that at a place.
func serve(t *testing.T, newest int64) testv1.FeedServiceClient {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	h := history{time.Now().Add(-time.Duration(newest)*time.Hour - time.Minute), time.Hour}
	testv1.RegisterFeedServiceServer(server, &backend{history: h, running: map[string]int64{}})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:backend", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return testv1.NewFeedServiceClient(conn)
}

// TestWatch: what an RPC begins with, and how it ends.
func TestWatch(t *testing.T) {
	const newest = 105
	feed := serve(t, newest)
	for _, c := range []struct {
		kind  string
		after int64
		texts []string // the first, and the last if there are two
		count int      // messages until the end, or until the client goes, which is Canceled
		code  codes.Code
	}{
		{kind: "exclusive", after: 100, texts: []string{"101", "105"}, count: 5, code: codes.Canceled},
		{kind: "exclusive", code: codes.Canceled},
		{kind: "own", texts: []string{"85", "105"}, count: 21, code: codes.Canceled},
		{kind: "hello", after: 100, texts: []string{"hello", "105"}, count: 6, code: codes.Canceled},
		{kind: "reopen", after: 60, texts: []string{"61", "80"}, count: 20, code: codes.OK},
		{kind: "trimmed", after: newest - kept, texts: []string{"66", "105"}, count: 40, code: codes.Canceled},
		{kind: "trimmed", after: newest - kept - 1, code: codes.OutOfRange},
		{kind: "trimmedinband", after: newest - kept - 1, texts: []string{""}, count: 1, code: codes.OK},
		{kind: "nonsense", code: codes.NotFound},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := feed.Watch(ctx, &testv1.WatchRequest{Topic: c.kind + "-0", After: c.after})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for err == nil {
			if len(texts) == c.count && c.code == codes.Canceled {
				cancel()
			}
			var event *testv1.FeedEvent
			if event, err = stream.Recv(); err == nil {
				texts = append(texts, event.GetNote().GetText())
			}
		}
		cancel()
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if status.Code(err) != c.code || len(texts) != c.count {
			t.Fatalf("%s after %d: %d messages, then %v", c.kind, c.after, len(texts), err)
		}
		if c.count > 0 && (texts[0] != c.texts[0] || texts[c.count-1] != c.texts[len(c.texts)-1]) {
			t.Errorf("%s after %d: %q", c.kind, c.after, texts)
		}
	}
}

// TestRunning: the backend knows how many RPCs of a kind there are.
func TestRunning(t *testing.T) {
	feed := serve(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := feed.Watch(ctx, &testv1.WatchRequest{Topic: "exclusive-0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	running := func(kind string) int64 {
		got, err := feed.Get(t.Context(), &testv1.GetRequest{Name: kind})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetKinds().GetInt64Value()
	}
	if n, others := running("exclusive"), running("sparse"); n != 1 || others != 0 {
		t.Errorf("%d RPCs are running, and %d of another kind", n, others)
	}
	cancel()
	for running("exclusive") > 0 {
		if t.Context().Err() != nil {
			t.Fatal("an RPC that was cancelled is still counted")
		}
	}
}
