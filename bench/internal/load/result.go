package load

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// Result is what clients got in a window.
type Result struct {
	Clients  int           `json:"clients"`  // that read
	Closed   int           `json:"closed"`   // of all, that the server has closed
	Silent   int           `json:"silent"`   // that read and got nothing
	Behind   int           `json:"behind"`   // that did not get what was sent before the window's end
	Counted  int           `json:"counted"`  // whose events are counted: all but those that do not decompress
	Encoded  int           `json:"encoded"`  // whose responses were compressed
	Seconds  float64       `json:"seconds"`  // how long the window was open
	Events   uint64        `json:"events"`   // of the counted clients
	Bytes    uint64        `json:"bytes"`    // on the wire, of all clients
	Lost     uint64        `json:"lost"`     // places left out
	Doubled  uint64        `json:"doubled"`  // places that came again
	P50      time.Duration `json:"p50"`      // latency
	P99      time.Duration `json:"p99"`      // latency
	Max      time.Duration `json:"max"`      // latency
	OwnUsage time.Duration `json:"ownUsage"` // time on a processor of the load generator
}

// start opens the window, and has a sender begin that waits for the clients.
func (f *fleet) start() error {
	f.window.open(time.Now())
	if f.window.progress != nil {
		return f.window.progress.begin()
	}
	return nil
}

// stop shuts the window and waits, at most as long as patience, until every
// client has what was sent while it was open.
func (f *fleet) stop(ctx context.Context, patience time.Duration) (Result, error) {
	var err error
	if f.window.progress != nil {
		err = f.window.progress.end()
	}
	was := f.window.shut(time.Now())
	if err != nil {
		return Result{}, fmt.Errorf("clients: %w", err)
	}
	return f.result(was, f.catchUp(ctx, was.to, patience)), nil
}

// still is how long a sender that was told to stop must have been silent to have
// stopped: what it had sent before may be on its way.
const still = 100 * time.Millisecond

// catchUp waits until no client is behind, and returns how many are.
func (f *fleet) catchUp(ctx context.Context, moment int64, patience time.Duration) int {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	newest, since := f.newest(), time.Now()
	for {
		behind := f.behind(moment, newest)
		if now := f.newest(); now != newest {
			newest, since = now, time.Now()
		} else if behind == 0 && (f.window.progress == nil || time.Since(since) > still) {
			return 0
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return behind
		}
	}
}

// newest returns the place of the newest event that a client got from a sender
// that has stopped; 0 for others.
func (f *fleet) newest() uint64 {
	if f.window.progress == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var newest uint64
	for _, c := range f.clients {
		newest = max(newest, c.at())
	}
	return newest
}

// behind returns how many clients have not got all that was sent before a
// moment: each has where it got something younger, or, from a sender that has
// stopped, as much as everybody.
func (f *fleet) behind(moment int64, newest uint64) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	behind := 0
	for _, c := range f.clients {
		if !c.has(moment, newest) {
			behind++
		}
	}
	return behind
}

// at returns the place of a client's newest event.
func (c *client) at() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// has reports whether a client has all that was sent before a moment, or cannot
// be asked.
func (c *client) has(moment int64, newest uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.stalled || c.encoded || c.lastSent >= moment || newest > 0 && c.last >= newest
}

// result adds up what the clients got.
func (f *fleet) result(was *span, behind int) Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := Result{
		Behind: behind, Encoded: f.encoded, Seconds: time.Duration(was.to - was.from).Seconds(),
		P50: f.window.latency.Quantile(0.5), P99: f.window.latency.Quantile(0.99), Max: f.window.latency.Max(),
		OwnUsage: ownUsage(),
	}
	for _, c := range f.clients {
		c.add(&r)
	}
	return r
}

// add adds a client's counts to a result.
func (c *client) add(r *Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renew()
	if c.closed {
		r.Closed++
	}
	if !c.stalled {
		r.Clients++
		if c.counts.bytes == 0 {
			r.Silent++
		}
		if !c.encoded {
			r.Counted++
		}
	}
	r.Events += c.counts.events
	r.Bytes += c.counts.bytes
	r.Lost += c.counts.lost
	r.Doubled += c.counts.doubled
}

// ownUsage returns the time that this process has been on a processor.
func ownUsage() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
