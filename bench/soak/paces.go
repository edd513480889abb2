package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/program"
)

// asPaces is the first argument with which the program measures how long slow clients
// delay clients at the same cursor, instead of a soak.
const asPaces = "paces"

const (
	// slower is how many times longer clients may take to be up to date if slow ones came
	// with them, and slack is how much longer in any case: a slow client is parted from the
	// others after 250 ms.
	slower = 1.5
	slack  = 500 * time.Millisecond
)

// pacing has clients come back at one cursor, far behind, with slow ones among them and
// without.
type pacing struct {
	soak          *soak
	without, with []time.Duration // until all clients that are not slow were up to date, by round
}

// pacesByFlags measures as the command line says.
func pacesByFlags(ctx context.Context, args []string) error {
	set := settings{direct: true, alone: true, rooms: 1, seed: rand.Uint64(), table: time.Minute, out: os.Stdout}
	flags := flag.NewFlagSet(asPaces, flag.ExitOnError)
	flags.IntVar(&set.clients, "clients", 60, "how many clients come back at the cursor, beside the slow ones")
	flags.IntVar(&set.past, "behind", 4000, "how many messages the cursor is behind")
	flags.IntVar(&set.rounds, "rounds", 3, "how often they come without slow ones, and how often with them")
	flags.DurationVar(&set.every, "every", 10*time.Millisecond, "the time between two messages of the stream")
	_ = flags.Parse(args) // exits on errors
	if err := program.NoArgs(flags); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", asPaces)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder of its own
	if set.command, err = program.Build(ctx, dir, false); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	set.backend, set.kinds = []string{self, asBackend}, []kind{pacesKind()}
	return newSoak(set).staged(ctx, (*soak).paced)
}

// paced plays all rounds.
func (s *soak) paced(ctx context.Context) error {
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	p := &pacing{soak: s}
	s.sayf("%d clients come back at one cursor, %d messages behind a stream that brings one each %s\n",
		s.settings.clients, s.settings.past, s.settings.every)
	err := p.play(ctx)
	p.report()
	s.table()
	return errors.Join(err, p.verdict(), s.quiet(), s.verdict())
}

// play plays the rounds, without slow clients and with them in turn.
func (p *pacing) play(ctx context.Context) error {
	for range p.soak.settings.rounds {
		without, err := p.round(ctx, false)
		if err != nil {
			return err
		}
		with, err := p.round(ctx, true)
		if err != nil {
			return err
		}
		p.without, p.with = append(p.without, without), append(p.with, with)
	}
	return nil
}

// round brings the clients, and returns how long it took until all that are not slow were
// up to date. Then the slow ones stop being slow, and round waits for them, too.
func (p *pacing) round(ctx context.Context, withSlow bool) (took time.Duration, err error) {
	s := p.soak
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel() // before the wait
	s.mood.difficult.Store(withSlow)
	defer s.mood.difficult.Store(false)
	at := s.history.newest(time.Now()) - int64(s.settings.past)
	began := time.Now()
	var quick []*watcher
	s.watchers = nil
	if withSlow {
		for _, gaits := range slowGaits() {
			w := p.client(at)
			w.narrow = &http.Client{Transport: slowTransport()}
			w.gaits = gaits.of
			if gaits.returns {
				quick = append(quick, w)
			}
			s.watchers = append(s.watchers, w)
			watching.Go(func() { w.run(ctx) })
		}
	}
	for range s.settings.clients {
		w := p.client(at)
		quick, s.watchers = append(quick, w), append(s.watchers, w)
		watching.Go(func() { w.run(ctx) })
	}
	if took, err = p.awaitUpToDate(ctx, quick, began); err != nil {
		return 0, err
	}
	s.mood.difficult.Store(false)
	if err := s.settle(ctx, began, "the end of the round"); err != nil {
		return 0, err
	}
	return took, s.fewRPCs(ctx)
}

// client returns a client that comes back at a place.
func (p *pacing) client(at int64) *watcher {
	s := p.soak
	return &watcher{
		kind: s.kinds[0], history: s.history, tally: s.tallies[0], mood: s.mood, path: "/paces/paces-0",
		doors: []door{s.bridges[0]}, stays: true, random: rand.New(rand.NewPCG(s.settings.seed, uint64(at))), //nolint:gosec // a place is positive
		http:   &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}},
		lastID: strconv.FormatInt(at, 10), next: at + 1, newest: at,
	}
}

// awaitUpToDate waits until clients have the stream's newest messages, and returns how long
// the last of them took.
func (p *pacing) awaitUpToDate(ctx context.Context, clients []*watcher, began time.Time) (took time.Duration, err error) {
	err = p.soak.await(ctx, func() error {
		missing := 0
		for _, w := range clients {
			if at := w.upToAt.Load(); at != nil {
				took = max(took, at.Sub(began))
			} else {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d clients that are not slow are not up to date", missing, len(clients))
		}
		return nil
	})
	return took, err
}

// slowGait is how one of the slow clients reads its connections.
type slowGait struct {
	of      func() gait
	returns bool // the client itself is not slow: its old connection is
}

// slowGaits returns those of a client that reads 8 KiB a second, one that takes nothing, one
// that is frozen for a while, and one that leaves a ghost behind and comes back at once.
func slowGaits() []slowGait {
	always := func(g gait) func() gait { return func() gait { return g } }
	haunted := false
	return []slowGait{
		{of: always(gait{name: crawls, stretches: []stretch{{forGood, 8 << 10}}})},
		{of: always(gait{name: "stuck", stretches: []stretch{{forGood, 0}}})},
		{of: always(gait{name: freeze, stretches: []stretch{{100 * time.Millisecond, 64 << 10}, {2 * time.Second, 0}, {forGood, fast}}})},
		{returns: true, of: func() gait {
			if haunted {
				return gait{name: "back", quick: true}
			}
			haunted = true
			return gait{
				name: ghost, stretches: []stretch{{100 * time.Millisecond, 64 << 10}, {50 * time.Millisecond, 0}},
				haunts: true, ghost: forGood,
			}
		}},
	}
}

func (p *pacing) report() {
	p.soak.sayf("up to date without slow clients after %s, with them after %s; at most %.1f times as long, and %s\n",
		rounded(p.without), rounded(p.with), slower, slack)
}

func rounded(all []time.Duration) []time.Duration {
	short := make([]time.Duration, len(all))
	for i, d := range all {
		short[i] = d.Round(time.Millisecond)
	}
	return short
}

// verdict compares the rounds' medians, since the machine may be busy in one of them.
func (p *pacing) verdict() error {
	if len(p.with) == 0 {
		return errors.New("there was no round with slow clients")
	}
	without, with := median(p.without), median(p.with)
	if most := time.Duration(slower*float64(without)) + slack; with > most {
		return fmt.Errorf("slow clients keep others waiting: up to date after %s with them, and after %s without", with, without)
	}
	return nil
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}
