package tally

import (
	"sync/atomic"
	"time"
)

// Buckets are the upper bounds of a histogram's buckets, inclusive and growing. A
// last one, without a bound, is understood.
type Buckets []time.Duration

// Latencies are buckets for what takes from a tenth of a millisecond to half a
// minute.
func Latencies() Buckets {
	return Buckets{
		100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
		10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	}
}

// Histogram counts durations by how long they are. Its methods are safe for
// concurrent use; an observation is two additions and no lock.
type Histogram struct {
	bounds Buckets
	counts []atomic.Uint64 // one more than bounds
	sum    atomic.Int64
}

// NewHistogram returns an empty histogram.
func NewHistogram(bounds Buckets) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a duration. A negative one, of a clock that was asked too early,
// is none.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	at := 0
	for at < len(h.bounds) && d > h.bounds[at] {
		at++
	}
	h.counts[at].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot is what a histogram held at one time.
type Snapshot struct {
	Count uint64
	Sum   time.Duration
	// Within has, for each bound in seconds, how many were not longer.
	Within map[float64]uint64
}

// Snapshot reads the histogram. A value that is observed meanwhile may be in the
// sum and not in the count; both never go back.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load()), Within: make(map[float64]uint64, len(h.bounds))}
	for i, bound := range h.bounds {
		s.Count += h.counts[i].Load()
		s.Within[bound.Seconds()] = s.Count
	}
	s.Count += h.counts[len(h.bounds)].Load()
	return s
}
