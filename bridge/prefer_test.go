package bridge_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// TestDrainingBridgePassesRequestsOn: a proxy that has other bridges to ask, and says so, gets 503 from a bridge that drains,
// at once. All others are served until the delay is over.
func TestDrainingBridgePassesRequestsOn(t *testing.T) {
	inWorld(t, "drain: {delay: 5s, grace: 5s}\n"+feedRoute(""), func(t *testing.T, w *world) {
		const prefer = "respond-async, Drain=Status"
		before := w.listen("/feed", ssetest.Options{Header: http.Header{"Prefer": {prefer}}})
		w.rpc().count(1, 1)
		expect(t, before, "open 1") // a bridge that does not drain serves it

		drained := make(chan error, 1)
		go func() { drained <- w.Bridge.Drain(context.Background()) }()
		synctest.Wait()
		got := w.do(http.MethodGet, "/feed", "", "Prefer", prefer)
		if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "1" || !strings.Contains(got.Body, "the bridge drains") {
			t.Errorf("answered %d, Retry-After %q, %s", got.Status, got.Header.Get("Retry-After"), got.Body)
		}
		plain := w.listen("/feed", ssetest.Options{})
		expect(t, plain, "open")

		time.Sleep(6 * time.Second)
		if got := w.do(http.MethodGet, "/feed", "", "Prefer", prefer); got.Status != http.StatusServiceUnavailable {
			t.Errorf("answered %d while clients are asked to come back", got.Status)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}
