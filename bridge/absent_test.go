package bridge_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// twoUpstreams is a configuration with an upstream that is up and one that is absent.
func twoUpstreams(there, away, keys string) string {
	return `
upstreams:
  app: {target: '` + there + `'}
  away: {target: '` + away + `', open_timeout: 100ms` + keys + `}
drain: {delay: 0s, grace: 0s}
routes:
  - {path: /feed, rpc: ` + watch + `, upstream: app}
  - {path: /away, rpc: ` + watch + `, upstream: away}
`
}

// The clients of an absent backend are asked to reconnect until it is up.
func TestAnAbsentUpstreamDoesNotMakeTheBridgeUnready(t *testing.T) {
	b, away := backend(t), backend(t)
	away.Stop()
	g := startWith(t, parse(t, twoUpstreams(b.Target(), away.Target(), "")), bridge.Options{})
	code, text := 0, ""
	for until := time.Now().Add(20 * time.Second); code != http.StatusOK && time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		code, text = probe(g.Bridge.Admin(), "/readyz")
	}
	if code != http.StatusOK || text != "ready\nthe schema is not known yet of: away\n" {
		t.Errorf("/readyz says %d %q", code, text)
	}
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	b.AwaitRunning(1)
	b.Feed.Publish(&testv1.FeedEvent{Kind: "k"})
	c.AwaitMessages(1)
	waiting := ssetest.Connect(t, g.URL+"/away", ssetest.Options{})
	if err := waiting.AwaitEnd(); err == nil || !strings.HasSuffix(story(waiting.Snapshot()), "retry:upstream") {
		t.Errorf("a client of the absent upstream saw %s, %v", story(waiting.Snapshot()), err)
	}
	away.Restart()
	for waiting.Reconnect(); waiting.Snapshot().Ended == nil && away.Running() == 0; {
		time.Sleep(time.Millisecond)
		if waiting.Snapshot().Ended != nil {
			waiting.Reconnect()
		}
	}
	away.AwaitRunning(1)
}

func TestTheBridgeIsUnreadyUntilARequiredUpstreamIsUp(t *testing.T) {
	b, away := backend(t), backend(t)
	away.Stop()
	g := startWith(t, parse(t, twoUpstreams(b.Target(), away.Target(), ", required: true")), bridge.Options{})
	ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	b.AwaitRunning(1)
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if err := g.Bridge.Ready(); err == nil || err.Error() != "the schema is not known yet of: away" && err.Error() != "the schema is not known yet of: app, away" {
			t.Fatalf("ready without the required upstream: %v", err)
		}
	}
	away.Restart()
	for until := time.Now().Add(20 * time.Second); g.Bridge.Ready() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal(g.Bridge.Ready())
		}
	}
}

// While the backend is absent, an attempt fails at once and does not take open_timeout.
func TestAttemptsAreSpacedByTheReconnectDelay(t *testing.T) {
	b := backend(t)
	g := startWith(t, parse(t, `
upstreams:
  app: {target: '`+b.Target()+`', reconnect: {initial: 10ms, max: 50ms, attempts: 3}}
drain: {delay: 0s, grace: 0s}
routes:
  - {path: /feed, rpc: `+watch+`, upstream: app, event: {id: seq}, resume: {field: after}}
`), bridge.Options{})
	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{})
	b.AwaitRunning(1)
	b.Feed.Publish(&testv1.FeedEvent{Kind: "k"})
	c.AwaitMessages(1)
	b.Stop()
	began := time.Now()
	if err := c.AwaitEnd(); err == nil || !strings.HasSuffix(story(c.Snapshot()), "retry:upstream") {
		t.Errorf("the client saw %s, %v", story(c.Snapshot()), err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("three attempts took %v", took)
	}
}
