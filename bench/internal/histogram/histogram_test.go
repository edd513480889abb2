package histogram

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreThoseOfTheSortedDurations(t *testing.T) {
	var h Histogram
	random := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 100_000 {
		d := time.Duration(random.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		h.Count(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[min(len(all)-1, int(q*float64(len(all))))]
		got := h.Quantile(q)
		if got < want || float64(got) > 1.035*float64(want)+1 {
			t.Errorf("quantile %v: %s, want %s", q, got, want)
		}
	}
	if h.Max() != all[len(all)-1] || h.Total() != uint64(len(all)) {
		t.Errorf("max %s, total %d", h.Max(), h.Total())
	}
	h.Reset()
	if h.Total() != 0 || h.Max() != 0 || h.Quantile(0.5) != 0 {
		t.Error("a reset histogram is not empty")
	}
}

func TestEveryDurationIsInItsBucket(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 31, 32, 33, 63, 64, 65, 1000, time.Second, 18 * time.Minute} {
		if at := bucket(d); ceiling(at) < d || at > 0 && ceiling(at-1) >= d {
			t.Errorf("%d is in bucket %d, which is %d to %d", d, at, ceiling(at-1)+1, ceiling(at))
		}
	}
	var h Histogram
	h.Count(-time.Second)
	h.Count(24 * time.Hour)
	if h.Quantile(0) != 0 || h.Max() != 24*time.Hour {
		t.Errorf("%s to %s", h.Quantile(0), h.Max())
	}
}
