package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ssebridge/ssebridge/bench/internal/ports"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// settings say how large a soak is.
type settings struct {
	seed     uint64
	kinds    []kind
	duration time.Duration // of the faults
	clients  int
	rooms    int           // streams of each kind
	proxies  int           // between clients and bridges
	every    time.Duration // between two messages of a stream
	lasts    time.Duration // about how long a fault lasts
	rests    time.Duration // about how long it is quiet between two
	faults   int           // at least
	each     int           // at least, of each kind
	once     bool          // each kind of fault once, instead of a duration
	direct   bool          // there are no proxies, and no client is difficult
	age      time.Duration // after which the backend ends a connection; 0 is never
	delay    time.Duration // the bridges' drain.delay
	grace    time.Duration // their drain.grace
	margin   time.Duration // how long a bridge may take to exit beyond them, and to be ready
	busiest  float64       // how many times the mean a drain's busiest second may bring; 0: any
	silence  time.Duration // how long a drain may leave a client without a stream; 0: any time
	framing  framing       // of clients behind the balancer
	alone    bool          // there is one bridge
	past     int           // so many messages are due before the first client comes, beside a hundred
	rounds   int           // of paces
	reloads  int           // in calm, before the faults
	table    time.Duration // between two tables
	command  string        // the ssebridge binary
	backend  []string      // the command that runs the backend, its flags to be added
	out      io.Writer
}

// calm is how long all clients may stand still until they are up to date after the last fault.
const calm = 60 * time.Second

// fresh is how many more messages every client has to get to be up to date.
const fresh = 20

// behind is how old the newest message of a client may be that is up to date.
const behind = 3 * time.Second

// Clients come a crowd at a time: all at once would test the kernel's queue of connections.
const (
	crowd      = 100
	crowdEvery = 50 * time.Millisecond
)

// soak is a run.
type soak struct {
	settings settings
	kinds    []kind
	history  history
	dir      string // configurations and logs
	free     ports.Free

	backend     *process
	backendAddr string
	bridges     []*bridge
	front       []*front
	balancer    *balancer // of clients without a front; nil: each has a bridge

	mood     *mood
	watchers []*watcher
	pages    []*page  // that the watchers are on, where several share a connection
	tallies  []*tally // by kind

	mu     sync.Mutex
	faults map[string]int // done
}

// run plays a soak, and returns its failures.
func run(ctx context.Context, set settings) error { return newSoak(set).staged(ctx, (*soak).play) }

func newSoak(set settings) *soak {
	s := &soak{
		settings: set, kinds: set.kinds, faults: map[string]int{}, mood: &mood{lasts: set.lasts, every: set.every},
		// Whole seconds ago, so that each stream has a past.
		history: history{time.Now().Add(-time.Duration(100+set.past) * set.every).Truncate(time.Second), set.every},
	}
	for range s.kinds {
		s.tallies = append(s.tallies, &tally{})
	}
	return s
}

// share is how many clients a kind has at most.
func (s *soak) share() int { return s.settings.clients/len(s.kinds) + 1 }

// play lets the clients watch, injects faults, and waits until all is calm.
func (s *soak) play(ctx context.Context) error { return s.attended(ctx, s.faulty) }

// attended plays under the clients, which leave afterwards.
func (s *soak) attended(ctx context.Context, play func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel() // before the wait
	s.watch(ctx, &watching)
	return play(ctx)
}

func (s *soak) faulty(ctx context.Context) error {
	began := time.Now()
	if err := s.settle(ctx, began, "the first messages"); err != nil {
		return errors.Join(err, s.verdict())
	}
	if err := s.reloadInCalm(ctx); err != nil {
		return errors.Join(err, s.verdict())
	}
	s.mood.difficult.Store(true)
	err := s.harm(ctx, began)
	if err == nil {
		err = s.shown(ctx, began)
	}
	s.mood.difficult.Store(false)
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
	quick := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	narrow := slowTransport()
	for i := range s.settings.clients {
		n, nth := i%len(s.kinds), i/len(s.kinds) // the kind, and which of its clients
		k, room := s.kinds[n], nth%s.settings.rooms
		w := &watcher{
			kind: k, history: s.history, tally: s.tallies[n], mood: s.mood,
			path:   fmt.Sprintf("/%s/%s-%d", k.name, k.name, room),
			doors:  s.doors(nth / s.settings.rooms),
			http:   &http.Client{Transport: quick},
			random: rand.New(rand.NewPCG(s.settings.seed, uint64(i))),
		}
		if k.bulky && nth%2 == 1 {
			w.narrow, w.doors = &http.Client{Transport: narrow}, s.direct(k, nth)
			w.gaits = func() gait { return randomGait(s.mood, w.random) }
		}
		if s.settings.direct {
			w.stays, w.journal = true, &journal{}
		}
		if s.settings.framing != http1 {
			if i%streamsOfPage == 0 {
				s.pages = append(s.pages, newPage(s.balancer, s.settings.framing))
			}
			s.pages[len(s.pages)-1].open(w)
		}
		s.watchers = append(s.watchers, w)
		watching.Go(func() { w.run(ctx) })
		if i%crowd == crowd-1 {
			_ = pause(ctx, crowdEvery) // a client that comes when it is over leaves at once
		}
	}
}

// doors returns the ways of a client that is not slow: a front if there are any, otherwise
// the bridge that the balancer names, otherwise one bridge for good.
func (s *soak) doors(nth int) []door {
	switch {
	case len(s.front) > 0:
		return []door{s.front[nth%len(s.front)]}
	case s.balancer != nil:
		return []door{s.balancer}
	default:
		return []door{s.bridges[nth%len(s.bridges)]}
	}
}

// direct returns the doors of a slow client, without a proxy, which would read for it. On
// routes with cursors the client sometimes comes to another bridge.
func (s *soak) direct(k kind, nth int) []door {
	home := s.bridges[nth/2%len(s.bridges)]
	doors := []door{home}
	if k.resumes {
		doors = append(doors, home)
		for _, b := range s.bridges {
			doors = append(doors, b)
		}
	}
	return doors
}

// shown waits until every kind has shown its gaps and stream-retries, and slow clients every
// gait.
func (s *soak) shown(ctx context.Context, began time.Time) error {
	var missing []string
	s.sayf("%s: the faults are over\n", time.Since(began).Round(time.Second))
	return s.await(ctx, func() error {
		were := len(missing)
		missing = s.missing()
		if len(missing) != were {
			s.sayf("%s: missing %q\n", time.Since(began).Round(time.Second), missing)
		}
		if len(missing) > 0 {
			return fmt.Errorf("this soak has not tried: %s", strings.Join(missing, ", "))
		}
		return nil
	})
}

// missing returns what has not been shown yet.
func (s *soak) missing() []string {
	var missing []string
	gaits := map[string]int{}
	bulky := false
	for i, k := range s.kinds {
		for _, what := range k.shows {
			if !s.tallies[i].shown(what) {
				missing = append(missing, k.name+" "+what)
			}
		}
		c, _ := s.tallies[i].now()
		gaits = sum(gaits, c.gaits)
		bulky = bulky || k.bulky
	}
	for _, gait := range []string{crawls, freeze, ghost} {
		if bulky && gaits[gait] == 0 {
			missing = append(missing, "a client that is slow: "+gait)
		}
	}
	return missing
}

// await waits, for a bounded time, until nothing is wrong.
func (s *soak) await(ctx context.Context, wrong func() error) error {
	return s.awaitProgress(ctx, func() int64 { return 0 }, wrong)
}

// awaitProgress waits until nothing is wrong, as long as something grows.
func (s *soak) awaitProgress(ctx context.Context, progress func() int64, wrong func() error) error {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	best := progress()
	for limit := time.Now().Add(calm); ; {
		err := wrong()
		if err == nil {
			return nil
		}
		if now := progress(); now > best {
			best, limit = now, time.Now().Add(calm)
		}
		if time.Now().After(limit) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// harm injects faults for the run's duration.
func (s *soak) harm(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !s.settings.once {
		time.AfterFunc(s.settings.duration, cancel)
	}
	failed := make(chan error, 2) // one of each injector
	for n, faults := range [][]fault{s.clientFaults(), s.backFaults(ctx)} {
		s.plan(faults)
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

// plan makes an entry for each fault, so that one that is never injected is noticed.
func (s *soak) plan(faults []fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults[f.name] = 0
	}
}

func (s *soak) did(fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[fault]++
}

// settle waits until every client has a message that is due after now. On a busy machine
// that takes long, so it waits as long as any client makes progress.
func (s *soak) settle(ctx context.Context, began time.Time, what string) error {
	due := s.history.newest(time.Now()) + fresh
	got := func() (all int64) {
		for _, w := range s.watchers {
			all += min(w.seen.Load(), due)
		}
		return all
	}
	err := s.awaitProgress(ctx, got, func() error {
		if late := s.late(due, func(*watcher) bool { return false }); len(late) > 0 {
			return fmt.Errorf("%d clients have not got place %d by %s: %s", len(late), due, what, strings.Join(late[:min(len(late), most)], " "))
		}
		return nil
	})
	if err == nil {
		s.sayf("%s: all clients are up to date for %s\n", time.Since(began).Round(time.Second), what)
	}
	return err
}

// late returns the paths of the clients that have not got a place yet, but for
// some.
func (s *soak) late(place int64, ignored func(*watcher) bool) []string {
	var late []string
	for _, w := range s.watchers {
		if w.seen.Load() < place && !ignored(w) {
			late = append(late, w.path)
		}
	}
	return late
}

// fewRPCs waits until the catch-ups have merged: then each bridge has one RPC for each stream
// with a client, and one for each client with an RPC of its own. On a busy machine a client
// may lag at any time and have a catch-up for a moment, so each kind has to be seen once with
// few RPCs, and not all at the same time.
func (s *soak) fewRPCs(ctx context.Context) error {
	conn, err := grpc.NewClient(s.backendAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is under way
	feed := testv1.NewFeedServiceClient(conn)
	merged := map[string]bool{}
	return s.await(ctx, func() error {
		var many []string
		for _, k := range s.kinds {
			if merged[k.name] {
				continue
			}
			got, err := feed.Get(ctx, &testv1.GetRequest{Name: k.name}, grpc.WaitForReady(true))
			if err != nil {
				return err
			}
			enough := int64(len(s.bridges) * s.settings.rooms)
			if k.ownRPCs() {
				enough += int64(s.share())
			}
			n := got.GetKinds().GetInt64Value()
			if merged[k.name] = n <= enough; n > enough {
				many = append(many, fmt.Sprintf("%s %d of %d", k.name, n, enough))
			}
		}
		if len(many) > 0 {
			late := s.late(s.history.newest(time.Now().Add(-behind)), func(*watcher) bool { return false })
			return fmt.Errorf("more RPCs are running than would do: %s; not up to date: %q", strings.Join(many, ", "), late)
		}
		return nil
	})
}
