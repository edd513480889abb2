package bridge

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/ssebridge/ssebridge/internal/address"
)

const (
	// openBurst is how many seconds' worth of limits.opens_per_ip an address that was
	// quiet may open at once: a page has several streams, and all clients of an office
	// return together after a restart of the bridge.
	openBurst = 10
	// maxBuckets bounds the memory, some 300 bytes each. Beyond it the bucket that has
	// not been asked longest is forgotten, and its address is as if it had been quiet.
	// A peer with enough addresses to push one out could open from each of them
	// anyway.
	maxBuckets = 1 << 16
)

// opens limits the topics that an address opens: limits.opens_per_ip a second for
// each. Buckets that are found full are dropped. The methods are safe for concurrent
// use.
type opens struct {
	mu      sync.Mutex
	perAddr int // limits.opens_per_ip; 0: no limit
	buckets *simplelru.LRU[netip.Addr, *rate.Limiter]
}

// limit sets how many topics an address may open in a second. Openings before count
// on.
func (o *opens) limit(perAddr int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if perAddr == o.perAddr {
		return
	}
	o.perAddr = perAddr
	if perAddr == 0 {
		o.buckets = nil
		return
	}
	if o.buckets == nil {
		o.buckets = newBuckets()
	}
	now := time.Now()
	for _, bucket := range o.buckets.Values() {
		bucket.SetLimitAt(now, rate.Limit(perAddr))
		bucket.SetBurstAt(now, perAddr*openBurst)
	}
}

func newBuckets() *simplelru.LRU[netip.Addr, *rate.Limiter] {
	buckets, err := simplelru.NewLRU[netip.Addr, *rate.Limiter](maxBuckets, nil)
	if err != nil {
		panic(err) // a size below 1
	}
	return buckets
}

// take lets an address open a topic, or returns a *fullError.
func (o *opens) take(client netip.Addr) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.perAddr == 0 {
		return nil
	}
	now, addr := time.Now(), address.Key(client)
	o.forgetFull(now)
	bucket, ok := o.buckets.Get(addr)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(o.perAddr), o.perAddr*openBurst)
		o.buckets.Add(addr, bucket)
	}
	if !bucket.AllowN(now, 1) {
		return &fullError{limit: limitOpensPerIP}
	}
	return nil
}

// forgetFull forgets buckets that are full again: a new one would be the same. It
// looks at more of them than are ever added at a time, and never at many.
func (o *opens) forgetFull(now time.Time) {
	for range 4 {
		addr, bucket, ok := o.buckets.GetOldest()
		if !ok || bucket.TokensAt(now) < float64(bucket.Burst()) {
			return
		}
		o.buckets.Remove(addr)
	}
}
