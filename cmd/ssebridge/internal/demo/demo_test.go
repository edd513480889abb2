package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// startDemo serves the whole demo until the test ends and returns where.
func startDemo(t *testing.T) (url string, d *Demo) {
	t.Helper()
	d, err := New(context.Background(), Params{})
	if err != nil {
		t.Fatal(err)
	}
	url = serveHTTP(t, &http.Server{Handler: d.Handler(), ConnContext: d.ConnContext, ReadHeaderTimeout: time.Minute})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return url, d
}

// serveHTTP serves on a port of its own until the test ends; then it cuts the
// remaining clients.
func serveHTTP(t *testing.T, server *http.Server) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// reconnect comes back until the server answers, as a browser does.
func reconnect(t *testing.T, client *ssetest.Client) {
	t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		client.Reconnect()
		seen := client.Await("an answer, or none", func(s ssetest.Snapshot) bool { return s.Status != 0 || s.Ended != nil })
		if seen.Status != 0 {
			return
		}
		select {
		case <-again.C:
		case <-t.Context().Done():
			t.Fatal("the cut does not end")
		}
	}
}

// wantCounts checks that clock events are counted without a hole and without a double.
func wantCounts(t *testing.T, events []ssetest.Event) {
	t.Helper()
	last := 0
	for _, event := range events {
		var tick struct {
			Count int `json:"count,string"`
		}
		if err := json.Unmarshal([]byte(event.Data), &tick); err != nil {
			t.Fatal(err)
		}
		if last != 0 && tick.Count != last+1 {
			t.Fatalf("%d after %d", tick.Count, last)
		}
		last = tick.Count
	}
}

func TestDemoClockResumesAfterACut(t *testing.T) {
	url, _ := startDemo(t)
	client := ssetest.Connect(t, url+"/clock?page="+pageA, ssetest.Options{})
	client.AwaitMessages(2)

	answer, err := http.Post(url+"/demo/cut?seconds=2&page="+pageA, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusNoContent {
		t.Fatalf("%d, %v", answer.StatusCode, err)
	}
	if err := client.AwaitEnd(); err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("the stream ended with %v, want a cut", err)
	}
	reconnect(t, client)
	client.AwaitMessages(5)

	seen := client.Snapshot()
	if seen.Gaps != 0 {
		t.Fatalf("%d gaps\n%s", seen.Gaps, seen)
	}
	wantCounts(t, seen.Messages())
}

func TestDemoChatSharesItsHistory(t *testing.T) {
	url, _ := startDemo(t)
	first := ssetest.Connect(t, url+"/rooms/somewhere/events", ssetest.Options{})
	first.AwaitStatus()
	for _, text := range []string{"one", "two"} {
		answer, err := http.Post(url+"/rooms/somewhere/messages", "application/json",
			strings.NewReader(`{"author":"Ada","text":"`+text+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v", answer.StatusCode, err)
		}
	}
	first.AwaitMessages(2)

	second := ssetest.Connect(t, url+"/rooms/somewhere/events", ssetest.Options{})
	for i, event := range second.AwaitMessages(2) {
		if want := []string{"1", "2"}[i]; event.ID != want || event.Name != "message" {
			t.Errorf("event %d is %s %q", i, event.Name, event.ID)
		}
	}
}

func TestDemoTokensEndForGood(t *testing.T) {
	url, _ := startDemo(t)
	client := ssetest.Connect(t, url+"/tokens?prompt=hello&max_tokens=5&delay=0.01s", ssetest.Options{})
	client.AwaitMessages(5)
	client.AwaitNamed("stream-end", 0)
	if err := client.AwaitEnd(); !errors.Is(err, io.EOF) {
		t.Fatalf("ended with %v, want a clean end", err)
	}
	client.Reconnect()
	if err := client.AwaitEnd(); client.Snapshot().Status != http.StatusNoContent {
		t.Fatalf("%d, %v; want 204", client.Snapshot().Status, err)
	}
}

func TestDemoCompletionsEndWithDone(t *testing.T) {
	url, _ := startDemo(t)
	client := ssetest.Connect(t, url+"/v1/completions", ssetest.Options{
		NoIDs: true, Literals: []string{"[DONE]"}, Method: http.MethodPost, Body: `{"prompt":"hello","maxTokens":2,"delay":"0s"}`,
	})
	if got := client.AwaitMessages(3)[2].Data; got != "[DONE]" {
		t.Fatalf("got %q last", got)
	}
}

// A stream is served as soon as its own route can be; the demo is ready when all are.
func TestDemoBecomesReady(t *testing.T) {
	_, d := startDemo(t)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for ctx := within(t); d.Ready() != nil; {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("not ready: %v", d.Ready())
		}
	}
}

func TestDemoDrainAsksClientsToComeBack(t *testing.T) {
	url, d := startDemo(t)
	client := ssetest.Connect(t, url+"/clock", ssetest.Options{})
	client.AwaitMessages(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := d.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if got := client.AwaitNamed("stream-retry", 0).Data; !strings.Contains(got, `"drain"`) {
		t.Fatalf("got %s", got)
	}
}

// The demo's configuration is shown as an example, so it must work as one.
func TestDemoConfigurationStandsAlone(t *testing.T) {
	file, err := config.Parse("demo.yaml", configYAML, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Config.Upstreams["demo"].Target; got != "127.0.0.1:50051" {
		t.Errorf("its backend is %q, not where `demo backend` is by default", got)
	}
}

// Browsers pause the page of a hidden tab. Each of its streams resumes for five minutes, since none of them has a cursor to resume at later.
func TestHiddenPagesResume(t *testing.T) {
	file, err := config.Parse("demo.yaml", configYAML, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	streams := 0
	for _, route := range file.Config.WithDefaults().Routes {
		if !slices.Contains(route.Methods, http.MethodGet) {
			continue
		}
		streams++
		if linger := time.Duration(*route.Replay.Linger); linger < 5*time.Minute {
			t.Errorf("%s lingers for %v", route.Path, linger)
		}
	}
	if streams != 4 {
		t.Errorf("the page has %d streams, want 4", streams)
	}
}
