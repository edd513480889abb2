package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// memoryLimit and goMemoryLimit are what deploy/ has.
	memoryLimit   = 512 << 20
	goMemoryLimit = "400MiB"
	// slower is how much later events may be under attack, and leeway is what the machine
	// itself may add where they are not late at all: the attackers run on it, too.
	slower = 1.5
	leeway = 20 * time.Millisecond
)

type settings struct {
	clients         int
	each, all, rest time.Duration
	kinds           []attack
	bridge          string // the binary
	dir, admin      string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == asBackend {
		fail(runBackend(os.Args[2:]))

		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := byFlags(ctx); err != nil {
		stop()
		fail(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, "PASS") // to nobody, if the terminal is gone
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		fmt.Fprintln(os.Stderr, "FAIL")
		os.Exit(1)
	}
}

func byFlags(ctx context.Context) error {
	set := settings{}
	flag.IntVar(&set.clients, "clients", 200, "how many honest clients listen")
	flag.DurationVar(&set.each, "each", 20*time.Second, "how long each kind of attack lasts")
	flag.DurationVar(&set.all, "all", 10*time.Minute, "how long all kinds last at once; 0 leaves that out")
	flag.DurationVar(&set.rest, "rest", 3*time.Second, "the time between two attacks")
	only := flag.String("only", "", "the kinds of attack, a comma between two; all if empty")
	flag.StringVar(&set.admin, "admin", "", "the bridge's admin address, for its metrics and profiles; off if empty")
	flag.StringVar(&set.bridge, "bridge", "", "the bridge's binary; built if empty")
	flag.Parse()
	set.kinds = attacks()
	if *only != "" {
		names := strings.Split(*only, ",")
		set.kinds = slices.DeleteFunc(set.kinds, func(a attack) bool { return !slices.Contains(names, a.name) })
		if len(set.kinds) != len(names) {
			return fmt.Errorf("there is an unknown kind in %q", *only)
		}
	}
	dir, err := os.MkdirTemp("", "hostile")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder of its own
	set.dir = dir
	if set.bridge == "" {
		set.bridge = filepath.Join(dir, "ssebridge")
		build := exec.CommandContext(ctx, "go", "build", "-o", set.bridge, "github.com/ssebridge/ssebridge/cmd/ssebridge") //nolint:gosec // our own
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("the bridge does not build: %w\n%s", err, output)
		}
	}

	return run(ctx, set)
}

// configuration is as short as a newcomer's: all limits are the defaults.
const configuration = `listen: %s
admin: %q
drain: {delay: 0s, grace: 1s}
upstreams:
  app: {target: '%s'}
routes:
  - {path: /shared, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, share: true, request: {query: true}, event: {id: seq}, resume: {field: after}}
  - {path: /private, rpc: ssebridge.test.v1.FeedService/Watch, upstream: app, request: {query: true}, event: {id: seq}, resume: {field: after}}
  - {path: '/things/{name}', rpc: ssebridge.test.v1.FeedService/Get, upstream: app}
  - {path: /put, rpc: ssebridge.test.v1.FeedService/Put, upstream: app, methods: [POST]}
`

// free returns an address that nobody listens at, from a port on, below those that connections are given.
func free(from int) (string, error) {
	for port := from; port < 30_000; port++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr); err == nil {
			return addr, listener.Close()
		}
	}

	return "", errors.New("there is no free port")
}

// started is a process that has been started.
type started struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func start(ctx context.Context, log string, env []string, args ...string) (*started, error) {
	output, err := os.Create(log) //nolint:gosec // a file in our own folder
	if err != nil {
		return nil, err
	}
	defer output.Close()                                  //nolint:errcheck // the process has its own
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // our own binaries
	cmd.Stdout, cmd.Stderr, cmd.Env = output, output, append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &started{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // that it has ended says it all
		close(s.done)
	}()

	return s, nil
}

func (s *started) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// peak returns the most memory that the process has had resident since resetPeak.
func (s *started) peak() int64 { return s.status("VmHWM:") }

func (s *started) resetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0)
}

func (s *started) status(field string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == field {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)

			return kib << 10
		}
	}

	return 0
}

// run starts everything and attacks.
func run(ctx context.Context, set settings) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	app, err := free(21_000)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := start(ctx, filepath.Join(set.dir, "backend.log"), nil, self, asBackend, "-listen", app); err != nil {
		return err
	}
	public, err := free(25_000)
	if err != nil {
		return err
	}
	file := filepath.Join(set.dir, "ssebridge.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, public, set.admin, app), 0o600); err != nil {
		return err
	}
	bridge, err := start(ctx, filepath.Join(set.dir, "bridge.log"), []string{"GOMEMLIMIT=" + goMemoryLimit},
		set.bridge, "serve", "--access-log", "off", "--pprof", "--config", file)
	if err != nil {
		return err
	}
	h := &honest{url: "http://" + public, h1: &http.Transport{DisableCompression: true}, h2c: &http.Transport{Protocols: new(http.Protocols)}}
	h.h2c.Protocols.SetUnencryptedHTTP2(true)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	for number := range set.clients {
		clients.Go(func() { h.listen(ctx, number) })
	}
	if err := h.ready(ctx, set.clients); err != nil {
		return err
	}
	t := trial{set: set, bridge: bridge, honest: h, target: target{public}}
	err = t.play(ctx)
	if err != nil {
		if text, readErr := os.ReadFile(filepath.Join(set.dir, "bridge.log")); readErr == nil {
			fmt.Fprintf(os.Stderr, "%s\n", text[max(0, len(text)-4000):])
		}
	}

	return err
}

// ready waits until the clients listen.
func (h *honest) ready(ctx context.Context, clients int) error {
	for range 300 {
		if h.events.Swap(0) >= int64(clients) {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}

	return errors.New("the honest clients do not get their events")
}

// trial is the attacks on one bridge.
type trial struct {
	set    settings
	bridge *started
	honest *honest
	target target

	quiet time.Duration // the p99 of events without harm
	errs  []error
}

func (t *trial) play(ctx context.Context) error {
	_, _ = fmt.Fprintf(os.Stdout, "%-10s %8s %8s %8s %6s %6s %8s %8s\n", "attack", "p50", "p99", "events", "lost", "gaps", "connects", "memory")
	t.measure(ctx, "none", t.set.each, nil)
	for _, kind := range t.set.kinds {
		t.measure(ctx, kind.name, t.set.each, []attack{kind})
	}
	if t.set.all > 0 {
		t.measure(ctx, "all", t.set.all, t.set.kinds)
	}

	return errors.Join(append(t.errs, ctx.Err())...)
}

// measure attacks for a time, and says what honest clients noticed.
func (t *trial) measure(ctx context.Context, name string, lasts time.Duration, kinds []attack) {
	if t.bridge.ended() || ctx.Err() != nil {
		return
	}
	h := t.honest
	h.lateness.Reset()
	h.connects.Store(0)
	lost, gaps, refused, events := h.lost.Load(), h.gaps.Load(), h.refused.Load(), h.events.Load()
	t.bridge.resetPeak()
	harm, stop := context.WithTimeout(ctx, lasts)
	defer stop()
	var all sync.WaitGroup
	for _, kind := range kinds {
		all.Go(func() { kind.run(harm, t.target) })
	}
	<-harm.Done()
	p50, p99 := h.lateness.Quantile(0.5), h.lateness.Quantile(0.99)
	all.Wait()
	lost, gaps, refused, events = h.lost.Load()-lost, h.gaps.Load()-gaps, h.refused.Load()-refused, h.events.Load()-events
	peak := t.bridge.peak()
	_, _ = fmt.Fprintf(os.Stdout, "%-10s %8s %8s %8d %6d %6d %8d %5d MiB\n",
		name, p50.Round(100*time.Microsecond), p99.Round(100*time.Microsecond), events, lost, gaps, h.connects.Load(), peak>>20)
	complain := func(format string, args ...any) {
		t.errs = append(t.errs, fmt.Errorf(name+": "+format, args...))
	}
	if name == "none" {
		t.quiet = p99
	} else if most := max(time.Duration(slower*float64(t.quiet)), t.quiet+leeway); p99 > most {
		complain("the p99 is %s, over %s", p99, most)
	}
	switch {
	case t.bridge.ended():
		complain("the bridge has ended")
	case peak > memoryLimit:
		complain("the bridge has had %d MiB, over %d", peak>>20, memoryLimit>>20)
	}
	if lost > 0 || refused > 0 || events < int64(float64(t.set.clients)*lasts.Seconds()/every.Seconds()/2) {
		complain("%d events are lost, %d answers would stop a browser, and %d events came", lost, refused, events)
	}
	select {
	case <-time.After(t.set.rest):
	case <-ctx.Done():
	}
}
