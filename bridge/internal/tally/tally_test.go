package tally

import (
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAFamilyHasAllItsLabelsFromTheStart(t *testing.T) {
	f := NewFamily("gone", "stuck")
	if diff := cmp.Diff(map[string]uint64{"gone": 0, "stuck": 0}, maps.Collect(f.All())); diff != "" {
		t.Error(diff)
	}
	f.Add("stuck", 2)
	f.Add("stuck", 1)
	if diff := cmp.Diff(map[string]uint64{"gone": 0, "stuck": 3}, maps.Collect(f.All())); diff != "" {
		t.Error(diff)
	}
	for label := range f.All() {
		if label != "gone" {
			t.Errorf("the first label is %q", label)
		}
		break
	}
}

// A label from outside would create a new series each time.
func TestAFamilyPanicsOnAnUnknownLabel(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an unknown label was counted")
		}
	}()
	NewFamily("gone").Add("else", 1)
}

func TestAHistogramsBoundsAreInclusive(t *testing.T) {
	h := NewHistogram(Buckets{time.Second, 2 * time.Second})
	for _, d := range []time.Duration{-time.Hour, time.Second, time.Second + 1, 2 * time.Second, time.Hour} {
		h.Observe(d)
	}
	want := Snapshot{Count: 5, Sum: time.Hour + 4*time.Second + 1, Within: map[float64]uint64{1: 2, 2: 4}}
	if diff := cmp.Diff(want, h.Snapshot()); diff != "" {
		t.Error(diff)
	}
}

func TestLatenciesGrow(t *testing.T) {
	all := Latencies()
	for i := 1; i < len(all); i++ {
		if all[i] <= all[i-1] {
			t.Errorf("bucket %d, %v, is not above %v", i, all[i], all[i-1])
		}
	}
}

// Goroutines count for so long that the scheduler interrupts each of them many times, on one processor too: a count that
// is read and written apart loses some of the updates.
func TestConcurrentCountsLoseNothing(t *testing.T) {
	f, h := NewFamily("a"), NewHistogram(Buckets{time.Second})
	// concurrently calls count on several goroutines, and returns how often.
	concurrently := func(count func()) uint64 {
		var total atomic.Uint64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				counted := uint64(0)
				for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); counted += 1000 {
					for range 1000 {
						count()
					}
				}
				total.Add(counted)
			})
		}
		all.Wait()
		return total.Load()
	}
	want := concurrently(func() { f.Add("a", 1) })
	if got := maps.Collect(f.All())["a"]; got != want {
		t.Errorf("counted %d of %d", got, want)
	}
	want = concurrently(func() { h.Observe(1) })
	if s := h.Snapshot(); s.Count != want || s.Sum != time.Duration(want) {
		t.Errorf("the histogram has %d, %v, want %d", s.Count, s.Sum, want)
	}
}
