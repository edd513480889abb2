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

	"github.com/ssebridge/ssebridge/bench/internal/child"
	"github.com/ssebridge/ssebridge/bench/internal/ports"
	"github.com/ssebridge/ssebridge/bench/internal/procfs"
)

const (
	// memoryLimit and goMemoryLimit are those of deploy/.
	memoryLimit   = 512 << 20
	goMemoryLimit = "400MiB"
	// slower is how many times later events may be than while the server beside is attacked,
	// or than the backend itself is late. leeway is how much later they may be in any case: a
	// few delays of the scheduler.
	slower = 1.5
	leeway = 10 * time.Millisecond
	// besideAll is how long the server beside is attacked in all ways at once, at most.
	besideAll = time.Minute
)

// configuration has the default limits. The attackers come through a balancer, so that each
// has an address in the Internet, as in a deployment: the limits by address hold for such
// addresses only.
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

// trial is a bridge with its honest clients, and its attackers.
type trial struct {
	set     settings
	self    string // this program
	free    ports.Free
	honest  *honest
	backend string // its address
	targets struct{ bridge, beside string }

	bridge  *child.Process
	helpers []*child.Process // the backend and the server beside

	errs []error // what must not have been
}

// run starts everything, and attacks.
func run(ctx context.Context, set settings) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &trial{set: set}
	defer t.stop()
	if err := t.start(); err != nil {
		return err
	}
	t.honest.comebacks = make([]comeback, set.clients)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel() // before the wait
	for number := range set.clients {
		clients.Go(func() { t.honest.listen(ctx, number) })
	}
	for number := range directs {
		clients.Go(func() { _ = t.honest.listenDirectly(ctx, t.backend, number) }) // the trial notices a backend that has ended
	}
	if err := t.honest.ready(ctx, set.clients); err != nil {
		return errors.Join(err, t.broken(), t.bridge.Died())
	}
	return t.play(ctx)
}

// start starts the backend, the bridge and the server beside.
func (t *trial) start() (err error) {
	if t.self, err = os.Executable(); err != nil {
		return err
	}
	for role, addr := range map[string]*string{asBackend: &t.backend, asBeside: &t.targets.beside} {
		if *addr, err = t.free.Next(); err != nil {
			return err
		}
		helper, err := t.spawn(role, "", t.self, role, "-listen", *addr)
		if err != nil {
			return err
		}
		t.helpers = append(t.helpers, helper)
	}
	if t.targets.bridge, err = t.free.Next(); err != nil {
		return err
	}
	file := filepath.Join(t.set.dir, "ssebridge.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, t.targets.bridge, t.set.admin, t.backend), 0o600); err != nil {
		return err
	}
	t.bridge, err = t.spawn("bridge", goMemoryLimit, t.set.bridge, "serve", "--access-log", "off", "--pprof", "--config", file)
	t.honest = &honest{
		url: "http://" + t.targets.bridge, h1: &http.Transport{DisableCompression: true}, h2c: &http.Transport{Protocols: new(http.Protocols)},
	}
	t.honest.h2c.Protocols.SetUnencryptedHTTP2(true)
	return err
}

// spawn starts a process, with a GOMEMLIMIT if memory is not empty.
func (t *trial) spawn(name, memory string, command ...string) (*child.Process, error) {
	var env []string
	if memory != "" {
		env = []string{"GOMEMLIMIT=" + memory}
	}
	return child.Run(child.Params{Name: name, Log: filepath.Join(t.set.dir, name+".log"), Env: env, Command: command})
}

// stop ends the processes.
func (t *trial) stop() {
	if t.bridge != nil {
		t.bridge.Kill()
	}
	for _, helper := range t.helpers {
		helper.Kill()
	}
}

// broken returns an error if the backend or the server beside has ended: then there is
// nothing to compare with.
func (t *trial) broken() error {
	for _, helper := range t.helpers {
		if err := helper.Died(); err != nil {
			return err
		}
	}
	return nil
}

// play attacks in each way, one after the other, and then in all ways at once.
func (t *trial) play(ctx context.Context) error {
	t.row("attack", "beside p50", "p99", "direct", "p50", "p99", "at most", "events", "lost", "gaps", "connects", "memory", "bridge", "peers", "")
	calm := t.measure(ctx, t.set.each, "", nil)
	t.print("none", outcome{}, calm, 0)
	t.judge(ctx, "none", t.set.each, calm)
	for _, kind := range t.set.kinds {
		if ctx.Err() == nil && t.broken() == nil {
			t.compare(ctx, kind, t.set.each, t.set.each, []string{kind})
		}
	}
	if t.set.all > 0 && ctx.Err() == nil && t.broken() == nil {
		t.compare(ctx, "all", min(t.set.all, besideAll), t.set.all, t.set.kinds)
	}
	return errors.Join(append(t.errs, t.broken(), ctx.Err())...)
}

// complainf notes what must not have been.
func (t *trial) complainf(name, format string, args ...any) {
	t.errs = append(t.errs, fmt.Errorf("%s: %w", name, fmt.Errorf(format, args...)))
}

// compare attacks the server beside and then the bridge, and judges.
func (t *trial) compare(ctx context.Context, name string, beside, bridge time.Duration, kinds []string) {
	share := t.measure(ctx, beside, t.targets.beside, kinds)
	t.judge(ctx, name+", to the server beside", beside, share)
	t.honest.resumes.Reset()
	found := t.measure(ctx, bridge, t.targets.bridge, kinds)
	if ctx.Err() != nil {
		return
	}
	least := max(share.p99, found.direct)
	most := max(time.Duration(slower*float64(least)), least+leeway)
	t.print(name, share, found, most)
	if found.p99 > most {
		t.complainf(name, "the p99 is %s, over %s", round(found.p99), round(most))
	}
	if resumed := t.honest.slowest(); resumed > soon {
		t.complainf(name, "a client that came back waited %s for the events that it had missed; %s", round(resumed), t.honest.waiting())
	}
	t.judge(ctx, name, bridge, found)
}

// judge complains of what no attack excuses. A time that was cut short is not judged.
func (t *trial) judge(ctx context.Context, name string, lasts time.Duration, found outcome) {
	if ctx.Err() != nil {
		return
	}
	if found.ended {
		t.complainf(name, "the bridge has ended")
	}
	if found.peak > memoryLimit {
		t.complainf(name, "the bridge has had %d MiB, over %d", found.peak>>20, memoryLimit>>20)
	}
	if wanted := int64(float64(t.set.clients) * lasts.Seconds() / every.Seconds() / 2); found.events < wanted {
		t.complainf(name, "%d events came, less than half of %d", found.events, 2*wanted)
	}
	if found.lost > 0 || found.gaps > 0 || found.refused > 0 || found.wrong > 0 {
		t.complainf(name, "%d events are lost, %d gaps were told, %d answers would stop a browser, %d times a stream broke the contract",
			found.lost, found.gaps, found.refused, found.wrong)
	}
}

// outcome is what honest clients saw in a time, and what it cost.
type outcome struct {
	p50, p99    time.Duration
	direct      time.Duration // the p99 of clients of the backend itself
	tally                     // of that time
	peak        int64         // bytes of the bridge's memory
	bridge, cpu float64       // processors that the bridge and the attackers used
	ended       bool          // the bridge has
}

// measure attacks a server for a time, or lets the time pass if there are no kinds.
func (t *trial) measure(ctx context.Context, lasts time.Duration, addr string, kinds []string) (found outcome) {
	if t.bridge.Ended() || ctx.Err() != nil {
		return outcome{ended: t.bridge.Ended()}
	}
	h := t.honest
	h.lateness.Reset()
	h.direct.Reset()
	before, used := h.tally(), cpu(t.bridge)
	if err := procfs.ResetPeak(t.bridge.PID()); err != nil {
		t.errs = append(t.errs, err)
	}
	var peers *child.Process
	if len(kinds) > 0 {
		var err error
		peers, err = t.spawn("peers", "500MiB", t.self, asPeers,
			"-target", addr, "-kinds", strings.Join(kinds, ","), fmt.Sprintf("-proxied=%t", addr == t.targets.bridge))
		if err != nil {
			t.errs = append(t.errs, err)
			return outcome{}
		}
		defer peers.Kill()
	}
	pause(ctx, lasts)
	found = outcome{
		p50: h.lateness.Quantile(0.5), p99: h.lateness.Quantile(0.99), direct: h.direct.Quantile(0.99),
		bridge: (cpu(t.bridge) - used).Seconds() / lasts.Seconds(),
	}
	if peers != nil {
		found.cpu = cpu(peers).Seconds() / lasts.Seconds()
		if err := peers.Died(); err != nil {
			t.errs = append(t.errs, err)
		}
		peers.Kill()
	}
	pause(ctx, t.set.rest)
	found.tally, found.ended = h.tally().since(before), t.bridge.Ended()
	if peak, err := procfs.Peak(t.bridge.PID()); err == nil {
		found.peak = peak
	} else if !t.bridge.Ended() {
		t.errs = append(t.errs, err)
	}
	return found
}

// cpu returns the time that a process has had on processors, 0 if it has ended.
func cpu(p *child.Process) time.Duration {
	user, system, err := procfs.CPU(p.PID())
	if err != nil {
		return 0
	}
	return user + system
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

// row prints cells. The two columns before the verdict are processors in use.
func (*trial) row(cells ...any) {
	_, _ = fmt.Fprintf(os.Stdout, "%-8v %10v %9v %9v %9v %9v %9v %8v %5v %5v %8v %8v %6v %6v %v\n", cells...) // the terminal may be gone
}
