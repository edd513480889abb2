package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	// memoryLimit and goMemoryLimit are those of deploy/.
	memoryLimit   = 512 << 20
	goMemoryLimit = "400MiB"
	// slower is how much later events may be than while the same is done to the server
	// beside, or than the backend itself is late. leeway is what is too little to compare: a few turns of the scheduler.
	slower = 1.5
	leeway = 10 * time.Millisecond
	// besideAll is how long all kinds at once are done to the server beside, at most.
	besideAll = time.Minute
)

// configuration is as short as a newcomer's: all limits are the defaults. The peers come
// through a balancer, so that each has an address in the Internet, as in a deployment; the
// limits by address hold for such addresses only.
const configuration = `listen: %s
admin: %q
trusted_proxies: [127.0.0.66/32]
drain: {delay: 0s, grace: 1s}
upstreams:
  app: {target: '%s'}
routes:
  - {path: /shared, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, share: true, request: {query: true}, event: {id: seq}, resume: {field: after}}
  - {path: /private, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, request: {query: true}, event: {id: seq}, resume: {field: after}}
  - {path: '/things/{name}', rpc: ssebridge.test.v1.FeedService/Get, upstream: app}
  - {path: /put, rpc: ssebridge.test.v1.FeedService/Put, upstream: app, methods: [POST]}
`

// trial is a bridge with its honest clients, and what is done to it.
type trial struct {
	set     settings
	self    string // this program
	bridge  *process
	honest  *honest
	backend string // its address
	targets struct{ bridge, beside string }

	errs []error
}

// run starts everything, and lets the peers do their harm.
func run(ctx context.Context, set settings) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &trial{set: set}
	if err := t.start(ctx); err != nil {
		return err
	}
	t.honest.comebacks = make([]comeback, set.clients)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	for number := range set.clients {
		clients.Go(func() { t.honest.listen(ctx, number) })
	}
	for number := range directs {
		clients.Go(func() { _ = t.honest.listenDirectly(ctx, t.backend, number) }) // a backend that fails is seen by all
	}
	err := t.honest.ready(ctx, set.clients)
	if err == nil {
		err = t.play(ctx)
	}
	if err != nil {
		if text, readErr := os.ReadFile(filepath.Join(set.dir, "bridge.log")); readErr == nil {
			fmt.Fprintf(os.Stderr, "%s\n", text[max(0, len(text)-4000):])
		}
	}

	return err
}

// start starts the backend, the bridge and the server beside.
func (t *trial) start(ctx context.Context) (err error) {
	if t.self, err = os.Executable(); err != nil {
		return err
	}
	if t.backend, err = free(21_000); err != nil {
		return err
	}
	if _, err := start(ctx, t.set.dir, "backend", nil, t.self, asBackend, "-listen", t.backend); err != nil {
		return err
	}
	if t.targets.beside, err = free(23_000); err != nil {
		return err
	}
	if _, err := start(ctx, t.set.dir, "beside", nil, t.self, asBeside, "-listen", t.targets.beside); err != nil {
		return err
	}
	if t.targets.bridge, err = free(25_000); err != nil {
		return err
	}
	file := filepath.Join(t.set.dir, "ssebridge.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, t.targets.bridge, t.set.admin, t.backend), 0o600); err != nil {
		return err
	}
	t.bridge, err = start(ctx, t.set.dir, "bridge", []string{"GOMEMLIMIT=" + goMemoryLimit},
		t.set.bridge, "serve", "--access-log", "off", "--pprof", "--config", file)
	t.honest = &honest{
		url: "http://" + t.targets.bridge, h1: &http.Transport{DisableCompression: true}, h2c: &http.Transport{Protocols: new(http.Protocols)},
	}
	t.honest.h2c.Protocols.SetUnencryptedHTTP2(true)

	return err
}

// play does all kinds of harm, one after the other and then at once.
func (t *trial) play(ctx context.Context) error {
	t.row("harm", "beside p50", "p99", "direct", "p50", "p99", "at most", "events", "lost", "gaps", "connects", "memory", "bridge", "peers", "")
	t.print("none", outcome{}, t.measure(ctx, t.set.each, "", nil), 0)
	for _, kind := range t.set.kinds {
		t.compare(ctx, kind, t.set.each, t.set.each, []string{kind})
	}
	if t.set.all > 0 {
		t.compare(ctx, "all", min(t.set.all, besideAll), t.set.all, t.set.kinds)
	}

	return errors.Join(append(t.errs, ctx.Err())...)
}

// compare does harm to the server beside, and then to the bridge, and judges.
func (t *trial) compare(ctx context.Context, name string, beside, bridge time.Duration, kinds []string) {
	share := t.measure(ctx, beside, t.targets.beside, kinds)
	t.honest.resumes.Reset()
	found := t.measure(ctx, bridge, t.targets.bridge, kinds)
	if ctx.Err() != nil {
		return
	}
	least := max(share.p99, found.direct)
	most := max(time.Duration(slower*float64(least)), least+leeway)
	t.print(name, share, found, most)
	complain := func(format string, args ...any) {
		t.errs = append(t.errs, fmt.Errorf(name+": "+format, args...))
	}
	if found.p99 > most {
		complain("the p99 is %s, over %s", round(found.p99), round(most))
	}
	if resumed := t.honest.slowest(); resumed > soon {
		complain("a client that came back waited %s for what it had missed", round(resumed))
	}
	if found.ended {
		complain("the bridge has ended")
	}
	if found.peak > memoryLimit {
		complain("the bridge has had %d MiB, over %d", found.peak>>20, memoryLimit>>20)
	}
	if wanted := int64(float64(t.set.clients) * bridge.Seconds() / every.Seconds() / 2); found.events < wanted {
		complain("%d events came, of twice %d", found.events, wanted)
	}
	if found.lost > 0 || found.gaps > 0 || found.refused > 0 || found.wrong > 0 {
		complain("%d events are lost, %d gaps were told, %d answers would stop a browser, %d streams break the contract",
			found.lost, found.gaps, found.refused, found.wrong)
	}
}

// outcome is what honest clients noticed in a time, and what it cost.
type outcome struct {
	p50, p99    time.Duration
	direct      time.Duration // the p99 of clients of the backend itself
	tally                     // of that time
	peak        int64
	bridge, cpu float64 // processors that the bridge and the peers used
	ended       bool
}

// measure does harm to a server for a time.
func (t *trial) measure(ctx context.Context, lasts time.Duration, addr string, kinds []string) (found outcome) {
	if t.bridge.ended() || ctx.Err() != nil {
		return outcome{ended: true}
	}
	h := t.honest
	h.lateness.Reset()
	h.direct.Reset()
	before, cpu := h.tally(), t.bridge.cpu()
	t.bridge.resetPeak()
	harm, stop := context.WithCancel(ctx)
	defer stop()
	var peers *process
	if len(kinds) > 0 {
		var err error
		peers, err = start(harm, t.set.dir, "peers", []string{"GOMEMLIMIT=500MiB"}, t.self, asPeers,
			"-target", addr, "-kinds", strings.Join(kinds, ","), fmt.Sprintf("-proxied=%t", addr == t.targets.bridge))
		if err != nil {
			t.errs = append(t.errs, err)

			return outcome{}
		}
	}
	pause(ctx, lasts)
	found = outcome{
		p50: h.lateness.Quantile(0.5), p99: h.lateness.Quantile(0.99), direct: h.direct.Quantile(0.99),
		bridge: (t.bridge.cpu() - cpu).Seconds() / lasts.Seconds(),
	}
	if peers != nil {
		found.cpu = peers.cpu().Seconds() / lasts.Seconds()
		if peers.ended() {
			t.errs = append(t.errs, errors.New("the peers have ended by themselves"))
		}
		stop()
		<-peers.done
	}
	pause(ctx, t.set.rest)
	found.tally, found.peak, found.ended = h.tally().since(before), t.bridge.peak(), t.bridge.ended()

	return found
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// print prints a line of the table.
func (t *trial) print(name string, beside, found outcome, most time.Duration) {
	verdict := ""
	if found.p99 > most && most > 0 {
		verdict = "too late"
	}
	t.row(name, round(beside.p50), round(beside.p99), round(found.direct), round(found.p50), round(found.p99), round(most),
		found.events, found.lost, found.gaps, found.connects,
		fmt.Sprintf("%d MiB", found.peak>>20), fmt.Sprintf("%.2f", found.bridge), fmt.Sprintf("%.2f", found.cpu), verdict)
}

func (*trial) row(cells ...any) {
	// The last but one are the processors that are used.
	_, _ = fmt.Fprintf(os.Stdout, "%-8v %10v %9v %9v %9v %9v %9v %8v %5v %5v %8v %8v %6v %6v %v\n", cells...) // the terminal may be gone
}
