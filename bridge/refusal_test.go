package bridge_test

import (
	"net/http"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// connect-go sends headers before it handles the request, and a grpc-go server may do so. A refusal
// that follows at once is a status every time.
func TestARefusalBehindHeadersIsAStatus(t *testing.T) {
	back := backend(t)
	back.OnWatch(func(_ *testv1.WatchRequest, stream grpc.ServerStreamingServer[testv1.FeedEvent]) error {
		if err := stream.SendHeader(metadata.Pairs("x-server", "early")); err != nil {
			return err
		}
		return status.Error(codes.NotFound, "no such topic")
	})
	likeConnect := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "no such topic")
	}
	for name, answer := range map[string]http.HandlerFunc{"grpc-go": nil, "net/http": likeConnect} {
		for _, share := range []string{"false", "true"} {
			for _, prefer := range []string{"", "status"} {
				t.Run(name+", share: "+share+", Prefer: "+prefer, func(t *testing.T) {
					m := backendtest.StartIntermediary(t, back, nil)
					g := startWith(t, parse(t, "upstreams: {app: {target: '"+m.Addr()+"'}}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n"+
						"  - {path: '/feed/{topic}', rpc: "+watch+", upstream: app, share: "+share+", open_grace: 30s}\n"), bridge.Options{})
					do(t, http.MethodGet, g.URL+"/feed/first", "") // loads the schema
					if answer != nil {
						m.Answer(answer)
					}
					var requests sync.WaitGroup
					for range 5 {
						requests.Go(func() {
							for range 30 {
								got := do(t, http.MethodGet, g.URL+"/feed/a", "", "Prefer", prefer)
								if got.Status != http.StatusNotFound || got.Body != `{"code":5,"message":"no such topic"}`+"\n" {
									t.Errorf("got %d %q", got.Status, got.Body)
									return
								}
							}
						})
					}
					requests.Wait()
				})
			}
		}
	}
}
