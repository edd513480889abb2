package bridge_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// Headers and targets are.
func TestRequestsAreFreedBeforeTheirStreamsEnd(t *testing.T) {
	for name, tls := range map[string]bool{"h2c": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			g := start(t, backend(t).Target(), "  - {path: /feed, rpc: "+watch+", upstream: app}\n")
			var target weak.Pointer[url.URL]
			var header weak.Pointer[string]
			seen := make(chan struct{})
			server := httptest.NewUnstartedServer(bridge.ReleaseRequests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				target, header = weak.Make(r.URL), weak.Make(&r.Header["X-Large"][0])
				close(seen)
				g.Bridge.ServeHTTP(w, r)
			})))
			server.EnableHTTP2 = tls
			if tls {
				server.StartTLS()
			} else {
				server.Config.Protocols = protocols(false, true)
				server.Start()
			}
			defer server.Close()
			transport, _ := server.Client().Transport.(*http.Transport)
			if !tls {
				transport = &http.Transport{Protocols: protocols(false, true)}
			}
			defer transport.CloseIdleConnections()
			client := ssetest.Connect(t, server.URL+"/feed", ssetest.Options{
				Transport: transport, Header: http.Header{"X-Large": {strings.Repeat("x", 10_000)}},
			})
			defer client.Close()
			<-seen
			eventually(t, "the stream to begin", func() bool { return len(client.Snapshot().Events) > 0 })
			eventually(t, "the request to be collected", func() bool {
				runtime.GC()
				return target.Value() == nil && header.Value() == nil
			})
		})
	}
}
