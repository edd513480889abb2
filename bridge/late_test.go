package bridge

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// A reload that reads a file forever, from a disk that is away, delays neither Drain nor Close, and
// its result is refused.
func TestDrainDoesNotWaitForAReload(t *testing.T) {
	cfg := config.Config{
		Drain:     config.Drain{Delay: new(config.Duration), Grace: new(config.Duration)},
		Upstreams: map[string]config.Upstream{"app": {Target: "127.0.0.1:1"}},
		Routes:    []config.Route{{Path: "/a", RPC: "a.B/C", Upstream: "app"}},
	}
	b, err := New(cfg, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b.reloading.Lock() // as a running reload does
	old := b.sites.Current()
	next, err := b.sites.Make(cfg, old)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Drain(t.Context()), b.Close()); err != nil {
		t.Fatal(err)
	}
	if b.replace(old, next) || b.sites.Current() != old {
		t.Error("a site took the place of the last one")
	}
	if err := next.Release(); err != nil {
		t.Error(err)
	}
	b.reloading.Unlock()
	b.ReloadFailed(errors.New("too late"))
	if err := b.Reload(cfg); !errors.Is(err, errTooLate) || b.Reloads().Failed != 0 {
		t.Errorf("got %v, %+v", err, b.Reloads())
	}
}
