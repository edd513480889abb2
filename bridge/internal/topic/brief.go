package topic

import (
	"math"
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A topic is brief until a client has listened to it for settles. A peer that opens
// topics of ever new keys and leaves each at once costs the backend an RPC for each,
// and the bridge the rendering of all their messages, for as long as they linger. So
// brief topics have a small share of the topics that linger: one in briefShare, and
// leastBrief where that is more. They also go first when others need room, so that
// such a peer pushes out none that a client has listened to.
//
// Within its share a brief topic lingers as any other: a page that is reloaded at
// once finds its topic.
const (
	settles    = time.Second
	briefShare = 10
	leastBrief = 16
)

// briefs are the topics that linger, have an RPC and are brief, the least recently
// used first. They are guarded by the registry's lock.
type briefs struct {
	topics *simplelru.LRU[*Topic, struct{}]
}

func newBriefs() briefs { return briefs{newIdle(math.MaxInt)} }

func newIdle(size int) *simplelru.LRU[*Topic, struct{}] {
	idle, err := simplelru.NewLRU[*Topic, struct{}](size, nil)
	if err != nil {
		panic(err) // a size below 1, which the configuration excludes
	}
	return idle
}

// mostBrief is how many brief topics may linger where idle ones are bounded by a number.
func mostBrief(idle int) int { return min(idle, max(leastBrief, idle/briefShare)) }

// restBrief notes a topic that begins to linger, if it is brief, and ends another one
// where there are too many.
func (r *Registry) restBrief(t *Topic) {
	if phase := t.Status().Phase; t.settled || phase != Opening && phase != Live {
		return
	}
	most := mostBrief(r.limits.Idle)
	r.briefs.topics.Add(t, struct{}{})
	for r.briefs.topics.Len() > most {
		r.evict(r.briefs.victim(), evictedIdle)
	}
}

// victim returns the brief topic that is to make room: the oldest one of the address
// that has most of them.
func (b briefs) victim() *Topic {
	oldest, number := map[netip.Addr]*Topic{}, map[netip.Addr]int{}
	var most *Topic
	for _, t := range b.topics.Keys() { // the oldest comes first
		if number[t.from]++; number[t.from] == 1 {
			oldest[t.from] = t
		}
		if most == nil || number[t.from] > number[most.from] {
			most = oldest[t.from]
		}
	}
	return most
}

// oldestIdle returns the lingering topic that is to make room, nil if there is none.
func (r *Registry) oldestIdle() *Topic {
	if t, _, ok := r.briefs.topics.GetOldest(); ok {
		return t
	}
	t, _, _ := r.idle.GetOldest() // nil if there is none
	return t
}

// unlean gives up a catch-up's hold on the main log. The clients of the one are clients
// of the other.
func (r *Registry) unlean(t *Topic) {
	main := t.leansOn
	if main == nil {
		return
	}
	t.leansOn = nil
	main.settled = main.settled || t.settled
	r.release(main)
}

// now is the time since the registry was made.
func (r *Registry) now() time.Duration { return time.Since(r.began) }
