package address

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

const (
	// Burst is how many seconds' worth an address that was quiet may do at once: a page has
	// several streams, and all clients of an office return together after a restart.
	Burst = 10
	// maxBuckets bounds the memory, some 300 bytes each. Beyond it the bucket that has
	// not been asked longest is forgotten, and its address is as if it had been quiet.
	// A peer with enough addresses to push one out could come from each of them anyway.
	maxBuckets = 1 << 16
)

// Rates limit how often each address may do something: so many times a second, and
// [Burst] times as many at once when it was quiet. The zero value limits nothing. The
// methods are safe for concurrent use.
type Rates struct {
	mu        sync.Mutex
	perSecond int // 0: no limit
	buckets   *simplelru.LRU[netip.Addr, *rate.Limiter]
}

// Limit sets how often an address may do it in a second; 0 is no limit. What was done
// before counts on.
func (r *Rates) Limit(perSecond int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if perSecond == r.perSecond {
		return
	}
	r.perSecond = perSecond
	if perSecond == 0 {
		r.buckets = nil
		return
	}
	if r.buckets == nil {
		r.buckets = newBuckets()
	}
	now := time.Now()
	for _, bucket := range r.buckets.Values() {
		bucket.SetLimitAt(now, rate.Limit(perSecond))
		bucket.SetBurstAt(now, perSecond*Burst)
	}
}

func newBuckets() *simplelru.LRU[netip.Addr, *rate.Limiter] {
	buckets, err := simplelru.NewLRU[netip.Addr, *rate.Limiter](maxBuckets, nil)
	if err != nil {
		panic(err) // a size below 1
	}
	return buckets
}

// Take reports whether an address may do it now.
func (r *Rates) Take(addr netip.Addr) bool {
	_, ok := r.Reserve(addr, 1, 0)
	return ok
}

// Reserve returns how long an address is to wait until it may do something that counts so
// many times, at most longest. Where it would have to wait longer, ok is false, and nothing
// is reserved. What counts more often than an address may at once counts as often as that.
func (r *Rates) Reserve(addr netip.Addr, times int, longest time.Duration) (wait time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perSecond == 0 {
		return 0, true
	}
	now, key := time.Now(), Key(addr)
	r.forgetFull(now)
	bucket, ok := r.buckets.Get(key)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(r.perSecond), r.perSecond*Burst)
		r.buckets.Add(key, bucket)
	}
	turn := bucket.ReserveN(now, min(times, bucket.Burst()))
	if wait = turn.DelayFrom(now); wait > longest {
		turn.CancelAt(now)
		return 0, false
	}
	return wait, true
}

// Debt returns how long an address has to wait until all turns that it has reserved have come.
func (r *Rates) Debt(addr netip.Addr) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perSecond == 0 {
		return 0
	}
	bucket, ok := r.buckets.Peek(Key(addr))
	if !ok {
		return 0
	}
	return max(0, time.Duration(-bucket.TokensAt(time.Now())/float64(r.perSecond)*float64(time.Second)))
}

// forgetFull forgets buckets that are full again: a new one would be the same. It
// looks at more of them than are ever added at a time, and never at many.
func (r *Rates) forgetFull(now time.Time) {
	for range 4 {
		addr, bucket, ok := r.buckets.GetOldest()
		if !ok || bucket.TokensAt(now) < float64(bucket.Burst()) {
			return
		}
		r.buckets.Remove(addr)
	}
}
