package backendtest_test

import (
	"errors"
	"io"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(t *testing.T, backend *backendtest.Backend) testv1.FeedServiceClient {
	t.Helper()
	cc, err := grpc.NewClient(backend.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cc.Close(); err != nil {
			t.Error(err)
		}
	})
	return testv1.NewFeedServiceClient(cc)
}

// received returns the seqs of all events of a Watch, and the error that ended it.
func received(t *testing.T, client testv1.FeedServiceClient, req *testv1.WatchRequest) ([]int64, error) {
	t.Helper()
	stream, err := client.Watch(t.Context(), req, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	var seqs []int64
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return seqs, nil
		}
		if err != nil {
			return seqs, err
		}
		seqs = append(seqs, event.GetSeq())
	}
}

func TestFeed(t *testing.T) {
	backend := backendtest.Start(t)
	client := dial(t, backend)
	backend.Feed.Publish(&testv1.FeedEvent{}, &testv1.FeedEvent{}, &testv1.FeedEvent{Seq: 10}, &testv1.FeedEvent{})
	backend.Feed.End(nil)
	for _, c := range []struct {
		name string
		req  *testv1.WatchRequest
		want []int64
	}{
		{"live", &testv1.WatchRequest{}, nil},
		{"history", &testv1.WatchRequest{History: true}, []int64{1, 2, 10, 11}},
		{"after", &testv1.WatchRequest{After: 2}, []int64{10, 11}},
		{"after a seq that never was", &testv1.WatchRequest{After: 5}, []int64{10, 11}},
		{"after the newest", &testv1.WatchRequest{After: 11}, nil},
		{"limited", &testv1.WatchRequest{History: true, Limit: new(int32(1))}, []int64{1}},
		{"none", &testv1.WatchRequest{History: true, Limit: new(int32(0))}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := received(t, client, c.req)
			if err != nil || len(got) != len(c.want) {
				t.Fatalf("got %v, %v, want %v", got, err, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("got %v, want %v", got, c.want)
				}
			}
		})
	}
}

func TestFeedTrimmed(t *testing.T) {
	backend := backendtest.Start(t)
	client := dial(t, backend)
	for range 5 {
		backend.Feed.Publish(&testv1.FeedEvent{})
	}
	backend.Feed.Trim(2)
	backend.Feed.End(status.Error(codes.Aborted, "over"))
	if got, err := received(t, client, &testv1.WatchRequest{After: 1}); len(got) != 0 || status.Code(err) != codes.OutOfRange {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := received(t, client, &testv1.WatchRequest{After: 3}); len(got) != 2 || status.Code(err) != codes.Aborted {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestEventsPublishedAfterAwaitRunningArrive(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithUnixSocket())
	client := dial(t, backend)
	done := make(chan int, 1)
	go func() {
		got, err := received(t, client, &testv1.WatchRequest{})
		if err != nil {
			t.Error(err)
		}
		done <- len(got)
	}()
	backend.AwaitRunning(1)
	backend.Feed.Publish(&testv1.FeedEvent{})
	backend.Feed.End(nil)
	if n := <-done; n != 1 {
		t.Errorf("%d events", n)
	}
	backend.AwaitRunning(0)
	if backend.Opens() != 1 {
		t.Errorf("%d opens", backend.Opens())
	}
}

func TestRestartKeepsTheAddress(t *testing.T) {
	backend := backendtest.Start(t)
	backend.Feed.Publish(&testv1.FeedEvent{})
	backend.Feed.End(nil)
	addr := backend.Addr()
	for range 3 {
		backend.Restart()
		client := dial(t, backend) // one that has no connection to the life before
		if got, err := received(t, client, &testv1.WatchRequest{History: true}); err != nil || len(got) != 1 {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if backend.Addr() != addr {
		t.Errorf("moved from %s to %s", addr, backend.Addr())
	}
}
