package bridge_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// ask sends a request with an Accept-Encoding, or with none, and does not read the body.
func ask(t *testing.T, method, url, accept string, h2c bool) *http.Response {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, Protocols: protocols(!h2c, h2c)}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		request.Header.Set("Accept-Encoding", accept)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = response.Body.Close()
		transport.CloseIdleConnections()
	})
	return response
}

// The route may disable it. Vary informs caches.
func TestAClientThatAcceptsGzipGetsIt(t *testing.T) {
	b := backend(t)
	b.Feed.Publish(&testv1.FeedEvent{Seq: 1})
	b.Feed.End(nil)
	g := start(t, b.Target(), "  - {path: /zipped, rpc: "+watch+", upstream: app, share: true, request: {set: {history: true}}}\n"+
		"  - {path: /plain, rpc: "+watch+", upstream: app, share: true, request: {set: {history: true}}, compress: false}\n")
	for _, c := range []struct {
		path, accept, encoding, vary string
	}{
		{"/zipped", "gzip", "gzip", "Accept-Encoding"},
		{"/zipped", "br, gzip;q=0.5", "gzip", "Accept-Encoding"},
		{"/zipped", "", "", "Accept-Encoding"},
		{"/zipped", "identity", "", "Accept-Encoding"},
		{"/zipped", "gzip;q=0", "", "Accept-Encoding"},
		{"/plain", "gzip", "", ""},
		{"/plain", "", "", ""},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, h2c := range []bool{false, true} {
				name := fmt.Sprintf("%s %s for %q, HTTP/2: %t", method, c.path, c.accept, h2c)
				response := ask(t, method, g.URL+c.path, c.accept, h2c) //nolint:bodyclose // by ask's cleanup
				head := response.Header
				if got := head.Get("Content-Encoding"); got != c.encoding || head.Get("Vary") != c.vary || head.Get("Content-Type") != "text/event-stream" {
					t.Errorf("%s: %v", name, head)
				}
				body := readAs(t, response.Body, head.Get("Content-Encoding"))
				if method == http.MethodHead && body != "" || method == http.MethodGet && (!strings.Contains(body, `{"seq":"1"}`) || !strings.Contains(body, "event: stream-end\n")) {
					t.Errorf("%s: %q", name, body)
				}
			}
		}
	}
}

// readAs decodes a body, and checks its checksum.
func readAs(t *testing.T, body io.Reader, encoding string) string {
	t.Helper()
	buffered := bufio.NewReader(body)
	if _, err := buffered.Peek(1); encoding == "gzip" && err == nil {
		reader, err := gzip.NewReader(buffered)
		if err != nil {
			t.Fatal(err)
		}
		body = reader
	} else {
		body = buffered
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Go's client asks for gzip by itself. It gets the head and the first bytes before there is an event.
func TestAGoClientGetsTheFirstBytesAtOnce(t *testing.T) {
	b := backend(t)
	g := start(t, b.Target(), "  - {path: /feed, rpc: "+watch+", upstream: app, share: true, heartbeat: {every: 100ms, as: event}}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/feed", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if !response.Uncompressed {
		t.Fatal("it is not compressed")
	}
	lines := bufio.NewScanner(response.Body)
	var names []string
	for len(names) < 3 && lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			names = append(names, name)
		}
	}
	if !slices.Equal(names, []string{"stream-open", "heartbeat", "heartbeat"}) {
		t.Errorf("the client received %q, %v", names, lines.Err())
	}
}
