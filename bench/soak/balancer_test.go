package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestBalancer: clients are sent to the first bridge that is ready, and stay where they
// are sent while none is.
func TestBalancer(t *testing.T) {
	var ready [2]atomic.Bool
	var bridges []*bridge
	for i, name := range []string{"a", "b"} {
		ready[i].Store(true)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" || !ready[i].Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		t.Cleanup(server.Close)
		bridges = append(bridges, &bridge{name: name, listen: name, admin: strings.TrimPrefix(server.URL, "http://")})
	}
	l := newBalancer(bridges)
	for _, c := range []struct {
		ready [2]bool
		want  string
	}{
		{[2]bool{true, true}, "a"},
		{[2]bool{false, true}, "b"},
		{[2]bool{false, false}, "b"},
		{[2]bool{true, false}, "a"},
	} {
		for i, is := range c.ready {
			ready[i].Store(is)
		}
		if l.look(t.Context()); l.address() != c.want || !strings.HasPrefix(l.behind(), c.want+" ") {
			t.Errorf("ready: %v: clients are sent to %q", c.ready, l.address())
		}
	}
}
