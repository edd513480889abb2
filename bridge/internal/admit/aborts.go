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
	// abortsPerSecond and abortsBurst are how many requests a peer may give up in vain:
	// before they are accepted, or within abortedWithin of that. A page that is left gives
	// up a few.
	abortsPerSecond = 10
	abortsBurst     = 100
	// maxAborting bounds how many peers are kept. Beyond it the one that has been quiet
	// longest is forgotten.
	maxAborting = 1 << 16
	// abortedWithin is how soon after its beginning a stream is left that counts.
	abortedWithin = time.Second
)

// aborts holds back peers of HTTP/2 whose clients open topics and leave them at once,
// rapid reset above all (CVE-2023-44487): each has cost an RPC. Only peers that do so
// are kept. Its methods are safe for concurrent use.
type aborts struct {
	mu    sync.Mutex
	peers *simplelru.LRU[abortKey, *rate.Limiter]
}

// abortKey is the peer that is held back: an address that is a client's own, else a
// connection. It is zero, and nothing is held back, for a trusted proxy that names no
// client, and on HTTP/1.1, where each stream that is left costs its client a connection.
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

// count counts a request that its client gave up.
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

// allows reports whether a peer may open topics: it has not given up too many just now.
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
