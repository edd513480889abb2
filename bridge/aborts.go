package bridge

import (
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

const (
	// abortsPerSecond and abortsBurst are how many requests a client of HTTP/2 may give
	// up before they are accepted. A page that is left gives up a few.
	abortsPerSecond = 10
	abortsBurst     = 100
)

// aborts slows down clients of HTTP/2 that open streams and reset them before they
// are accepted: each has cost an RPC. Only those that do so are kept, by abortKey.
// Its methods are safe for concurrent use.
type aborts struct {
	mu      sync.Mutex
	clients *simplelru.LRU[string, *rate.Limiter]
}

// abortKey is the key of a request's bucket: its connection, or the client's address
// where a trusted proxy names it, since such a connection carries many clients.
func abortKey(r *http.Request) string {
	if forwarded(r) {
		return addrKey(clientAddr(r)).String()
	}
	return r.RemoteAddr
}

// count counts a request that its client gave up.
func (a *aborts) count(r *http.Request) {
	if r.ProtoMajor < 2 {
		return // its connection has ended with it
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.clients == nil {
		clients, err := simplelru.NewLRU[string, *rate.Limiter](maxBuckets, nil)
		if err != nil {
			panic(err) // a size below 1
		}
		a.clients = clients
	}
	key := abortKey(r)
	bucket, ok := a.clients.Get(key)
	if !ok {
		bucket = rate.NewLimiter(abortsPerSecond, abortsBurst)
		a.clients.Add(key, bucket)
	}
	bucket.Allow()
}

// allows reports whether a request's client may open streams: it has not given up too
// many just now.
func (a *aborts) allows(r *http.Request) bool {
	if r.ProtoMajor < 2 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.clients == nil {
		return true
	}
	key := abortKey(r)
	bucket, ok := a.clients.Peek(key)
	if !ok {
		return true
	}
	tokens := bucket.TokensAt(time.Now())
	if tokens >= abortsBurst {
		a.clients.Remove(key)
	}
	return tokens >= 1
}
