package upstream

import (
	"testing"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// BenchmarkReceive measures one 250-byte event from a backend in the same process to fn, including
// the backend's work.
func BenchmarkReceive(b *testing.B) {
	backend := backendtest.Start(b)
	event := &testv1.FeedEvent{Seq: 1 << 40, Payload: make([]byte, 240)}
	backend.OnWatch(func(_ *testv1.WatchRequest, stream watchServer) error {
		for {
			if err := stream.Send(event); err != nil {
				return err
			}
		}
	})
	u := connect(b, Params{Target: backend.Addr(), Schema: quiet()})
	s := watch(b, u, nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Next(discard); err != nil {
			b.Fatal(err)
		}
	}
	s.Close()
	backend.AwaitRunning(0)
}
