package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// enough is the number of events that the browser needs, over all its connections.
const enough = 60

// cutsAfter are the numbers of body bytes before each cut: in the first block, in an event, in its id, and none.
var cutsAfter = []int{10, 95, 140, 0, 61, 62, 63, 64, 65, 66, 70, 300, 1}

// cutSite has two bridges behind a balancer that alternates between them, and cuts the first
// responses in the middle of a block.
type cutSite struct {
	bridges []*bridge.Bridge

	mu          sync.Mutex
	connections int
}

// ServeHTTP serves the stream, and a page for a browser.
func (s *cutSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/feed" {
		servePage(w)
		return
	}
	s.mu.Lock()
	i := s.connections
	s.connections++
	s.mu.Unlock()
	if i < len(cutsAfter) {
		w = &cutWriter{ResponseWriter: w, left: cutsAfter[i]}
	}
	s.bridges[i%len(s.bridges)].ServeHTTP(w, r)
}

// cutWriter fails after a number of bytes.
type cutWriter struct {
	http.ResponseWriter

	left int
}

// Unwrap implements the interface that http.ResponseController looks for.
func (c *cutWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *cutWriter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	n, err := c.ResponseWriter.Write(p[:c.left])
	c.left = 0
	return n, errors.Join(err, http.NewResponseController(c.ResponseWriter).Flush(), errors.New("cut"))
}

// publish makes a backend publish events until ctx ends.
func publish(ctx context.Context, feed *backendtest.Log) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for n := int64(1); ; n++ {
		select {
		case <-ticker.C:
			feed.Publish(event(n))
		case <-ctx.Done():
			return
		}
	}
}

// A browser is cut in the middle of an event again and again, and reconnects to alternating bridges. It
// gets every event once and in order. Package bridge has the same test of other clients.
func TestBrowserResumesAtCursors(t *testing.T) {
	b := backendtest.Start(t)
	site := &cutSite{}
	for range 2 {
		site.bridges = append(site.bridges, start(t, "upstreams: {app: {target: '"+b.Target()+"'}}\n"+
			"routes: [{path: /feed, rpc: "+watch+", upstream: app, share: true, event: {id: seq}, resume: {field: after}, "+
			"join: own, request: {set: {history: true}}, retry: 20ms}]"))
	}
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	var publishing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	publishing.Go(func() { publish(ctx, b.Feed) })
	t.Cleanup(publishing.Wait) // after the test's context has ended

	seen, err := chromedp.Run(openPage(t, server.URL), chromedp.Evaluate[resumed](listening, chromedp.EvalAwaitPromise))
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if seen.Gaps > 0 || len(seen.Seqs) < enough {
		t.Fatalf("the browser saw %d gaps and %d events", seen.Gaps, len(seen.Seqs))
	}
	for i, seq := range seen.Seqs {
		if seq != int64(i)+1 {
			t.Fatalf("the browser saw %v", seen.Seqs)
		}
	}
	site.mu.Lock()
	defer site.mu.Unlock()
	if site.connections <= len(cutsAfter) {
		t.Errorf("the browser connected %d times, want %d cuts", site.connections, len(cutsAfter))
	}
}

// resumed is what a page has received.
type resumed struct {
	Seqs []int64 `json:"seqs"`
	Gaps int     `json:"gaps"`
}

// listening is the script of the page. It listens until it has enough events.
var listening = fmt.Sprintf(`new Promise((done) => {
	const seen = {seqs: [], gaps: 0};
	const source = new EventSource('/feed');
	source.addEventListener('stream-gap', () => { seen.gaps += 1; });
	source.onmessage = (event) => {
		seen.seqs.push(Number(JSON.parse(event.data).seq));
		if (seen.seqs.length >= %d) {
			source.close();
			done(seen);
		}
	};
})`, enough)
