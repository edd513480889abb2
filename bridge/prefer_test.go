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

// The proxy has the preference drain=status. All other requests are served until the delay is over.
func TestADrainingBridgeAnswers503ToAProxyWithOtherBridges(t *testing.T) {
	inWorld(t, "drain: {delay: 5s, grace: 5s}\n"+feedRoute(""), func(t *testing.T, w *world) {
		const prefer = "respond-async, Drain=Status"
		before := w.listen("/feed", ssetest.Options{Header: http.Header{"Prefer": {prefer}}})
		w.rpc().count(1, 1)
		expect(t, before, "open 1") // a bridge that does not drain ignores the preference

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
			t.Errorf("answered %d while clients are asked to reconnect", got.Status)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// A proxy sends no POST to a second bridge, so a bridge that drains serves it, and unary calls of any method.
func TestADrainingBridgeServesRequestsThatProxiesDoNotRetry(t *testing.T) {
	const settings = "drain: {delay: 5s, grace: 5s}\nroutes: [{path: /feed, methods: [GET, POST], rpc: " + watch + ", upstream: app}, " +
		"{path: /put, methods: [POST], rpc: ssebridge.test.v1.FeedService/Put, upstream: app}, " +
		"{path: /get, rpc: ssebridge.test.v1.FeedService/Get, upstream: app, request: {query: true}}]"
	inWorld(t, settings, func(t *testing.T, w *world) {
		w.Stage.watch = numbers(1, nil)
		drained := make(chan error, 1)
		go func() { drained <- w.Bridge.Drain(context.Background()) }()
		synctest.Wait()
		answers := func(when, feed string) {
			t.Helper()
			for _, call := range []struct{ method, path, want string }{
				{http.MethodPost, "/feed", feed},
				{http.MethodPost, "/put", `{"name":"x"}`},
				{http.MethodGet, "/get?name=x", `{"name":"x"}`},
			} {
				body := ""
				if call.method == http.MethodPost {
					body = "{}"
				}
				if call.path == "/put" {
					body = call.want
				}
				got := w.do(call.method, call.path, body, "Prefer", "drain=status", "Accept", "*/*, text/event-stream")
				if got.Status != http.StatusOK || !strings.Contains(got.Body, call.want) {
					t.Errorf("%s: %s %s is answered %d %s", when, call.method, call.path, got.Status, got.Body)
				}
			}
			if got := w.do(http.MethodGet, "/feed", "", "Prefer", "drain=status"); got.Status != http.StatusServiceUnavailable {
				t.Errorf("%s: a stream that can be passed on is answered %d", when, got.Status)
			}
		}
		answers("in the delay", `"seq":"1"`)
		time.Sleep(6 * time.Second)
		keeper := w.Bridge.Clients()
		answers("while clients are asked to come back", `{"reason":"drain"}`)
		if keeper != 0 {
			t.Errorf("%d clients", keeper)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// With drain.alone there is no other bridge. A page that connects while the bridge drains is asked
// to reconnect, and does not get a status that would stop it.
func TestALoneBridgeIgnoresTheProxysPreference(t *testing.T) {
	inWorld(t, "drain: {alone: true, delay: 2s, grace: 2s}\n"+feedRoute(""), func(t *testing.T, w *world) {
		drained := make(chan error, 1)
		go func() { drained <- w.Bridge.Drain(context.Background()) }()
		t.Cleanup(func() {
			if err := <-drained; err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		prefer := http.Header{"Prefer": {"drain=status"}}
		served := w.listen("/feed", ssetest.Options{Header: prefer})
		time.Sleep(time.Second)
		expect(t, served, "open")
		time.Sleep(2 * time.Second) // the delay is over
		late := w.listen("/feed", ssetest.Options{Header: prefer})
		expect(t, late, "open retry:drain")
	})
}
