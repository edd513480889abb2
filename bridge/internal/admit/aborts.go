package admit

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/ssebridge/ssebridge/internal/address"
)

const (
	// abortsPerSecond and abortsBurst bound how many requests a peer may abort before they
	// are accepted, or within abortedWithin of that. A page that is closed aborts a few.
	abortsPerSecond = 10
	abortsBurst     = 100
	// maxAborting bounds how many peers are remembered. Beyond it the least recently used
	// one is evicted.
	maxAborting = 1 << 16
	// abortedWithin is the age up to which a stream that its client leaves counts as an abort.
	abortedWithin = time.Second
)

// aborts limits HTTP/2 peers whose clients open topics and leave them at once, as in the
// rapid reset attack (CVE-2023-44487): each such request costs an RPC. Only peers that
// abort are remembered. Its methods are safe for concurrent use.
type aborts struct {
	mu    sync.Mutex
	peers *simplelru.LRU[abortKey, *rate.Limiter]
}

// abortKey identifies the peer whose aborts are counted: the address key if the address is
// the client's own, else the connection. It is zero, and nothing is counted, for a trusted
// proxy that names no client, and on HTTP/1.1, where an abort costs the client its
// connection.
type abortKey struct {
	addr netip.Addr
	conn string // the peer's address and port
}

func (p *Permit) abortKey() abortKey {
	switch {
	case p.conn == "":
		return abortKey{}
	case p.from.Own:
		return abortKey{addr: address.Key(p.from.Addr)}
	case p.from.Proxy:
		return abortKey{}
	}
	return abortKey{conn: p.conn}
}

// count counts a request that its client aborted.
func (a *aborts) count(peer abortKey) {
	if peer == (abortKey{}) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.peers == nil {
		peers, err := simplelru.NewLRU[abortKey, *rate.Limiter](maxAborting, nil)
		if err != nil {
			panic(err) // a size below 1
		}
		a.peers = peers
	}
	bucket, ok := a.peers.Get(peer)
	if !ok {
		bucket = rate.NewLimiter(abortsPerSecond, abortsBurst)
		a.peers.Add(peer, bucket)
	}
	bucket.Allow()
}

// allows reports whether a peer may open topics: it has not aborted too many recently.
func (a *aborts) allows(peer abortKey) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.peers == nil {
		return true
	}
	bucket, ok := a.peers.Peek(peer)
	if !ok {
		return true
	}
	tokens := bucket.TokensAt(time.Now())
	if tokens >= abortsBurst {
		a.peers.Remove(peer)
	}
	return tokens >= 1
}
