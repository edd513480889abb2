package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// garbagePercent is how much garbage may pile up, in percent of the memory in use. A bridge
	// in use has small objects of clients that stay, and logs, which cost a collection nothing.
	// Go's 100 would have a crowd that connects at once take half as much memory again.
	garbagePercent = 30
	// collectAfter is how much a busy bridge may allocate between two collections, however
	// little it has in use. 30 % of a heap of 2 MiB are used up by 1,800 small messages, and
	// collecting that often was a fifth of all processor time (docs/benchmarks.md).
	collectAfter = 16 << 20
	// collectEvery is the distance of collections in a less busy bridge, so that an idle one
	// does not keep memory for garbage.
	collectEvery = time.Second
	// idleAfter is how long no collection may come until a bridge that was busy counts
	// as idle. Go's own collections of an idle program are two minutes apart.
	idleAfter = 2 * collectEvery
	// leastHeap is Go's own least heap at 100 %, to which it applies the percentage as well.
	leastHeap = 4 << 20
)

// limitGarbage paces the garbage collector, unless GOGC does. GOMEMLIMIT holds besides.
func limitGarbage() {
	if _, set := os.LookupEnv("GOGC"); set {
		return
	}
	debug.SetGCPercent(garbagePercent)
	p := &pacer{percent: garbagePercent, since: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	p.allocatedThen = p.allocated()
	p.idle = time.AfterFunc(idleAfter, p.rested)
	p.arm()
}

// pacer sets the percentage of garbage after each collection, and once none has come for
// idleAfter, so that a bridge which was busy does not keep the garbage of that time.
type pacer struct {
	idle *time.Timer

	mu      sync.Mutex
	samples [4]metrics.Sample
	percent int

	// The rate of allocation since a moment at least collectEvery ago.
	since         time.Time
	allocatedThen uint64
	rate          uint64 // bytes a second
}

// arm has collected called after the next collection, which finds the unreachable object.
func (p *pacer) arm() {
	runtime.AddCleanup(&struct{ *pacer }{p}, (*pacer).collected, p)
}

func (p *pacer) collected() {
	p.pace()
	p.arm()
}

// rested gives back what a bridge that was busy has left behind. It may allocate so little from now
// on that it would keep that until Go's own collection.
func (p *pacer) rested() {
	if p.pace() == garbagePercent {
		debug.FreeOSMemory()
	}
}

// pace sets the percentage for what is in use and how fast it is allocated now, and returns it.
func (p *pacer) pace() (percent int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	if age := time.Since(p.since); age >= collectEvery {
		allocated := p.allocated()
		p.rate = uint64(float64(allocated-p.allocatedThen) / age.Seconds())
		p.since, p.allocatedThen = time.Now(), allocated
	}
	live, roots := p.samples[1].Value.Uint64(), p.samples[2].Value.Uint64()+p.samples[3].Value.Uint64()
	// Setting it stops the program for a moment; small differences are not worth that.
	if percent := percentFor(live, roots, p.rate); 8*max(percent, p.percent) > 9*min(percent, p.percent) {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	if p.percent > garbagePercent {
		p.idle.Reset(idleAfter)
	} else {
		p.idle.Stop()
	}
	return p.percent
}

func (p *pacer) read() {
	if p.samples[0].Name == "" {
		for i, name := range []string{"/gc/heap/allocs:bytes", "/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes"} {
			p.samples[i].Name = name
		}
	}
	metrics.Read(p.samples[:])
}

// allocated is how much was allocated so far, freed or not.
func (p *pacer) allocated() uint64 { return p.samples[0].Value.Uint64() }

// percentFor returns the percentage at which the next collection comes after collectEvery or
// collectAfter at a rate of allocation, whichever is less, and not before garbagePercent. Go
// applies it to the live heap and the roots, or to leastHeap where these are less.
func percentFor(live, roots, rate uint64) int {
	allowed := min(rate*uint64(collectEvery/time.Second), collectAfter)
	percent := min(allowed*100/max(live+roots, 1), (live+allowed)*100/leastHeap)
	return max(int(percent), garbagePercent) //nolint:gosec // at most 100 * collectAfter
}
