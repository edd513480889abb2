package load

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/histogram"
)

// window is the time in which is counted, shared by all clients.
type window struct {
	opened   atomic.Uint64 // how many times
	state    atomic.Pointer[span]
	latency  histogram.Histogram
	progress *progress // nil where it is not wanted
}

// span is from when to when is counted, in Unix nanoseconds.
type span struct{ from, to int64 }

// counts reports whether a moment is in the span.
func (s *span) counts(moment int64) bool { return s != nil && s.from <= moment && moment < s.to }

// open begins to count.
func (w *window) open(now time.Time) {
	w.latency.Reset()
	w.opened.Add(1)
	w.state.Store(&span{now.UnixNano(), math.MaxInt64})
}

// shut ends counting but for latencies of what was sent before.
func (w *window) shut(now time.Time) *span {
	was := w.state.Load()
	if was == nil {
		return &span{}
	}
	is := &span{was.from, now.UnixNano()}
	w.state.Store(is)
	return is
}
