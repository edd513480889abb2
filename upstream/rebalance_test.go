package upstream

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// When one address becomes three, each gets its share within the time, and RPCs that cannot be
// moved stay.
func TestRebalancingEvensTheAddresses(t *testing.T) {
	f := startFleet(t, 3)
	f.Publish(f.Backends[0])
	const within = 2 * time.Second
	u := connectTo(t, f, Params{Balance: Balance{Rebalance: within}})
	awaitAddresses(t, u, 1)
	var moved, open atomic.Int32
	movable := func() bool { return true }
	var stay []*Stream
	for i := range 33 {
		if i%11 == 0 {
			stay = append(stay, watch(t, u, nil))
			continue
		}
		open.Add(1)
		go func() {
			defer open.Add(-1)
			for {
				s, err := u.Open(t.Context(), Call{Method: watchMethod, Movable: movable, Replay: i%2 == 0})
				if err != nil {
					return
				}
				err = s.Next(discard)
				s.Close()
				if err != ErrMoved { //nolint:errorlint // it is the sentinel itself
					return
				}
				moved.Add(1)
			}
		}()
	}
	f.Backends[0].AwaitRunning(33)
	begin := time.Now()
	f.Publish(f.Backends...)
	for _, b := range f.Backends {
		b.AwaitRunning(11)
	}
	if took := time.Since(begin); took > within+500*time.Millisecond || took < within/3 {
		t.Errorf("moved over %v, want it spread over %v", took, within)
	}
	if n := moved.Load(); n != 22 || u.pool.moves.Load() != 22 {
		t.Errorf("%d RPCs were moved, counted %d, want 22", n, u.pool.moves.Load())
	}
	for _, s := range stay {
		if s.moved.Load() {
			t.Error("an RPC that may not be moved was moved")
		}
	}
	// One address is removed: it keeps only the RPCs that cannot be moved.
	f.Publish(f.Backends[1], f.Backends[2])
	f.Backends[0].AwaitRunning(3)
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	for open.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// Before the first move, differences of up to a tenth of a share, and of one RPC, count as even.
// Once RPCs are moved, they are moved until all addresses are even.
func TestSmallDifferencesAreLeftAlone(t *testing.T) {
	for _, c := range []struct {
		active         []int
		resting, moves int
	}{
		{[]int{11, 10, 9}, 0, 1},
		{[]int{12, 9, 9}, 2, 2},
		{[]int{2, 1, 1}, 0, 0},
		{[]int{3, 1}, 1, 1},
		{[]int{110, 100, 90}, 0, 10},
		{[]int{111, 100, 89}, 11, 11},
		{[]int{10, 10, 10}, 0, 0},
	} {
		p, lone := lonePool(Params{})
		p.endpoints = nil
		for _, active := range c.active {
			p.endpoints = append(p.endpoints, &endpoint{active: active, connections: []*connection{lone}})
		}
		if resting, moves := p.excessLocked(false), p.excessLocked(true); resting != c.resting || moves != c.moves {
			t.Errorf("%v: %d to be moved, and %d while some are, want %d and %d", c.active, resting, moves, c.resting, c.moves)
		}
	}
}

// A late address gets its share even if the backend's stream limit requires several connections for
// it. If the number of connections is fixed, no RPC is moved without effect.
func TestRebalancingOpensConnectionsBeyondAStreamLimit(t *testing.T) {
	for _, test := range []struct{ connections, want int }{{0, 20}, {4, 20}, {1, 10}} {
		t.Run(strconv.Itoa(test.connections), func(t *testing.T) {
			f := startFleet(t, 2, backendtest.WithMaxConcurrentStreams(10))
			many := test.want * 2
			if test.connections == 1 {
				f.Backends[0].Restart(backendtest.WithMaxConcurrentStreams(100))
				many = 40
			}
			f.Publish(f.Backends[0])
			u := connectTo(t, f, Params{Balance: Balance{Rebalance: time.Second}, Connections: test.connections})
			awaitAddresses(t, u, 1)
			var open sync.WaitGroup
			for range many {
				open.Go(func() {
					for {
						s, err := u.Open(t.Context(), Call{Method: watchMethod, Movable: func() bool { return true }})
						if err != nil {
							return
						}
						err = s.Next(discard)
						s.Close()
						if err != ErrMoved { //nolint:errorlint // it is the sentinel itself
							return
						}
					}
				})
			}
			f.Backends[0].AwaitRunning(many)
			f.Publish(f.Backends...)
			f.Backends[1].AwaitRunning(test.want)
			f.Backends[0].AwaitRunning(many - test.want)
			time.Sleep(unmovedPause + unmovedPause/2)
			if got := u.pool.moves.Load(); got != uint64(test.want) {
				t.Errorf("%d RPCs were moved", got)
			}
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			open.Wait()
		})
	}
}
