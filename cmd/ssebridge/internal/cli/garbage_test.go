package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPercentOfGarbage(t *testing.T) {
	const mib = 1 << 20
	for name, tc := range map[string]struct {
		live, roots, rate uint64
		want              int
	}{
		"idle":                              {2 * mib, mib, 0, garbagePercent},
		"idle, of much":                     {200 * mib, mib, mib / 10, garbagePercent},
		"busy, of little: a heap of 18 MiB": {2 * mib, mib, 100 * mib, 450},
		"busy, of a little more":            {16 * mib, 0, 100 * mib, 100},
		"busy, of much: more than 16 MiB":   {200 * mib, mib, 100 * mib, garbagePercent},
		"less busy: once a second":          {4 * mib, 0, 4 * mib, 100},
		"nothing is known":                  {0, 0, 0, garbagePercent},
	} {
		if got := percentFor(tc.live, tc.roots, tc.rate); got != tc.want {
			t.Errorf("%s: %d %%, want %d", name, got, tc.want)
		}
	}
}

// allocations are what is allocated in TestBusyHeapIsCollectedLessOften, so that it is on the heap.
var allocations []byte

// TestBusyHeapIsCollectedLessOften: a small heap that is allocated from at a high rate is collected once in some 16 MiB,
// not once in a MiB; and one that has become idle is at its 30 % again and
// has given back what it does not need.
func TestBusyHeapIsCollectedLessOften(t *testing.T) {
	t.Setenv("GOGC", "") // is restored when the test ends
	if err := os.Unsetenv("GOGC"); err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	limitGarbage()
	allocate := func(bytes int) (collections uint32, allocated uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range bytes >> 12 {
			allocations = make([]byte, 4<<10)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC, after.TotalAlloc - before.TotalAlloc
	}
	for began := time.Now(); time.Since(began) < 2*collectEvery; { // until the rate is known
		allocate(16 << 20)
	}
	collections, allocated := allocate(512 << 20)
	allocations = nil
	if apart := allocated / uint64(max(collections, 1)); apart < collectAfter/2 {
		t.Errorf("collections are %d KiB apart", apart>>10)
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for percent() != garbagePercent || keeps() > collectAfter/2 { // no collection is asked for
		select {
		case <-again.C:
		case <-late.C:
			t.Fatalf("an idle heap may have %d %% of garbage, and keeps %d KiB", percent(), keeps()>>10)
		}
	}
}

// keeps is how much of the system's memory the heap has.
func keeps() uint64 {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return now.HeapSys - now.HeapReleased
}

// percent is the percentage that holds.
func percent() uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
