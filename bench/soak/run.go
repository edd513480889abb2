package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// settings say how large a soak is.
type settings struct {
	seed     uint64
	duration time.Duration // of the faults
	clients  int
	rooms    int           // streams of each kind
	proxies  int           // between clients and bridges
	every    time.Duration // between two messages of a stream
	lasts    time.Duration // about how long a fault lasts
	rests    time.Duration // about how long it is quiet between two
	faults   int           // at least
	once     bool          // each kind of fault once, instead of a duration
	table    time.Duration // between two tables
	command  string        // the ssebridge binary
	backend  []string      // the command that runs the backend, its flags to be added
	out      io.Writer
}

// calm is how long everybody may take to be up to date after the last fault.
const calm = 60 * time.Second

// fresh is how many messages more every stream brings before all is well.
const fresh = 20

// behind is how old the newest message of a client may be that is up to date.
const behind = 3 * time.Second

// bridge is one of the bridges, and the proxy in front of its backend.
type bridge struct {
	process *process
	listen  string
	back    proxy
}

// soak is a run.
type soak struct {
	settings settings
	kinds    []kind
	history  history
	dir      string // configurations and logs

	backend     *process
	backendAddr string
	bridges     []*bridge
	front       []proxy

	watchers []*watcher
	tallies  []*tally // by kind

	mu     sync.Mutex
	faults map[string]int // done
}

// run plays a soak and returns what must not have been, nil for nothing.
func run(ctx context.Context, set settings) (err error) {
	s := &soak{
		settings: set, kinds: allKinds(), faults: map[string]int{},
		// Whole seconds ago, so that each stream has a past.
		history: history{time.Now().Add(-100 * set.every).Truncate(time.Second), set.every},
	}
	for range s.kinds {
		s.tallies = append(s.tallies, &tally{})
	}
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
	return s.play(ctx)
}

// open starts the backend, the bridges and the proxies.
func (s *soak) open(ctx context.Context) error {
	made := newProxies()
	free := newPorts(s.settings.seed)
	s.backendAddr = free.next()
	s.backend = newProcess(s.dir, "backend", append(s.settings.backend, "-listen", s.backendAddr,
		"-start", strconv.FormatInt(s.history.start.UnixNano(), 10), "-every", s.settings.every.String())...)
	if err := s.backend.start(ctx); err != nil {
		return err
	}
	for _, name := range []string{"bridge-a", "bridge-b"} {
		b := &bridge{listen: free.next()}
		var err error
		if b.back, err = made.open(name, free.next(), s.backendAddr); err != nil {
			return err
		}
		config := filepath.Join(s.dir, name+".yaml")
		if err := os.WriteFile(config, []byte(s.configuration(b)), 0o600); err != nil {
			return err
		}
		b.process = newProcess(s.dir, name, s.settings.command, "serve", "--config", config)
		if err := b.process.start(ctx); err != nil {
			return err
		}
		s.bridges = append(s.bridges, b)
	}
	for i := range s.settings.proxies {
		front, err := made.open(fmt.Sprintf("front-%d", i), free.next(), s.bridges[i%len(s.bridges)].listen)
		if err != nil {
			return err
		}
		s.front = append(s.front, front)
	}
	return nil
}

// configuration is that of a bridge.
func (s *soak) configuration(b *bridge) string {
	var text strings.Builder
	fmt.Fprintf(&text, `listen: %s
admin: ""
limits: {catchups: 16}
drain: {delay: 0s, grace: 1s}
upstreams: {feed: {target: %q, keepalive: 10s, open_timeout: 2s, reconnect: {max: 1s}}}
routes:
`, b.listen, b.back.Listen)
	for _, k := range s.kinds {
		fmt.Fprintf(&text, "  - {path: \"/%s/{topic}\", rpc: ssebridge.test.v1.FeedService/Watch, upstream: feed, retry: 500ms, write_timeout: 5s, %s}\n",
			k.name, k.keys)
	}
	return text.String()
}

// play lets the clients watch, injects faults, and waits until all is calm.
func (s *soak) play(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel() // before the wait
	began := time.Now()
	s.watch(ctx, &watching)
	if err := s.settle(ctx, began, "the first messages"); err != nil {
		return errors.Join(err, s.verdict())
	}
	err := s.harm(ctx, began)
	if err == nil {
		err = s.settle(ctx, began, "the end")
	}
	if err == nil {
		err = s.fewRPCs(ctx)
	}
	s.report(began)
	return errors.Join(err, s.verdict())
}

// watch starts the clients, spread over kinds, rooms and proxies.
func (s *soak) watch(ctx context.Context, watching *sync.WaitGroup) {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	for i := range s.settings.clients {
		k, room := i%len(s.kinds), i/len(s.kinds)%s.settings.rooms
		front := s.front[i/len(s.kinds)/s.settings.rooms%len(s.front)]
		w := &watcher{
			kind:   s.kinds[k],
			url:    fmt.Sprintf("http://%s/%s/%s-%d", front.Listen, s.kinds[k].name, s.kinds[k].name, room),
			http:   &http.Client{Transport: transport},
			tally:  s.tallies[k],
			random: rand.New(rand.NewPCG(s.settings.seed, uint64(i))),
		}
		s.watchers = append(s.watchers, w)
		watching.Go(func() { w.run(ctx) })
	}
}

// harm injects faults for as long as the run is to last.
func (s *soak) harm(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !s.settings.once {
		time.AfterFunc(s.settings.duration, cancel)
	}
	failed := make(chan error, 2) // one of each injector
	for n, faults := range [][]fault{s.clientFaults(), s.backFaults(ctx)} {
		i := &injector{
			faults: faults, random: rand.New(rand.NewPCG(s.settings.seed, uint64(n)<<32)),
			lasts: s.settings.lasts, rests: s.settings.rests, once: s.settings.once, done: s.did,
		}
		go func() { failed <- i.run(ctx) }()
	}
	table := time.NewTicker(s.settings.table)
	defer table.Stop()
	var err error
	for running := 2; running > 0; {
		select {
		case result := <-failed:
			running--
			if result != nil {
				err = errors.Join(err, result)
				cancel()
			}
		case <-table.C:
			s.report(began)
		}
	}
	return err
}

func (s *soak) did(fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[fault]++
}

// settle waits until every client has got a message that is due some time from
// now: then none stands still.
func (s *soak) settle(ctx context.Context, began time.Time, what string) error {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	due := s.history.newest(time.Now()) + fresh
	for limit := time.Now().Add(calm); ; {
		late := s.late(due)
		switch {
		case len(late) == 0:
			s.sayf("%s: all clients are up to date for %s\n", time.Since(began).Round(time.Second), what)
			return nil
		case time.Now().After(limit):
			return fmt.Errorf("%d clients have not got place %d %s after the last fault: %s", len(late), due, calm, strings.Join(late, " "))
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// late returns the addresses of the clients that have not got a place yet.
func (s *soak) late(place int64) []string {
	var late []string
	for _, w := range s.watchers {
		if w.seen.Load() < place {
			late = append(late, w.url)
		}
	}
	return late
}

// fewRPCs waits until the catch-ups have merged: then each bridge has one RPC
// for each stream that somebody listens to.
func (s *soak) fewRPCs(ctx context.Context) error {
	conn, err := grpc.NewClient(s.backendAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is under way
	feed := testv1.NewFeedServiceClient(conn)
	enough := int64(len(s.bridges) * len(s.kinds) * s.settings.rooms)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for limit := time.Now().Add(calm); ; {
		got, err := feed.Get(ctx, &testv1.GetRequest{}, grpc.WaitForReady(true))
		switch {
		case err != nil:
			return err
		case got.GetKinds().GetInt64Value() <= enough:
			return nil
		case time.Now().After(limit):
			return fmt.Errorf("%d RPCs are running %s after the last fault, where %d would do", got.GetKinds().GetInt64Value(), calm, enough)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close ends all that open has started.
func (s *soak) close() {
	for _, front := range s.front {
		front.Stop()
	}
	for _, b := range s.bridges {
		b.process.kill()
		b.back.Stop()
	}
	if s.backend != nil {
		s.backend.kill()
	}
}

// ports finds free ports below those that the system gives to connections, so
// that none is taken while its process is being restarted.
type ports struct{ random *rand.Rand }

func newPorts(seed uint64) ports {
	return ports{rand.New(rand.NewPCG(seed, rand.Uint64()))}
}

func (p ports) next() string {
	for {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+p.random.IntN(10000)))
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
		if err != nil {
			continue
		}
		if listener.Close() == nil {
			return address
		}
	}
}
