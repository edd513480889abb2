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

// reachTimeout bounds the time that /readyz?upstreams waits.
const reachTimeout = 2 * time.Second

// errDraining is the reason why a draining bridge is not ready.
var errDraining = errors.New("draining")

// Admin returns the handler of /healthz and /readyz, for a listener that clients cannot
// reach.
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

// optionalWait is the time after the start in which the bridge is not ready until all
// upstreams are known, including those that are not required. Usually they are, and no client
// has to wait.
const optionalWait = 2 * time.Second

// Ready returns nil if the bridge is ready, else the reason why it is not. The bridge is
// ready once the schema of every required upstream has been known, until Drain or Close. It
// waits for other upstreams only in the first two seconds, because one that is away must not
// keep out the clients of the others. The bridge stays ready when an upstream is lost later:
// to take the bridge out of rotation would end every stream. It also stays ready when a
// reload adds an upstream, or a route contradicts its schema: that route alone answers 501.
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

// remarks returns lines for the operator of a bridge that is ready.
func (b *Bridge) remarks() []string {
	s := b.sites.Current()
	lines := s.Contradictions()
	if err := s.Awaited(false); err != nil { // upstreams that are not required, or that a reload has added
		lines = append(lines, err.Error())
	}
	return append(lines, b.Reloads().report()...)
}

// maxKeys bounds how many keys of a configuration /readyz names.
const maxKeys = 20

// report describes the reloads, if there were any. For a failed one it names only the keys,
// because the page is public: the full error, which is logged, quotes the file and its path,
// and the file may have secrets.
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

// wrongKeys returns the configuration keys that an error is about, each once, in the order of the
// configuration's file. After maxKeys keys it ends with "…".
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

// reach returns an error that names the upstreams that cannot be reached.
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
	// A write error means that the prober has closed the connection.
	_, _ = w.Write([]byte(strings.Join(lines, "\n") + "\n"))
}
