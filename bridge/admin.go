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

	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
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
			err = errors.Join(err, reach(r.Context(), b.sites.Current().Backends))
		}
		if err != nil {
			writeReport(w, http.StatusServiceUnavailable, append([]string{"not ready", err.Error()}, b.Reloads().report()...)...)
			return
		}
		writeReport(w, http.StatusOK, append([]string{"ready"}, b.remarks()...)...)
	})
	return mux
}

// optionalWait is how long after the start a bridge waits for upstreams that are
// not required. Most come within it, and clients then wait for nothing.
const optionalWait = 2 * time.Second

// Ready returns nil once the schema of every required upstream has been known,
// until Drain or Close; else why not. Other upstreams are waited for over the
// first two seconds: one that is away must not keep the clients of all others
// out. Losing an upstream later does not make the bridge unready: taking it out
// of rotation would end every stream. Nor does a route that a reload has
// brought, nor one that contradicts its schema; it alone answers 501.
func (b *Bridge) Ready() error {
	if b.leaving.Draining() {
		return errDraining
	}
	if b.ready.Load() {
		return nil
	}
	onlyRequired := time.Since(b.born) >= optionalWait
	if err := b.sites.Current().Awaited(onlyRequired); err != nil {
		return err
	}
	b.ready.Store(true)
	return nil
}

// remarks are what an operator should know of a bridge that is ready.
func (b *Bridge) remarks() []string {
	s := b.sites.Current()
	lines := s.Contradictions()
	if err := s.Awaited(false); err != nil { // of upstreams that are not required, or routes that a reload has brought
		lines = append(lines, err.Error())
	}
	return append(lines, b.Reloads().report()...)
}

// maxKeys is how many keys of a configuration /readyz names.
const maxKeys = 20

// report describes the reloads, if there were any. Of a failed one it names only the
// keys: the page is public, and the full error quotes the file, which may hold
// secrets, and its path. The log has the full error.
func (r Reloads) report() []string {
	if r.Last.IsZero() {
		return nil
	}
	line := fmt.Sprintf("reloads: %d ok, %d failed; the last one, at %s, ", r.OK, r.Failed, r.Last.UTC().Format(time.RFC3339))
	if r.Err == nil {
		return []string{line + "was ok"}
	}
	line += "failed, and what was before it holds; the log says why"
	if keys := wrongKeys(r.Err); len(keys) > 0 {
		line += ": " + strings.Join(keys, ", ")
	}
	return []string{line}
}

// wrongKeys are the keys that an error is about, in the order of the file.
func wrongKeys(err error) []string {
	var keys []string
	for _, one := range configerr.In(err) {
		switch {
		case one.Path == "" || slices.Contains(keys, one.Path):
		case len(keys) == maxKeys:
			return append(keys, "…")
		default:
			keys = append(keys, one.Path)
		}
	}
	return keys
}

// reach asks whether the upstreams can be connected to now.
func reach(ctx context.Context, upstreams map[string]*site.Backend) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	var away []string
	for _, name := range slices.Sorted(maps.Keys(upstreams)) {
		if !upstreams[name].Reachable(ctx) {
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
