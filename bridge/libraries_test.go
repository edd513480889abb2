package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	sse "github.com/tmaxmax/go-sse"

	"github.com/ssebridge/ssebridge/bridge"
)

// enough is the number of events that a client needs, over all its connections.
const enough = 60

// cutSite has two bridges behind a balancer that alternates between them, and cuts the first
// responses in the middle of a block.
type cutSite struct {
	*httptest.Server

	bridges []*bridge.Bridge

	mu          sync.Mutex
	connections int
}

// cutsAfter are the numbers of body bytes before each cut: in the first block, in an event, in its id, and none.
var cutsAfter = []int{10, 95, 140, 0, 61, 62, 63, 64, 65, 66, 70, 300, 1}

func newCutSite(t *testing.T) (site *cutSite, l *ledger) {
	t.Helper()
	l = newLedger()
	b := backend(t)
	b.OnWatch(l.watch)
	site = &cutSite{}
	for range 2 {
		site.bridges = append(site.bridges, startWith(t, parse(t, "upstreams: {app: {target: '"+b.Target()+"'}}\n"+
			feedRoute("event: {id: seq}, resume: {field: after}, join: own, request: {set: {history: true}}, retry: 20ms")), bridge.Options{}).Bridge)
	}
	site.Server = httptest.NewServer(site)
	t.Cleanup(site.Close)
	return site, l
}

// ServeHTTP serves the stream.
func (s *cutSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	i := s.connections
	s.connections++
	s.mu.Unlock()
	if i < len(cutsAfter) {
		w = &cutWriter{ResponseWriter: w, left: cutsAfter[i]}
	}
	s.bridges[i%len(s.bridges)].ServeHTTP(w, r)
}

// publish makes the backend publish events until ctx ends.
func (s *cutSite) publish(ctx context.Context, l *ledger) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.change(func() { l.newest++ })
		case <-ctx.Done():
			return
		}
	}
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

// resumed is what a client has received.
type resumed struct {
	Seqs []int64 `json:"seqs"`
	Gaps int     `json:"gaps"`
}

// Node and a Go library are cut in the middle of an event again and again, and reconnect to alternating
// bridges. Each gets every event once and in order. cmd/ssebridge/browsertest has the same test of a browser.
func TestEveryKindOfClientResumesAtCursors(t *testing.T) {
	for name, listen := range map[string]func(t *testing.T, url string) resumed{
		"go-sse": byGoSSE, "eventsource of npm": byNode,
	} {
		t.Run(name, func(t *testing.T) {
			site, l := newCutSite(t)
			var publishing sync.WaitGroup
			ctx, stop := context.WithCancel(t.Context())
			publishing.Go(func() { site.publish(ctx, l) })
			seen := listen(t, site.URL)
			stop()
			publishing.Wait()
			if seen.Gaps > 0 || len(seen.Seqs) < enough {
				t.Fatalf("the client saw %d gaps and %d events", seen.Gaps, len(seen.Seqs))
			}
			for i, seq := range seen.Seqs {
				if seq != int64(i)+1 {
					t.Fatalf("the client saw %v", seen.Seqs)
				}
			}
			site.mu.Lock()
			defer site.mu.Unlock()
			if site.connections <= len(cutsAfter) {
				t.Errorf("the client connected %d times, want %d cuts", site.connections, len(cutsAfter))
			}
		})
	}
}

func byGoSSE(t *testing.T, url string) resumed {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/feed", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	var seen resumed
	connection := (&sse.Client{}).NewConnection(request)
	connection.SubscribeToAll(func(event sse.Event) {
		switch event.Type {
		case "":
			var data struct {
				Seq int64 `json:"seq,string"`
			}
			if err := json.Unmarshal([]byte(event.Data), &data); err != nil {
				t.Error(err)
			}
			if seen.Seqs = append(seen.Seqs, data.Seq); len(seen.Seqs) >= enough {
				stop()
			}
		case "stream-gap":
			seen.Gaps++
		}
	})
	if err := connection.Connect(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	return seen
}

func byNode(t *testing.T, url string) resumed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "node", "../tools/eventsource/listen.mjs", url+"/feed", strconv.Itoa(enough)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v; `make deps` installs what it needs\n%s", err, out)
	}
	var seen resumed
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return seen
}
