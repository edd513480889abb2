// Package histogram counts durations in buckets that are 3 % wide, so that the
// latencies of millions of events take 16 KiB. It is no metrics library.
package histogram

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets are 1/32 of the power of two that they are in.
const (
	fineBits = 5
	fine     = 1 << fineBits
	// longest is the power of two, in nanoseconds, that nothing is told apart from
	// which is longer: 18 minutes.
	longest = 40
)

// Histogram counts durations. The zero value is empty. Its methods may be called
// from any goroutine; a quantile that is taken while others count is of some of
// what they have counted.
type Histogram struct {
	counts [(longest + 1) * fine]atomic.Uint64
	max    atomic.Int64
}

// Count counts a duration once; a negative one as 0, for two clocks' readings
// may be off by a little.
func (h *Histogram) Count(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(d)].Add(1)
	for {
		was := h.max.Load()
		if int64(d) <= was || h.max.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

// bucket returns where a duration is counted.
func bucket(d time.Duration) int {
	n := uint64(d) //nolint:gosec // not negative
	power := bits.Len64(n)
	if power <= fineBits {
		return int(n) //nolint:gosec // below fine
	}
	if power > longest {
		return (longest+1)*fine - 1
	}
	shift := power - fineBits - 1
	return (shift+1)*fine + int(n>>shift)&(fine-1) //nolint:gosec // the top fineBits+1 bits
}

// ceiling returns the longest duration of a bucket.
func ceiling(bucket int) time.Duration {
	if bucket < fine {
		return time.Duration(bucket)
	}
	shift := bucket/fine - 1
	return time.Duration((fine+bucket%fine+1)<<shift - 1)
}

// Reset forgets what was counted.
func (h *Histogram) Reset() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
	h.max.Store(0)
}

// Total returns how many durations were counted.
func (h *Histogram) Total() uint64 {
	var total uint64
	for i := range h.counts {
		total += h.counts[i].Load()
	}
	return total
}

// Quantile returns a duration that the fraction q of those counted do not
// exceed, at most 3 % too long; 0 where nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.Total()
	rank := uint64(q * float64(total))
	var seen uint64
	for i := range h.counts {
		seen += h.counts[i].Load()
		if seen > rank || seen == total && total > 0 {
			return min(ceiling(i), h.Max())
		}
	}
	return 0
}

// Max returns the longest duration exactly.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max.Load()) }
