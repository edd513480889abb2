package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// staged starts the processes, plays, and ends them.
func (s *soak) staged(ctx context.Context, play func(*soak, context.Context) error) (err error) {
	if s.dir, err = os.MkdirTemp("", "soak"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(s.dir)
		} else {
			err = fmt.Errorf("%w\nlogs are in %s", err, s.dir)
		}
	}()
	defer s.close()
	if err := s.open(ctx); err != nil {
		return err
	}
	return play(s, ctx)
}

// open starts the backend, the bridges and the proxies.
func (s *soak) open(ctx context.Context) (err error) {
	made := newProxies()
	if s.backendAddr, err = s.free.Next(); err != nil {
		return err
	}
	s.backend = newProcess(s.dir, "backend", append(s.settings.backend, "-listen", s.backendAddr,
		"-start", strconv.FormatInt(s.history.start.UnixNano(), 10), "-every", s.settings.every.String(), "-age", s.settings.age.String())...)
	if err := s.backend.start(); err != nil {
		return err
	}
	if s.settings.framing == byTLS {
		if err := writeCertificate(s.dir); err != nil {
			return err
		}
	}
	names := []string{"bridge-a", "bridge-b"}
	if s.settings.alone {
		names = names[:1]
	}
	for _, name := range names {
		if err := s.openBridge(ctx, made, name); err != nil {
			return err
		}
	}
	for i := range s.settings.proxies {
		to := s.bridges[i%len(s.bridges)]
		listen, err := s.free.Next()
		if err != nil {
			return err
		}
		opened, err := made.open(fmt.Sprintf("front-%d", i), listen, to.listen)
		if err != nil {
			return err
		}
		f := &front{proxy: opened, listen: opened.Listen}
		f.to.Store(to)
		s.front = append(s.front, f)
	}
	return nil
}

func (s *soak) openBridge(ctx context.Context, made proxies, name string) error {
	listen, err := s.free.Next()
	if err != nil {
		return err
	}
	second, err := s.free.Next() // of its admin listener, or of the proxy before its backend
	if err != nil {
		return err
	}
	// Every other one has its configuration from a ConfigMap.
	b := &bridge{name: name, listen: listen, target: s.backendAddr, file: newFile(filepath.Join(s.dir, name), len(s.bridges)%2 == 1)}
	if s.settings.direct {
		b.admin = second
	} else {
		if b.back, err = made.open(name, second, s.backendAddr); err != nil {
			return err
		}
		b.target = b.back.Listen
	}
	if err := s.write(b, noFlaw); err != nil {
		return err
	}
	b.process = newProcess(s.dir, name, s.settings.command, "serve", "--config", b.file.path)
	s.bridges = append(s.bridges, b)
	return b.start(ctx)
}

// configuration returns a bridge's. A slow client keeps its catch-up until it has read all,
// so there are about as many at once as a kind has clients.
func (s *soak) configuration(b *bridge) string {
	catchups := max(16, s.share())
	if s.settings.direct {
		catchups = 256 // the default
	}
	var text strings.Builder
	fmt.Fprintf(&text, `listen: %q
admin: %q
limits: {clients: %d, catchups: %d}
drain: %s
`, b.listen, b.admin, s.settings.clients+s.settings.clients/10+16, catchups, s.drain())
	if s.settings.framing == byTLS {
		fmt.Fprintf(&text, "tls: {cert: %q, key: %q}\n", filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem"))
	}
	text.WriteString("upstreams:\n")
	for _, name := range []string{mostUpstream, slowUpstream, eachUpstream} {
		fmt.Fprintf(&text, "  %s: {target: %q, keepalive: 10s, open_timeout: 2s, reconnect: {max: 1s}}\n", name, b.target)
	}
	text.WriteString("routes:\n")
	for _, k := range s.kinds {
		retry := 2 * s.settings.every
		if k.changes {
			retry += time.Duration(b.version) * time.Microsecond
		}
		fmt.Fprintf(&text, "  - %s\n", k.route(retry))
	}
	if b.passing() {
		fmt.Fprintf(&text, "  - {path: %q, rpc: ssebridge.test.v1.FeedService/Watch, upstream: %s, share: true}\n", passingPath+"{topic}", mostUpstream)
	}
	return text.String()
}

// drain returns a bridge's drain.
func (s *soak) drain() string {
	if s.settings.alone {
		return "{alone: true}"
	}
	return fmt.Sprintf("{delay: %s, grace: %s}", s.settings.delay, s.settings.grace)
}

// close ends the processes and the proxies.
func (s *soak) close() {
	for _, front := range s.front {
		front.Stop()
	}
	for _, b := range s.bridges {
		b.kill()
		if b.back.Proxy != nil {
			b.back.Stop()
		}
	}
	if s.backend != nil {
		s.backend.kill()
	}
}
