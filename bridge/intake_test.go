package bridge_test

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/grpc"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// While others use the whole intake, a client's large message is not received from its backend.
// Other clients of the same connection get small ones.
func TestLargeMessagesWaitForTheIntake(t *testing.T) {
	b := backend(t)
	b.OnWatch(func(request *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
		event := &testv1.FeedEvent{Seq: 1}
		if request.GetTopic() == "large" {
			event.Payload = bytes.Repeat([]byte("x"), 3<<20)
		}
		if err := stream.Send(event); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	})
	g := start(t, b.Target(), "  - {path: '/feed/{topic}', rpc: "+watch+", upstream: app, open_grace: 0s}\n")
	first := ssetest.Connect(t, g.URL+"/feed/first", ssetest.Options{})
	first.AwaitMessages(1) // now the schema is known
	const others = 16 << 20
	g.Bridge.Intake("app").Add(others)
	large := ssetest.Connect(t, g.URL+"/feed/large", ssetest.Options{})
	large.AwaitEvents(1)
	b.AwaitRunning(2)
	for i := range 50 { // for longer than the large message would take
		ssetest.Connect(t, fmt.Sprintf("%s/feed/small%d", g.URL, i), ssetest.Options{}).AwaitMessages(1)
	}
	if got := scrape(t, g.Bridge)[`ssebridge_messages_received_total{route="/feed/{topic}"}`]; got != 51 {
		t.Errorf("%v messages are received, want the 51 small ones", got)
	}
	g.Bridge.Intake("app").Done(others)
	large.AwaitMessages(1)
}
