package bridge

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// opened is how many topics an address may open until it has to wait.
func opened(o *opens, addr netip.Addr) (n int) {
	for ; n < 1000; n++ {
		if o.take(addr) != nil {
			break
		}
	}
	return n
}

func TestOpensPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o opens
		a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:0:1::1")
		sameHousehold := netip.MustParseAddr("2001:db8::2")
		want := func(what string, got, want int) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %d topics were opened, want %d", what, got, want)
			}
		}
		want("without a limit", opened(&o, a), 1000)
		o.limit(2)
		want("at once", opened(&o, a), 20)
		wantFull(t, o.take(a), limitOpensPerIP)
		want("by the same /64", opened(&o, sameHousehold), 0)
		want("by another", opened(&o, b), 20)
		time.Sleep(time.Second)
		want("after a second", opened(&o, a), 2)
		time.Sleep(time.Hour)
		want("after an hour", opened(&o, a), 20)
		if o.buckets.Len() != 1 {
			t.Errorf("%d buckets are kept, want a's", o.buckets.Len())
		}

		o.limit(2)
		want("after a reload that does not change it", opened(&o, a), 0)
		o.limit(5)
		want("when it has been raised", opened(&o, a), 0)
		time.Sleep(time.Second)
		want("a second later", opened(&o, a), 5)
		time.Sleep(time.Hour)
		o.limit(1)
		want("when it has been lowered", opened(&o, a), 10)
		o.limit(0)
		want("without a limit again", opened(&o, a), 1000)
		if o.buckets != nil {
			t.Error("buckets are kept that limit nothing")
		}
	})
}

// TestOpensMemoryIsBounded: by a number under a flood of addresses, and by those in use after it.
func TestOpensMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o opens
		o.limit(1)
		at := func(i int) netip.Addr {
			return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i))))
		}
		for i := range maxBuckets + 1000 {
			if err := o.take(at(i)); err != nil {
				t.Fatal(err)
			}
		}
		if o.buckets.Len() != maxBuckets {
			t.Errorf("%d buckets, want %d", o.buckets.Len(), maxBuckets)
		}
		time.Sleep(openBurst * time.Second)
		for i := range maxBuckets / 3 {
			if err := o.take(at(i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := o.buckets.Len(); n > maxBuckets/3 {
			t.Errorf("%d buckets are kept that are full", n-maxBuckets/3)
		}
	})
}
