package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A stream of a route that is removed has to end with stream-end.
func TestPassingStreamsEnd(t *testing.T) {
	const begin = "retry: 1\nid: ~0\nevent: stream-open\ndata: {}\n\n"
	for _, c := range []struct{ name, body, word string }{
		{name: "ended", body: begin + "id: ~0~K4Q~end\nevent: stream-end\ndata: {}\n\n"},
		{name: "asked to come back", body: begin + retry("reload"), word: "stream-retry"},
		{name: "cut", body: begin, word: "stream-open"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name, value := range map[string]string{
				"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-store, no-transform", "X-Accel-Buffering": "no",
			} {
				w.Header().Set(name, value)
			}
			_, _ = w.Write([]byte(c.body))
			_ = http.NewResponseController(w).Flush() // else there is a length
		}))
		b := &bridge{name: "a", listen: strings.TrimPrefix(server.URL, "http://")}
		var waiting sync.WaitGroup
		v, err := b.openPassing(t.Context(), server.Client(), &waiting)
		if err != nil {
			t.Fatal(err)
		}
		waiting.Wait()
		if err := <-v.ended; (err != nil) != (c.word != "") || err != nil && !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want %q", c.name, err, c.word)
		}
		if err := b.removed(t.Context(), server.Client()); err == nil {
			t.Errorf("%s: a route that is still there counts as removed", c.name)
		}
		server.Close()
	}
}
