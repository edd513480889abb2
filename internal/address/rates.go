package address

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

const (
	// Burst is the number of seconds whose rate an idle address may use at once: a page has several
	// streams, and all clients of an office return together after a restart.
	Burst = 10
	// maxBuckets bounds the memory, some 300 bytes for each bucket. Beyond it, the least recently
	// used bucket is dropped, and its address counts as idle. A peer with enough addresses to evict
	// a bucket could use each of them anyway.
	maxBuckets = 1 << 16
)

// Rates limit how often each address may act: perSecond times a second, and [Burst] times as often
// at once after a pause. The zero value limits nothing. The methods are safe for concurrent use.
type Rates struct {
	mu        sync.Mutex
	perSecond int // 0: no limit
	buckets   *simplelru.LRU[netip.Addr, *rate.Limiter]
}

// Limit sets how often an address may act in a second; 0 means no limit. Earlier actions still
// count.
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

// Take reports whether an address may act now, and counts the action.
func (r *Rates) Take(addr netip.Addr) bool {
	_, ok := r.Reserve(addr, 1, 0)
	return ok
}

// Reserve reserves an action that counts as count actions, and returns how long the address must
// wait until it may act. If the wait would exceed longest, ok is false, and nothing is reserved.
// count is reduced to the number of actions that an idle address may do at once.
func (r *Rates) Reserve(addr netip.Addr, count int, longest time.Duration) (wait time.Duration, ok bool) {
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
	reservation := bucket.ReserveN(now, min(count, bucket.Burst()))
	if wait = reservation.DelayFrom(now); wait > longest {
		reservation.CancelAt(now)
		return 0, false
	}
	return wait, true
}

// Debt returns how long an address must wait until all its reservations have passed.
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

// forgetFull drops buckets that are full again: a new one would be equal. It examines
// at most four buckets, more than one call adds.
func (r *Rates) forgetFull(now time.Time) {
	for range 4 {
		addr, bucket, ok := r.buckets.GetOldest()
		if !ok || bucket.TokensAt(now) < float64(bucket.Burst()) {
			return
		}
		r.buckets.Remove(addr)
	}
}
