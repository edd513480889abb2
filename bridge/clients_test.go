package bridge_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sse "github.com/tmaxmax/go-sse"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// The shipped example bridges grpc.health.v1.Health/Watch, and its client sees a change.
func TestTheHealthExampleBridgesAnyBackend(t *testing.T) {
	b := backend(t)
	example, err := os.ReadFile("../examples/health.yaml")
	if err != nil {
		t.Fatal(err)
	}
	g := startWith(t, parse(t, strings.Replace(string(example), "127.0.0.1:50051", b.Target(), 1)), bridge.Options{})
	c := ssetest.Connect(t, g.URL+"/health?service=app", ssetest.Options{})
	c.AwaitMessages(1)
	b.Health.SetServingStatus("app", healthv1.HealthCheckResponse_NOT_SERVING)
	c.AwaitMessages(2)
	b.Health.SetServingStatus("app", healthv1.HealthCheckResponse_SERVING)
	var got []string
	for _, message := range c.AwaitMessages(3) {
		got = append(got, message.Data)
	}
	if want := `{"status":"SERVICE_UNKNOWN"} {"status":"NOT_SERVING"} {"status":"SERVING"}`; strings.Join(got, " ") != want {
		t.Errorf("the client saw %v, want %s", got, want)
	}
}

// cutting is a transport that cuts the bodies of its first responses after a number of bytes.
type cutting struct {
	http.RoundTripper
	after []int64
}

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.RoundTripper.RoundTrip(r)
	if err == nil && len(c.after) > 0 {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(response.Body, c.after[0]), broken{}), response.Body}
		c.after = c.after[1:]
	}
	return response, err
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// The library reads a stream, resumes where it is cut, and stops at the end.
func TestGoSSEResumesAndStopsAtTheEnd(t *testing.T) {
	onBoth(t, "heartbeat: {every: 1s}", func(t *testing.T, w *world) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://bridge/feed", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		var seen, ids []string
		var pauses []time.Duration
		client := &sse.Client{
			HTTPClient: &http.Client{Transport: &cutting{w.http1, []int64{130, 80, 20}}},
			OnRetry:    func(_ error, pause time.Duration) { pauses = append(pauses, pause) },
		}
		connection := client.NewConnection(request)
		connection.SubscribeToAll(func(event sse.Event) {
			name := event.Type
			if name == "" {
				name = seqOf.FindStringSubmatch(event.Data)[1]
			}
			seen, ids = append(seen, name), append(ids, canonical(event.LastEventID))
		})
		stopped := make(chan error, 1)
		go func() { stopped <- connection.Connect() }()

		rpc := w.rpc()
		for seq := range int64(9) {
			rpc.count(seq+1, seq+1)
			time.Sleep(2 * time.Second)
		}
		time.Sleep(10 * time.Second)
		rpc.end(nil)
		err = <-stopped
		synctest.Wait()

		// The last request is answered 204, which go-sse reports as an error.
		if failed := new(sse.ConnectionError); !errors.As(err, &failed) || failed.Reason != "response validation failed" {
			t.Errorf("the client stopped with %v", err)
		}
		var messages []string
		for i, name := range seen {
			switch {
			case !strings.HasPrefix(name, "stream-"):
				messages = append(messages, name)
			case name != "stream-open" && name != "stream-end":
				t.Errorf("the client saw %s", name)
			case name == "stream-end" && i != len(seen)-1:
				t.Errorf("the end came early: %v", seen)
			}
		}
		if got := strings.Join(messages, " "); got != "1 2 3 4 5 6 7 8 9" {
			t.Errorf("the client saw %v with the ids %v", seen, ids)
		}
		if last := ids[len(ids)-1]; !strings.HasSuffix(last, "9~end") {
			t.Errorf("the last id is %q", last)
		}
		for _, pause := range pauses {
			if pause < time.Second || pause > 6*time.Second {
				t.Errorf("the client waited %v; the reconnection times were %v", pause, pauses)
			}
		}
	})
}
