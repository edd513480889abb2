package bridge_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/ssebridge/ssebridge/bridge"
)

// An ingress that is missing in trusted_proxies has one address for all of its clients, and must not lock them out.
func TestTheDefaultOfOpensPerIPAppliesToAClientsOwnAddress(t *testing.T) {
	const topics = 600 // the burst is 200
	for name, test := range map[string]struct {
		trusted string
		bounded bool
	}{
		"a proxy that is trusted":        {"trusted_proxies: [127.0.0.1]\n", true},
		"an ingress that is not trusted": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := backend(t)
			g := startWith(t, parse(t, test.trusted+"upstreams:\n  app: {target: '"+b.Target()+"'}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n"+
				"  - {path: /feed, rpc: "+watch+", upstream: app, open_grace: 0s, replay: {linger: 0s}, request: {query: [topic]}}\n"), bridge.Options{})
			transport, shed := from(t, "127.0.0.1", false), 0
			for i := range topics {
				ctx, leave := context.WithCancel(t.Context())
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/feed?topic=%d", g.URL, i), http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Prefer", "status")
				request.Header.Set("X-Forwarded-For", "203.0.113.5")
				response, err := transport.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				switch response.StatusCode {
				case http.StatusOK:
				case http.StatusServiceUnavailable:
					shed++
				default:
					t.Fatalf("answered %d", response.StatusCode)
				}
				leave()
				_ = response.Body.Close()
			}
			if (shed > 0) != test.bounded || topics-shed < 200 {
				t.Errorf("%d of %d clients are shed", shed, topics)
			}
		})
	}
}
