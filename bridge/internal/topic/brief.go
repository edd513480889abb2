package topic

import (
	"math"
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A topic is brief until a client has listened to it for settles. A peer that opens topics of ever
// new keys and leaves each at once costs the backend an RPC for each, and the bridge the rendering of
// all their messages, for as long as they linger. So brief topics have a small share of the topics
// that linger, one in briefShare or leastBrief if that is more, and they end first when others need
// room: such a peer evicts no topic that a client has listened to.
//
// Within its share a brief topic lingers like any other: a page that is reloaded at once finds its
// topic.
const (
	settles    = time.Second
	briefShare = 10
	leastBrief = 16
)

// briefs are the brief topics that linger and have an RPC, the least recently used first. The
// registry's lock guards them.
type briefs struct {
	topics *simplelru.LRU[*Topic, struct{}]
}

func newBriefs() briefs { return briefs{newIdle(math.MaxInt)} }

// mostBrief returns how many brief topics may linger where this many topics may.
func mostBrief(idle int) int { return min(idle, max(leastBrief, idle/briefShare)) }

// victim returns the brief topic that makes room: the oldest one of the address that has most of
// them.
func (b briefs) victim() *Topic {
	oldest, number := map[netip.Addr]*Topic{}, map[netip.Addr]int{}
	var most *Topic
	for _, t := range b.topics.Keys() { // the oldest comes first
		if number[t.reg.from]++; number[t.reg.from] == 1 {
			oldest[t.reg.from] = t
		}
		if most == nil || number[t.reg.from] > number[most.reg.from] {
			most = oldest[t.reg.from]
		}
	}
	return most
}

// now is the time since the registry was made.
func (r *Registry) now() time.Duration { return time.Since(r.began) }
