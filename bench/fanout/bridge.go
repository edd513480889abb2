package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/publish"
)

// bridgeParams are what a configuration differs in.
type bridgeParams struct {
	listen, admin, backend string
	tls                    string // the folder with tls.crt and tls.key; empty: in clear
}

// config returns the configuration of the bridge: its defaults, but for a
// write_timeout that a short run sees the end of, and for limits.
func (p bridgeParams) config() string {
	secured := ""
	if p.tls != "" {
		secured = fmt.Sprintf("tls: {cert: %q, key: %q}", filepath.Join(p.tls, "tls.crt"), filepath.Join(p.tls, "tls.key"))
	}
	return fmt.Sprintf(`listen: %q
admin: %q
drain: {delay: 0s, grace: 0s}
limits: {topics: 20000, clients: 12000}
%s
upstreams:
  app:
    target: %s
    opens: 2000
routes:
  - path: /shared/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
    share: true
  - path: /private/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
  - path: /impatient/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
    share: true
    write_timeout: %[5]s
  - path: /beating/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
    share: true
    write_timeout: %[5]s
    heartbeat: {every: %[6]s}
  - path: /mute/{topic}
    rpc: ssebridge.test.v1.FeedService/Watch
    upstream: app
    share: true
    write_timeout: %[5]s
    heartbeat: {every: 0s}
`, p.listen, p.admin, secured, p.backend, impatient, heartbeat)
}

// What some routes have of their own, to be over soon.
const (
	impatient = 5 * time.Second // write_timeout
	heartbeat = 2 * time.Second // heartbeat.every
)

// bridge starts the bridge and a backend for it.
func bridge(ctx context.Context, l *lab, want want) (*contender, error) {
	return startBridge(ctx, l, want, nil)
}

// bridgeWith returns a starter of the bridge with further environment variables.
func bridgeWith(environment ...string) starter {
	return func(ctx context.Context, l *lab, want want) (*contender, error) {
		return startBridge(ctx, l, want, environment)
	}
}

// startBridge starts the bridge with further environment variables, and a backend for it.
func startBridge(ctx context.Context, l *lab, want want, environment []string) (_ *contender, err error) {
	c := newContender("ssebridge")
	defer c.stopOn(&err)
	backend, err := l.backend(ctx, c)
	if err != nil {
		return nil, err
	}
	addrs, err := l.addrs()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(l.dir, fmt.Sprintf("bridge-%d.yaml", l.started))
	reach, listen := want.at(addrs[0])
	params := bridgeParams{listen: listen, admin: addrs[1], backend: backend}
	if want.transport == load.TLS {
		params.tls = l.dir
		if err := publish.WriteCertificate(l.dir); err != nil {
			return nil, err
		}
	}
	config := params.config()
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := l.prepare("ssebridge", l.program("ssebridge"), "serve", "--pprof", "--config", path)
	if err != nil {
		return nil, err
	}
	p.Cmd.Env = append(p.Cmd.Env, environment...)
	if err := p.Start(); err != nil {
		return nil, err
	}
	c.serves(p)
	c.admin = addrs[1]
	c.load = load.Params{Addr: reach, Path: want.path(), Window: c.load.Window}
	return c, p.AwaitReady(ctx, answersOK("http://"+addrs[1]+"/readyz"))
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
