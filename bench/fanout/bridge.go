package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/load"
)

// extras are keys of the configuration that the bridge of this checkout may or
// may not know yet; each says what it is for.
type extras struct {
	clients, replay string
}

// probe finds out which extras the bridge knows.
func (l *lab) probe(ctx context.Context) (extras, error) {
	if err := l.check(ctx, l.config(bridgeParams{})); err != nil {
		return extras{}, err
	}
	var known extras
	for _, extra := range []struct {
		into *string
		text string
	}{
		// A value beyond what descriptors allow is refused too; without the key it is 10,000.
		{&known.clients, "  clients: 12000"},
		{&known.clients, "  clients: 19000"},
		{&known.replay, "  replay_bytes: 256MiB"},
	} {
		was := *extra.into
		*extra.into = extra.text
		l.extras = known
		if l.check(ctx, l.config(bridgeParams{})) != nil {
			*extra.into = was
		}
	}
	return known, nil
}

// check has the bridge look at a configuration.
func (l *lab) check(ctx context.Context, config string) error {
	path := filepath.Join(l.dir, "check.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, l.program("ssebridge"), "check", "--config", path).CombinedOutput() //nolint:gosec // our own program
	if err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// bridgeParams are what a configuration differs in.
type bridgeParams struct {
	listen, admin, backend string
}

// config returns the configuration of the bridge: its defaults, but for a
// write_timeout that a short run sees the end of, and for limits.
func (l *lab) config(p bridgeParams) string {
	lines := []string{"limits:", "  topics: 20000", l.extras.clients, l.extras.replay}
	text := strings.Join(lines, "\n")
	return fmt.Sprintf(`listen: %q
admin: %q
drain: {delay: 0s, grace: 0s}
%s
upstreams:
  app:
    target: %s
    opens: 2000
routes:
  - path: /shared/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
  - path: /private/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
    share: never
  - path: /impatient/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
    write_timeout: %[5]s
  - path: /beating/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
    write_timeout: %[5]s
    heartbeat: {every: %[6]s}
  - path: /mute/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
    write_timeout: %[5]s
    heartbeat: {every: 0s}
`, orAny(p.listen), p.admin, text, orAny(p.backend), impatient, heartbeat)
}

// What some routes have of their own, to be over soon.
const (
	impatient = 5 * time.Second // write_timeout
	heartbeat = 2 * time.Second // heartbeat.every
)

func orAny(addr string) string {
	if addr == "" {
		return "127.0.0.1:1" // of a configuration that is only looked at
	}
	return addr
}

// bridge starts the bridge and a backend for it.
func bridge(ctx context.Context, l *lab, want want) (_ *contender, err error) {
	c := newContender("ssebridge")
	defer c.stopOn(&err)
	backend, err := l.backend(ctx, c)
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(ctx)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(l.dir, fmt.Sprintf("bridge-%d.yaml", l.started))
	reach, listen := want.at(addrs[0])
	config := l.config(bridgeParams{listen, addrs[1], backend})
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := l.start(ctx, "ssebridge", l.program("ssebridge"), "serve", "--config", path)
	if err != nil {
		return nil, err
	}
	c.serves(p)
	c.admin = addrs[1]
	c.load = load.Params{Addr: reach, Path: want.path(), Window: c.load.Window}
	return c, p.ready(ctx, answersOK("http://"+addrs[1]+"/readyz"))
}

// answersOK is a probe: a URL is answered with 200.
func answersOK(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close() //nolint:errcheck // it is not read
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		return nil
	}
}
