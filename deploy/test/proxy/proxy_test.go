package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// onFronts runs a test behind each proxy, with a stage of its own.
func onFronts(t *testing.T, test func(t *testing.T, b *bridge, public string)) {
	for _, f := range fronts() {
		t.Run(f.name, func(t *testing.T) {
			s := newStage(t, 1, 0, 0)
			public := bridgetest.FreeAddress(t)
			f.start(t, public, s.bridges)
			test(t, s.bridges[0], "http://"+public)
			if log := s.bridges[0].process.Output(); strings.Contains(log, "HTTP/1.0") {
				t.Errorf("the bridge is asked by HTTP/1.0:\n%s", log)
			}
		})
	}
}

// Every event is read before the next one is sent, and there are no heartbeats: an event that the
// proxy holds back never arrives. Compressed and plain.
func TestEventsArriveAtOnce(t *testing.T) {
	onFronts(t, func(t *testing.T, b *bridge, public string) {
		for _, encoding := range []string{"identity", "gzip"} {
			l := listen(t, public+"/rooms/quiet/events", "Accept-Encoding", encoding)
			if got := l.header.Get("Content-Encoding"); (got == "gzip") != (encoding == "gzip") {
				t.Errorf("%s was asked for, %q came", encoding, got)
			}
			l.want(t, "stream-open", "{}")
			for i := range 20 {
				text := fmt.Sprintf("%s %d.", encoding, i)
				b.say(t, "quiet", text)
				l.want(t, "message", text)
			}
			l.leave()
		}
	})
}

// A client that comes back is resumed where it was: its id gets to the bridge.
func TestLastEventIDGetsThrough(t *testing.T) {
	onFronts(t, func(t *testing.T, b *bridge, public string) {
		for i := range 5 {
			b.say(t, "quiet", fmt.Sprintf("said %d.", i+1))
		}
		l := listen(t, public+"/rooms/quiet/events", "Last-Event-ID", "2")
		l.want(t, "stream-open", "{}")
		for i := 3; i <= 5; i++ {
			l.want(t, "message", fmt.Sprintf("said %d.", i))
		}
	})
}

// The backend gets the address of a client, and the end of its RPC when the client leaves.
func TestDisconnectsReachTheBackend(t *testing.T) {
	onFronts(t, func(t *testing.T, b *bridge, public string) {
		watcher := listen(t, "http://"+b.address+"/rooms/quiet/events")
		watcher.want(t, "stream-open", "{}")
		client := listen(t, public+"/rooms/quiet/visit", "X-Forwarded-For", "203.0.113.9")
		joined := watcher.want(t, "joined", "127.0.0.1")
		if strings.HasSuffix(joined.data, `"203.0.113.9"}}`) {
			t.Errorf("the last address is the one that the client made up: %s", joined.data)
		}
		client.leave()
		if strings.HasSuffix(t.Name(), "/Apache") {
			checkGoneAfterEvents(t, b, watcher)
			return
		}
		watcher.want(t, "left", "127.0.0.1")
	})
}

// checkGoneAfterEvents: Apache does not look at a client while it waits for the bridge. It finds that the client has left when it
// passes an event or a heartbeat on: the first is still taken by the kernel, a later one fails.
func checkGoneAfterEvents(t testing.TB, b *bridge, watcher *listener) {
	t.Helper()
	for n := range 20 {
		b.say(t, "quiet", fmt.Sprintf("is somebody there? %d", n))
		switch e, ok := watcher.next(); {
		case !ok:
			t.Fatal(watcher.lines.Err())
		case e.name == "left":
			return
		}
	}
	t.Error("20 events were passed on, and the client that left is still there")
}

// The bridge is killed and comes back. Meanwhile the proxy asks a browser to reconnect, with a status that does
// not stop it; then the browser resumes where it was.
func TestBridgeRestartsBehindAProxy(t *testing.T) {
	onFronts(t, func(t *testing.T, b *bridge, public string) {
		url := public + "/rooms/quiet/events"
		l := listen(t, url)
		l.want(t, "stream-open", "{}")
		b.say(t, "quiet", "before")
		last := l.want(t, "message", "before")

		b.process.Kill(t)
		for e, ok := l.next(); ok; e, ok = l.next() {
			t.Errorf("from a bridge that is dead: %+v", e)
		}
		checkAway(t, url)

		b.start(t)
		b.say(t, "quiet", "after")
		var back *listener
		bridgetest.Until(t, "the proxy to find the bridge", func() bool {
			back = listen(t, url, "Last-Event-ID", last.id) // as an EventSource does when its stream has ended
			e, ok := back.next()
			return ok && e.name == "stream-open"
		})
		back.want(t, "message", "after")
	})
}

// The only bridge drains, ends and is started again. Whenever a page comes meanwhile, it is answered by an event stream with the status
// 200: also while the bridge answers 503 to the proxy, which has no other bridge to ask.
func TestTheOnlyBridgeDrainsBehindAProxy(t *testing.T) {
	t.Parallel()
	for _, f := range fronts() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1, 2*time.Second, time.Second)
			b, public := s.bridges[0], bridgetest.FreeAddress(t)
			f.start(t, public, s.bridges)
			url := "http://" + public + "/rooms/quiet/events"
			listen(t, url).want(t, "stream-open", "{}")

			b.process.Signal(t, syscall.SIGTERM)
			for began := time.Now(); time.Since(began) < 4*time.Second; time.Sleep(20 * time.Millisecond) {
				checkOpens(t, url)
			}
			b.process.AwaitEnd(t)
			checkOpens(t, url)
			b.start(t)
			for range 10 {
				checkOpens(t, url)
			}
		})
	}
}

// checkOpens opens a page's stream, and wants an answer that does not stop an EventSource.
func checkOpens(t testing.TB, url string) {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), bridgetest.Patience)
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // it was left, or cut
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("a page is answered %s, %s", answer.Status, kind)
	}
}

// checkAway checks what a proxy says while its bridge is away.
func checkAway(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bridgetest.Patience)
	defer cancel()
	for accept, want := range map[string][]int{
		"text/event-stream": {http.StatusOK},
		"application/json":  {http.StatusBadGateway, http.StatusServiceUnavailable},
	} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(want, answer.StatusCode) {
			t.Errorf("%s: %s, want one of %d", accept, answer.Status, want)
		}
		if body := string(content); want[0] == http.StatusOK && (answer.Header.Get("Content-Type") != accept ||
			strings.Contains(body, "\n\n") || !strings.HasSuffix(body, "\nretry: 2000\n")) {
			t.Errorf("%s: %s %q", accept, answer.Header.Get("Content-Type"), body)
		}
	}
}

// A file that no test runs says so, and is YAML at least.
func TestFilesThatWereNotRunSaySo(t *testing.T) {
	for _, name := range []string{"envoy.yaml", "traefik.yaml"} {
		content := bridgetest.Read(t, "deploy/proxy/"+name)
		var parsed map[string]any
		if err := yaml.UnmarshalStrict([]byte(content), &parsed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(content, "No test runs this file") {
			t.Errorf("%s does not say that it was not run", name)
		}
	}
}
