package ssetest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a testing.TB that records failures. It passes all other calls on.
type recorder struct {
	testing.TB

	mu       sync.Mutex
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.failures, "\n")
}

func writeHead(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache, no-store, no-transform")
	w.Header().Set("X-Accel-Buffering", "no")
}

// serve answers every request with a stream of the given bytes and closes it cleanly.
func serve(t *testing.T, stream string) string {
	t.Helper()
	return serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		writeHead(w)
		say(t, w, stream)
	})
}

// say writes and flushes. It ignores the error of a client that has left.
func say(t *testing.T, w http.ResponseWriter, stream string) {
	t.Helper()

	if _, err := io.WriteString(w, stream); err != nil {
		return
	}

	if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrAbortHandler) {
		t.Logf("flush: %v", err)
	}
}

func serveFunc(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()

	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func TestClientReads(t *testing.T) {
	url := serve(t, opened+":\n"+message+ended)

	for name, options := range map[string]Options{"http/1.1": {}, "h2c": {H2C: true}} {
		t.Run(name, func(t *testing.T) {
			c := Connect(t, url, options)

			if err := c.AwaitEnd(); err != io.EOF { //nolint:errorlint // exactly io.EOF is promised
				t.Errorf("ended by %v", err)
			}

			seen := c.Snapshot()
			if len(seen.Events) != 3 || len(seen.Messages()) != 1 || seen.Heartbeats != 1 || seen.Gaps != 0 || seen.Connections != 1 ||
				seen.LastEventID != "E-1~SUM~end" || seen.Retry != 3012*time.Millisecond || seen.Status != http.StatusOK {
				t.Errorf("%+v", seen)
			}
		})
	}
}

// TestClientReconnects checks the client's Last-Event-ID over several connections against the standard.
func TestClientReconnects(t *testing.T) {
	ids := make(chan string, 3)
	url := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		ids <- r.Header.Get("Last-Event-ID")

		writeHead(w)

		id := r.Header.Get("Last-Event-ID")
		if id == "" {
			id = "E-0"
		}

		say(t, w, "retry: 5\nid: "+id+"\nevent: stream-open\ndata: {}\n\n")
		say(t, w, "id: E-7\nevent: stream-gap\ndata: {\"reason\":\"expired\",\"lastEventId\":\"E-1\",\"resumedFrom\":\"E-7\"}\n\n")
		<-r.Context().Done() // until the client leaves
	})

	c := Connect(t, url, Options{LastEventID: "mine"})
	c.AwaitNamed("stream-gap", 0)
	c.Reconnect()
	c.AwaitNamed("stream-gap", 2)

	if got := c.Snapshot(); got.Gaps != 2 || got.Connections != 2 || got.LastEventID != "E-7" {
		t.Errorf("%+v", got)
	}

	c.CutNext(int64(len("retry: 5\nid: E-7\nevent: stream-open\ndata: {}\n\n")))
	c.Reconnect()

	if err := c.AwaitEnd(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, want a cut", err)
	}

	for _, want := range []string{"mine", "E-7", "E-7"} {
		if got := <-ids; got != want {
			t.Errorf("Last-Event-ID %q, want %q", got, want)
		}
	}
}

func TestClientPosts(t *testing.T) {
	url := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-User") != "u" {
			t.Errorf("%s %v, %v", r.Method, r.Header, err)
		}

		writeHead(w)
		say(t, w, prelude+"data: "+string(body)+"\n\ndata: [DONE]\n\n"+endedPlain)
	})

	c := Connect(t, url, Options{
		NoIDs: true, Literals: []string{"[DONE]"}, Method: http.MethodPost, Body: `{"prompt":"p"}`, Header: http.Header{"x-user": {"u"}},
	})

	if got := c.AwaitMessages(2); got[0].Data != `{"prompt":"p"}` || got[1].Data != "[DONE]" {
		t.Errorf("%+v", got)
	}
}

// TestClientFailsTheTest checks that a violation fails the test without an assertion.
func TestClientFailsTheTest(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"a block": {func(w http.ResponseWriter, _ *http.Request) {
			writeHead(w)
			say(t, w, opened+"event: error\ndata: {}\n\n")
		}, "onerror"},
		"no final event": {func(w http.ResponseWriter, _ *http.Request) {
			writeHead(w)
			say(t, w, opened)
		}, "closed after"},
		"the content type": {func(w http.ResponseWriter, _ *http.Request) {
			writeHead(w)
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			say(t, w, opened)
		}, "Content-Type is exactly"},
		"the cache": {func(w http.ResponseWriter, _ *http.Request) {
			writeHead(w)
			w.Header().Set("Cache-Control", "no-cache")
			say(t, w, opened)
		}, "Cache-Control is exactly"},
		"buffering": {func(w http.ResponseWriter, _ *http.Request) {
			writeHead(w)
			w.Header().Del("X-Accel-Buffering")
			say(t, w, opened)
		}, "X-Accel-Buffering is exactly"},
		"a length": {func(w http.ResponseWriter, _ *http.Request) {
			writeHead(w)
			w.Header().Set("Content-Length", "5")
			say(t, w, "data:")
		}, "no Content-Length"},
		"close-delimited": {func(w http.ResponseWriter, _ *http.Request) {
			writeHead(w)
			w.Header().Set("Transfer-Encoding", "identity")
			say(t, w, opened)
		}, "never close-delimited"},
	} {
		t.Run(name, func(t *testing.T) {
			tb := &recorder{TB: t}
			c := Connect(tb, serveFunc(t, tc.handler), Options{})

			if _, ok := errors.AsType[*Violation](c.AwaitEnd()); !ok || !strings.Contains(tb.all(), tc.want) {
				t.Errorf("the failure is %q, want %q", tb.all(), tc.want)
			}
		})
	}
}

// TestAwaitFails checks that a failed Await reports what it waited for and what the client has seen.
func TestAwaitFails(t *testing.T) {
	tb := &recorder{TB: t}
	c := Connect(tb, serve(t, opened+message+ended), Options{})

	var wg sync.WaitGroup

	wg.Go(func() { c.AwaitMessages(2) }) // Fatalf ends the goroutine
	wg.Wait()

	for _, want := range []string{"ended (EOF) before 2 messages", "stream-open", "3 events", `last event id "E-1~SUM~end"`} {
		if !strings.Contains(tb.all(), want) {
			t.Errorf("%q does not say %q", tb.all(), want)
		}
	}
}

// TestAwaitRunsOut waits for a silent stream, in virtual time.
func TestAwaitRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &recorder{TB: t}
		c := Connect(tb, "http://silent.test", Options{Transport: silent{}})

		var wg sync.WaitGroup

		start := time.Now()

		wg.Go(func() { c.AwaitEvents(1) })
		wg.Wait()

		if waited := time.Since(start); waited != patience || !strings.Contains(tb.all(), "waited in vain for 1 events") {
			t.Errorf("after %s: %q", waited, tb.all())
		}

		c.Close()
		c.Close() // a second Close is allowed
	})
}

// silent is a transport that never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestClientIsRefused(t *testing.T) {
	url := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stop" {
			w.WriteHeader(http.StatusNoContent)
			return
		}

		http.Error(w, `{"code":5}`, http.StatusNotFound)
	})

	for path, status := range map[string]int{"/stop": http.StatusNoContent, "/nowhere": http.StatusNotFound} {
		c := Connect(t, url+path, Options{})
		if got := c.AwaitStatus(); got != status {
			t.Errorf("%s: %d", path, got)
		}

		if err := c.AwaitEnd(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: ended by %v", path, err)
		}

		if body := strings.TrimSpace(c.Snapshot().Body); status == http.StatusNotFound && body != `{"code":5}` {
			t.Errorf("%s: %q", path, body)
		}
	}

	c := Connect(t, url, Options{LastEventID: "no\nheader"})
	if err := c.AwaitEnd(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("ended by %v", err)
	}
}

// TestCutAtEveryByte cuts real connections in both ways, on both protocols.
func TestCutAtEveryByte(t *testing.T) {
	const stream = opened + message

	url := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		writeHead(w)

		for piece := range strings.SplitAfterSeq(stream, "\n") { // several chunks
			say(t, w, piece)
		}

		<-r.Context().Done() // until the connection is lost
	})

	for n := range int64(len(stream)) + 1 {
		transport := CutTransport(n)

		for name, options := range map[string]Options{
			"http/1.1": {CutAfter: new(n)}, "h2c": {CutAfter: new(n), H2C: true}, "transport": {Transport: transport},
		} {
			c := Connect(t, url, options)
			if err := c.AwaitEnd(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s, cut at %d: %v", name, n, err)
			}

			want := ""
			if strings.Contains(stream[:n], "\n\n") {
				want = "E-0"
			}

			if n == int64(len(stream)) {
				want = "E-1"
			}

			if got := c.Snapshot(); got.LastEventID != want || got.Status != http.StatusOK {
				t.Fatalf("%s, cut at %d: %s", name, n, got)
			}

			c.Close()
		}

		transport.CloseIdleConnections()
	}
}

// TestCutCounts reads everything that passes a cut connection, in both framings.
func TestCutCounts(t *testing.T) {
	const body = "0123456789abcdefghij"

	url := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}

		for i := 0; i < len(body); i += 4 {
			say(t, w, body[i:i+4])
		}
	})

	for _, path := range []string{"/plain", "/chunked"} {
		for n := range len(body) + 5 {
			client := &http.Client{Transport: CutTransport(int64(n))}

			resp, err := client.Get(url + path)
			if err != nil {
				t.Fatal(err)
			}

			got, err := io.ReadAll(resp.Body)
			if string(got) != body[:min(n, len(body))] {
				t.Errorf("%s, cut after %d: %q", path, n, got)
			}

			// At exactly its length a body may be complete or cut, depending on the framing.
			if n < len(body) && !errors.Is(err, io.ErrUnexpectedEOF) || n > len(body) && err != nil {
				t.Errorf("%s, cut after %d: %v", path, n, err)
			}

			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
