package bridge

import (
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

const (
	// abortsPerSecond and abortsBurst are how many requests a connection of HTTP/2 may
	// give up before they are accepted. A page that is left gives up a few.
	abortsPerSecond = 10
	abortsBurst     = 100
)

// aborts holds back connections of HTTP/2 whose client opens streams and resets them
// before they are accepted: each has cost an RPC. Only connections that do so are
// kept, by the peer's address and port. Its methods are safe for concurrent use.
type aborts struct {
	mu    sync.Mutex
	conns *simplelru.LRU[string, *rate.Limiter]
}

// count counts a request that its client gave up.
func (a *aborts) count(r *http.Request) {
	if r.ProtoMajor < 2 {
		return // its connection has ended with it
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns == nil {
		conns, err := simplelru.NewLRU[string, *rate.Limiter](maxBuckets, nil)
		if err != nil {
			panic(err) // a size below 1
		}
		a.conns = conns
	}
	bucket, ok := a.conns.Get(r.RemoteAddr)
	if !ok {
		bucket = rate.NewLimiter(abortsPerSecond, abortsBurst)
		a.conns.Add(r.RemoteAddr, bucket)
	}
	bucket.Allow()
}

// allows reports whether a request's connection may open streams: it has not given up
// too many just now.
func (a *aborts) allows(r *http.Request) bool {
	if r.ProtoMajor < 2 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns == nil {
		return true
	}
	bucket, ok := a.conns.Peek(r.RemoteAddr)
	if !ok {
		return true
	}
	tokens := bucket.TokensAt(time.Now())
	if tokens >= abortsBurst {
		a.conns.Remove(r.RemoteAddr)
	}
	return tokens >= 1
}
