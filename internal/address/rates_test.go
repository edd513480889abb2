package address

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// taken returns how often an address may act until it has to wait.
func taken(r *Rates, addr netip.Addr) (n int) {
	for n < 1000 && r.Take(addr) {
		n++
	}
	return n
}

func TestRatesOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Rates
		a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:0:1::1")
		sameSubnet := netip.MustParseAddr("2001:db8::2")
		want := func(what string, got, want int) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %d times, want %d", what, got, want)
			}
		}
		want("without a limit", taken(&r, a), 1000)
		r.Limit(2)
		want("at once", taken(&r, a), 20)
		want("by the same /64", taken(&r, sameSubnet), 0)
		want("by another", taken(&r, b), 20)
		time.Sleep(time.Second)
		want("after a second", taken(&r, a), 2)
		time.Sleep(time.Hour)
		want("after an hour", taken(&r, a), 20)
		if r.buckets.Len() != 1 {
			t.Errorf("%d buckets are kept, want a's", r.buckets.Len())
		}

		r.Limit(2)
		want("after a reload that does not change it", taken(&r, a), 0)
		r.Limit(5)
		want("when it has been raised", taken(&r, a), 0)
		time.Sleep(time.Second)
		want("a second later", taken(&r, a), 5)
		time.Sleep(time.Hour)
		r.Limit(1)
		want("when it has been lowered", taken(&r, a), 10)
		r.Limit(0)
		want("without a limit again", taken(&r, a), 1000)
		if r.buckets != nil {
			t.Error("buckets are kept that limit nothing")
		}
	})
}

// A fixed number bounds the buckets under a flood of addresses, and the addresses in use bound them
// after it.
func TestRatesMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Rates
		r.Limit(1)
		at := func(i int) netip.Addr {
			return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i))))
		}
		for i := range maxBuckets + 1000 {
			if !r.Take(at(i)) {
				t.Fatal("an address that was quiet has to wait")
			}
		}
		if r.buckets.Len() != maxBuckets {
			t.Errorf("%d buckets, want %d", r.buckets.Len(), maxBuckets)
		}
		time.Sleep(Burst * time.Second)
		for i := range maxBuckets / 3 {
			if !r.Take(at(i)) {
				t.Fatal("an address that was quiet has to wait")
			}
		}
		if n := r.buckets.Len(); n > maxBuckets/3 {
			t.Errorf("%d buckets are kept that are full", n-maxBuckets/3)
		}
	})
}

// A reservation is made only if its wait is not too long.
func TestRatesReserveOnlyShortWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Rates
		addr := netip.MustParseAddr("203.0.113.5")
		if wait, ok := r.Reserve(addr, 1, 0); wait != 0 || !ok || r.Debt(addr) != 0 {
			t.Errorf("without a limit: %v, %t, a debt of %v", wait, ok, r.Debt(addr))
		}
		r.Limit(2)
		taken(&r, addr)
		for _, want := range []time.Duration{500 * time.Millisecond, time.Second} {
			if wait, ok := r.Reserve(addr, 1, time.Second); wait != want || !ok || r.Debt(addr) != want {
				t.Errorf("%v, %t, a debt of %v, want %v", wait, ok, r.Debt(addr), want)
			}
		}
		if _, ok := r.Reserve(addr, 1, time.Second); ok || r.Debt(addr) != time.Second {
			t.Errorf("a reservation with too long a wait: %t, a debt of %v", ok, r.Debt(addr))
		}
		time.Sleep(time.Second)
		if wait, ok := r.Reserve(addr, 1, time.Second); wait != 500*time.Millisecond || !ok {
			t.Errorf("a second later: %v, %t", wait, ok)
		}
		if other := netip.MustParseAddr("203.0.113.6"); r.Debt(other) != 0 {
			t.Errorf("another address has a debt of %v", r.Debt(other))
		}
	})
}
