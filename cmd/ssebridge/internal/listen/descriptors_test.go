package listen

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// allowed sets the limit on descriptors for a test.
func allowed(t *testing.T, limit uint64) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	set := func(limit *unix.Rlimit) {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, limit); err != nil {
			t.Fatal(err)
		}
	}
	set(&unix.Rlimit{Cur: limit, Max: before.Max})
	t.Cleanup(func() { set(&before) })
}

func TestClientsFitTheDescriptors(t *testing.T) {
	allowed(t, 1024)
	auto := map[string]config.Upstream{"a": {}}
	fixed := map[string]config.Upstream{"a": {Connections: 20}, "b": {Connections: 3}}
	for name, tc := range map[string]struct {
		clients   int
		upstreams map[string]config.Upstream
		want      int // clients; 0 as before
		wrong     string
	}{
		"default, lowered":          {0, auto, (1024 - reserved - 1) * 100 / 111, ""},
		"default, with connections": {0, fixed, (1024 - reserved - 23) * 100 / 110, ""},
		"written, fits":             {800, auto, 0, ""},
		"written, too many": {
			10000, auto, 0,
			"limits.clients: 10000 clients need 11229 file descriptors and this process may have 1024, which is room for 806 clients; " +
				"raise the limit (ulimit -n, systemd's LimitNOFILE=), or write less",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, lowered, err := Fit(config.Config{Limits: config.Limits{Clients: tc.clients}, Upstreams: tc.upstreams})
			if tc.wrong != "" {
				if err == nil || err.Error() != tc.wrong {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || lowered != tc.want || got.Limits.Clients != max(tc.want, tc.clients) {
				t.Errorf("got %d, %d, %v, want %d", got.Limits.Clients, lowered, err, tc.want)
			}
		})
	}

	allowed(t, reserved)
	if _, _, err := Fit(config.Config{Upstreams: auto}); err == nil || !strings.Contains(err.Error(), "one client needs") {
		t.Errorf("got %v", err)
	}
}

// The needed number fits, at every size.
func TestNeededDescriptorsFit(t *testing.T) {
	cfg := config.Config{Upstreams: map[string]config.Upstream{"a": {}, "b": {}, "c": {Connections: 7}}}
	for _, clients := range []int{1, 2, 99, 100, 101, 4321, 10_000, 1_000_000} {
		n := needed(clients, cfg)
		if got := clientsWithin(uint64(n), cfg); got < clients {
			t.Errorf("%d descriptors are said to be needed for %d clients, and have room for %d", n, clients, got)
		}
	}
	if got := clientsWithin(1<<63, cfg); got < 10_000_000 {
		t.Errorf("without a limit there is room for %d", got)
	}
}
