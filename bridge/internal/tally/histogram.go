package tally

import (
	"sync/atomic"
	"time"
)

// Buckets are the inclusive upper bounds of a histogram's buckets, in ascending order. A histogram has one
// more bucket, without a bound.
type Buckets []time.Duration

// Latencies returns buckets from a tenth of a millisecond to half a minute.
func Latencies() Buckets {
	return Buckets{
		100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
		10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	}
}

// Histogram counts durations. Its methods are safe for concurrent use. An observation is two additions
// without a lock.
type Histogram struct {
	bounds Buckets
	counts []atomic.Uint64 // one more than bounds
	sum    atomic.Int64
}

// NewHistogram returns an empty histogram.
func NewHistogram(bounds Buckets) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a duration. A negative one, from a clock that was read too early, counts as 0.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	at := 0
	for at < len(h.bounds) && d > h.bounds[at] {
		at++
	}
	h.counts[at].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot is the content of a histogram at one time.
type Snapshot struct {
	Count uint64
	Sum   time.Duration
	// Within maps each bound, in seconds, to the number of durations up to it.
	Within map[float64]uint64
}

// Snapshot reads the histogram. A concurrent observation may be in Sum and not yet in Count; both never
// decrease.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load()), Within: make(map[float64]uint64, len(h.bounds))}
	for i, bound := range h.bounds {
		s.Count += h.counts[i].Load()
		s.Within[bound.Seconds()] = s.Count
	}
	s.Count += h.counts[len(h.bounds)].Load()
	return s
}
