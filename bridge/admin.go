package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// reachTimeout bounds what /readyz?upstreams waits for.
const reachTimeout = 2 * time.Second

// errDraining says why a bridge that drains is not ready.
var errDraining = errors.New("draining")

// Admin returns the handler of /healthz and /readyz, for a listener that
// clients do not reach.
func (b *Bridge) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeReport(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		err := b.Ready()
		if r.URL.Query().Has("upstreams") {
			err = errors.Join(err, b.reach(r.Context()))
		}
		if err != nil {
			writeReport(w, http.StatusServiceUnavailable, "not ready", err.Error())
			return
		}
		writeReport(w, http.StatusOK, append([]string{"ready"}, b.contradictions()...)...)
	})
	return mux
}

// Ready returns nil once the schema of every route's upstream has been known,
// until Drain or Close; else why not. Losing an upstream later does not make
// the bridge unready: taking it out of rotation would end every stream. A
// route that contradicts its schema does not either; it alone answers 501.
func (b *Bridge) Ready() error {
	if b.draining.Load() {
		return errDraining
	}
	var waiting []string
	for _, e := range b.endpoints {
		if e.bound.Load() == nil {
			waiting = append(waiting, e.route.Upstream)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	slices.Sort(waiting)
	return fmt.Errorf("the schema is not known yet of: %s", strings.Join(slices.Compact(waiting), ", "))
}

// contradictions names the routes that answer 501, and why.
func (b *Bridge) contradictions() []string {
	var lines []string
	for _, e := range b.endpoints {
		if bound := e.bound.Load(); bound != nil && bound.err != nil {
			lines = append(lines, fmt.Sprintf("route %s answers 501: %v", e.route.Path, bound.err))
		}
	}
	return lines
}

// reach asks whether the upstreams can be connected to now.
func (b *Bridge) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	var away []string
	for _, name := range slices.Sorted(maps.Keys(b.upstreams)) {
		if !b.upstreams[name].Reachable(ctx) {
			away = append(away, name)
		}
	}
	if len(away) == 0 {
		return nil
	}
	return fmt.Errorf("not reachable: %s", strings.Join(away, ", "))
}

func writeReport(w http.ResponseWriter, status int, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A probe that is gone has no use for the error.
	_, _ = w.Write([]byte(strings.Join(lines, "\n") + "\n"))
}
