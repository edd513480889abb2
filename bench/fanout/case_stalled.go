package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/load"
	"github.com/ssebridge/ssebridge/bench/internal/procfs"
)

// smallest is the receive buffer of a client that stalls: what it does not read
// is soon the server's.
const smallest = 4096

const (
	// calm is how many windows without a disturbance say what the p99 is anyway.
	calm = 5
	// longer makes the windows twice as long as others: at 30 events a second the
	// p99 of five seconds is that of one event and a half, and one that comes just
	// when a client connects would be it.
	longer = 2
)

func stalled(ctx context.Context, l *lab, r *report) error {
	r.columns = []string{"", "p50 ms", "p99 ms", "max ms"}
	if err := l.disturb(ctx, r); err != nil {
		return err
	}
	return l.stuck(ctx, r)
}

// disturb compares windows in which one client comes, or has stalled, with
// windows in which nothing happens, in turns. The bar is the range of the latter,
// and of a disturbance the median counts: one window is the highest of six by
// chance alone once in six times.
func (l *lab) disturb(ctx context.Context, r *report) error {
	w := want{pace: "30"}
	c, err := bridge(ctx, l, w)
	if err != nil {
		return err
	}
	defer c.stop()
	if err := l.attach(c, w, false); err != nil {
		return err
	}
	if err := c.lines.connect(1000); err != nil {
		return err
	}
	disturbances := []disturbance{{name: "one client comes", begin: l.comes}, {name: "one client has stalled", begin: l.stalls}}
	var without []float64
	for i := range calm {
		p99, err := l.observe(ctx, c, r, "undisturbed")
		if err != nil {
			return err
		}
		without = append(without, p99)
		if i%2 > 0 {
			continue
		}
		for j := range disturbances {
			if err := l.disturbed(ctx, c, r, &disturbances[j]); err != nil {
				return err
			}
		}
	}
	for _, d := range disturbances {
		r.atMost("p99 of the others, "+d.name, median(d.p99), slices.Max(without), " ms")
	}
	return nil
}

// disturbance is what one more client may do to the others.
type disturbance struct {
	name string
	// begin has another fleet's client do it, in the window that follows; what it
	// returns waits for that.
	begin func(ctx context.Context, other *fleet) (done func() error, err error)
	p99   []float64 // ms of each window
}

// disturbed measures the others while something is done to them, and has it end.
func (l *lab) disturbed(ctx context.Context, c *contender, r *report, d *disturbance) error {
	params := c.load
	params.Transport, params.Window, params.Buffer = load.HTTP1, "", smallest
	other, err := l.fleet(params, false)
	if err != nil {
		return err
	}
	defer other.close()
	done, err := d.begin(ctx, other)
	if err != nil {
		return err
	}
	p99, err := l.observe(ctx, c, r, d.name)
	if err := errors.Join(err, done()); err != nil {
		return err
	}
	d.p99 = append(d.p99, p99)
	return nil
}

// observe measures a window and returns the p99 in milliseconds.
func (l *lab) observe(ctx context.Context, c *contender, r *report, name string) (float64, error) {
	s, err := l.measure(ctx, c, longer*l.duration)
	if err == nil {
		r.row(name, fmt.Sprintf("%.2f", s.p50()), fmt.Sprintf("%.2f", s.p99()), fmt.Sprintf("%.1f", s.worst()))
	}
	return s.p99(), err
}

// comes has a client come in the middle of the window.
func (l *lab) comes(ctx context.Context, other *fleet) (func() error, error) {
	// The start of its process is no part of that.
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	added := make(chan error, 1) // one result
	time.AfterFunc(longer*l.duration/2, func() { added <- other.connect(1) })
	return func() error { return <-added }, nil
}

// stalls has a client stop reading before the window.
func (l *lab) stalls(ctx context.Context, other *fleet) (func() error, error) {
	if err := other.connect(1); err != nil {
		return nil, err
	}
	if _, err := other.order(load.Stall, 1); err != nil {
		return nil, err
	}
	// Its buffers are to be full by then.
	return func() error { return nil }, pause(ctx, 3*time.Second)
}

// What a thousand clients that take nothing may cost.
const (
	stuckClients = 1000
	stuckHeap    = 32.0  // MiB: the log's 8, as much again for Go's collector, and 16 KiB a client
	stuckKernel  = 160.0 // KiB of one client
	// stuckTime is write_timeout and five seconds, and one to fill the buffers.
	stuckTime = impatient + 6*time.Second
	// patienceStuck bounds what they can take of the kernel's memory where nothing else does.
	patienceStuck = 15 * time.Second
)

// stuck has a thousand clients stall at once, on a route that soon gives up.
func (l *lab) stuck(ctx context.Context, r *report) error {
	w := want{pace: "100", route: routeImpatient}
	c, err := bridge(ctx, l, w)
	if err != nil {
		return err
	}
	defer c.stop()
	c.load.Buffer = smallest
	if err := l.attach(c, w, false); err != nil {
		return err
	}
	if err := c.lines.connect(stuckClients); err != nil {
		return err
	}
	connected, err := procfs.Read(c.pids()...)
	if err != nil {
		return err
	}
	if _, err := c.lines.order(load.Stall, stuckClients); err != nil {
		return err
	}
	found, err := l.watchStuck(ctx, c)
	if err != nil {
		return err
	}
	r.atMost("most memory that 1,000 stalled clients add", max(0.01, float64(found.memory-connected.PSS)/(1<<20)), stuckHeap, " MiB")
	r.atMost("most kernel memory of a stalled client", float64(found.kernel)/1024, stuckKernel, " KiB")
	if found.left > 0 {
		r.fails("1,000 stalled clients are dropped, after", fmt.Sprintf("%d are left after %s", found.left, patienceStuck), "≤ "+stuckTime.String())
		return c.died()
	}
	r.atMost("1,000 stalled clients are dropped, after", found.took.Seconds(), stuckTime.Seconds(), " s")
	return c.died()
}

// stuckness is what was seen of clients that take nothing.
type stuckness struct {
	memory int64 // the most PSS
	kernel int64 // the most kernel memory of one client
	left   int   // clients
	took   time.Duration
}

// watchStuck watches a server until it has none left.
func (l *lab) watchStuck(ctx context.Context, c *contender) (found stuckness, err error) {
	start := time.Now()
	for {
		usage, err := procfs.Read(c.pids()...)
		if err != nil {
			return found, err
		}
		sockets, err := procfs.ListenerSockets(ctx, c.port())
		if err != nil {
			return found, err
		}
		found.memory, found.kernel = max(found.memory, usage.PSS), max(found.kernel, sockets.Largest)
		found.took = time.Since(start)
		if found.left = sockets.Count; found.left == 0 || found.took > patienceStuck {
			return found, nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return found, err
		}
	}
}
