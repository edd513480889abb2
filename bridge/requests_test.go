package bridge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// requestsMoved returns by how much the counters of requests have grown, by route and status.
func requestsMoved(before, after map[string]float64) map[string]float64 {
	found := map[string]float64{}
	for name, value := range moved(before, after) {
		if labels, ok := strings.CutPrefix(name, "requests_total"); ok {
			found[labels] = value
		}
	}
	return found
}

// This includes answers that stop an EventSource forever, of routes and of unknown paths, over HTTP/1.1 and HTTP/2.
func TestRequestsAreCountedByStatus(t *testing.T) {
	for _, h2c := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2c %v", h2c), func(t *testing.T) {
			inWorld(t, fewRoutes, func(t *testing.T, w *world) {
				before := scrape(t, w.Bridge)
				w.do(http.MethodGet, "/things/a", "")
				w.do(http.MethodGet, "/wrong/path", "")
				w.do(http.MethodGet, "/another", "")
				w.do(http.MethodDelete, "/feeds/a", "")
				w.do(http.MethodGet, "/feeds/a?limit=x", "")
				w.do(http.MethodGet, "/feeds/a", "", "Last-Event-ID", sse.FinalID(""))
				w.do(http.MethodHead, "/feeds/a", "")
				c := w.listen("/feeds/a", ssetest.Options{H2C: h2c})
				w.rpc().accept()
				c.AwaitStatus()
				refused := w.listen("/feeds/b", ssetest.Options{H2C: h2c})
				w.rpc().end(status.Error(codes.PermissionDenied, "not you"))
				_ = refused.AwaitEnd()
				synctest.Wait()
				want := map[string]float64{
					`{route="/things/{name}",status="200"}`: 1,
					`{route="unmatched",status="404"}`:      2,
					`{route="unmatched",status="405"}`:      1,
					`{route="/feeds/{topic}",status="400"}`: 1,
					`{route="/feeds/{topic}",status="204"}`: 1,
					`{route="/feeds/{topic}",status="200"}`: 2,
					`{route="/feeds/{topic}",status="403"}`: 1,
				}
				if diff := cmp.Diff(want, requestsMoved(before, scrape(t, w.Bridge))); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// The time is from the request to the answer.
func TestUnaryCallsAreTimed(t *testing.T) {
	inWorld(t, fewRoutes, func(t *testing.T, w *world) {
		w.do(http.MethodGet, "/things/a", "")
		if n := scrape(t, w.Bridge)[`ssebridge_unary_seconds{route="/things/{name}"}`]; n != 1 {
			t.Errorf("%v calls are timed, want one", n)
		}
	})
}
