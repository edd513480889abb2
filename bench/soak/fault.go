package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// fault is one kind of what goes wrong. Begin does it to a target chosen by
// the random numbers, and returns what makes it good again after some time.
type fault struct {
	name  string
	begin func(r *rand.Rand) (mend func() error, err error)
}

// clientFaults happen between the clients and the bridges.
func (s *soak) clientFaults() []fault {
	pick := func(r *rand.Rand) *front { return s.front[r.IntN(len(s.front))] }
	faults := linkFaults("client", func(r *rand.Rand) proxy { return pick(r).proxy })
	return append(faults, fault{"client: to the other bridge", func(r *rand.Rand) (func() error, error) {
		f := pick(r)
		at := slices.Index(s.bridges, f.to.Load())
		return nothing, f.lead(s.bridges[(at+1)%len(s.bridges)])
	}})
}

// backFaults happen behind the clients' backs.
func (s *soak) backFaults(ctx context.Context) []fault {
	faults := linkFaults("upstream", func(r *rand.Rand) proxy { return s.bridges[r.IntN(len(s.bridges))].back })
	faults = append(faults, fault{"backend: kill -9", func(*rand.Rand) (func() error, error) {
		s.backend.kill()
		return s.backend.start, nil
	}})
	faults = append(faults, s.reloadFaults()...)
	for _, b := range s.bridges {
		faults = append(faults,
			fault{b.name + ": kill -9", func(*rand.Rand) (func() error, error) {
				b.kill()
				return func() error { return b.start(ctx) }, nil
			}},
			fault{b.name + ": SIGTERM", func(*rand.Rand) (func() error, error) {
				b.stop()
				return func() error { return b.start(ctx) }, nil
			}},
		)
	}
	return append(faults, fault{"all bridges: kill -9", func(*rand.Rand) (func() error, error) {
		for _, b := range s.bridges {
			b.kill()
		}
		return func() error {
			var err error
			for _, b := range s.bridges {
				err = errors.Join(err, b.start(ctx))
			}
			return err
		}, nil
	}})
}

func nothing() error { return nil }

// linkFaults are what can be done to a connection.
func linkFaults(where string, pick func(*rand.Rand) proxy) []fault {
	toxicFault := func(name string, choose func(*rand.Rand) []toxic) fault {
		return fault{where + ": " + name, func(r *rand.Rand) (func() error, error) {
			p := pick(r)
			mend := func() error {
				p.heal()
				return nil
			}
			return mend, p.add(choose(r)...)
		}}
	}
	partition := []toxic{{Type: "silence", Stream: downstream}, {Type: "silence", Stream: upstream}}
	return []fault{
		toxicFault("reset", func(*rand.Rand) []toxic {
			return []toxic{{Type: "reset_peer", Stream: downstream, Attributes: map[string]int64{"timeout": 0}}}
		}),
		toxicFault("cut after n bytes", func(r *rand.Rand) []toxic {
			return []toxic{{Type: "limit_data", Stream: downstream, Attributes: map[string]int64{"bytes": 1 + r.Int64N(3000)}}}
		}),
		toxicFault("slow", func(*rand.Rand) []toxic {
			return []toxic{{Type: "bandwidth", Stream: downstream, Attributes: map[string]int64{"rate": 1}}}
		}),
		toxicFault("late", func(r *rand.Rand) []toxic {
			return []toxic{{Type: "latency", Stream: upstream, Attributes: map[string]int64{"latency": 50 + r.Int64N(500), "jitter": 50}}}
		}),
		toxicFault("partition that heals", func(*rand.Rand) []toxic { return partition }),
		{where + ": partition that cuts", func(r *rand.Rand) (func() error, error) {
			p := pick(r)
			mend := func() error {
				p.Stop()
				p.heal()
				return p.Start()
			}
			return mend, p.add(partition...)
		}},
		{where + ": refused", func(r *rand.Rand) (func() error, error) {
			p := pick(r)
			p.Stop()
			return p.Start, nil
		}},
	}
}

// injector does one fault after another.
type injector struct {
	faults []fault
	random *rand.Rand
	// lasts and rests bound how long a fault lasts, and how long it is quiet
	// after one.
	lasts, rests time.Duration
	once         bool // each kind once, and no more
	done         func(name string)
}

// run injects faults until ctx ends, each kind once before any comes again. The
// last fault is made good.
func (i *injector) run(ctx context.Context) error {
	for {
		for _, n := range i.random.Perm(len(i.faults)) {
			if !i.quiet(ctx) {
				return nil
			}
			if err := i.inject(ctx, i.faults[n]); err != nil {
				return fmt.Errorf("fault %q: %w", i.faults[n].name, err)
			}
		}
		if i.once {
			return nil
		}
	}
}

func (i *injector) inject(ctx context.Context, f fault) error {
	mend, err := f.begin(i.random)
	if err != nil {
		return err
	}
	_ = pause(ctx, i.upTo(i.lasts)) // that it is over for today is no reason not to mend
	if err := mend(); err != nil {
		return err
	}
	i.done(f.name)
	return nil
}

// quiet lets nothing happen for a while; it is false where ctx ends meanwhile.
func (i *injector) quiet(ctx context.Context) bool { return pause(ctx, i.upTo(i.rests)) == nil }

func (i *injector) upTo(limit time.Duration) time.Duration {
	return limit/4 + time.Duration(i.random.Int64N(int64(limit)))
}
