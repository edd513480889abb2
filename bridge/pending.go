package bridge

import (
	"net/http"
	"sync"
)

// freeBytes is how much of a request, and of its answer, is not counted against
// limits.pending_bytes: limits.clients bounds how many there are, and small ones
// are to get in while others use the limit up.
const freeBytes = 4 << 10

// pending is the memory that the bridge holds for peers, beside logs
// (limits.pending_bytes): one half is for requests, the other for answers of unary
// methods. Its methods are safe for concurrent use.
type pending struct {
	requests, answers pool
}

// limit sets how much there may be. Bytes that are held stay.
func (p *pending) limit(bytes int64) {
	p.requests.limit(bytes / 2)
	p.answers.limit(bytes - bytes/2)
}

// pool is a number of bytes that are taken and given back.
type pool struct {
	mu          sync.Mutex
	most, taken int64
}

func (p *pool) limit(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = bytes
}

// take takes bytes out of the pool, if it has as many. An empty pool gives any number:
// limits.message_bytes bounds an answer, and the pool of requests has at least four
// times limits.request_bytes.
func (p *pool) take(bytes int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken > 0 && p.taken+bytes > p.most {
		return false
	}
	p.taken += bytes
	return true
}

// fits reports whether take would succeed.
func (p *pool) fits(bytes int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken == 0 || p.taken+bytes <= p.most
}

func (p *pool) give(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken -= bytes
}

func (p *pool) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// pressed reports whether the pool is nearly used up, so that slow peers have less
// time.
func (p *pool) pressed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken > p.most/4*3
}

// load is the part of a pool that one request, or one answer, has taken. It is used
// by one goroutine at a time.
type load struct {
	pool  *pool
	size  int64 // all of it
	taken int64 // what is beyond freeBytes
}

// grow makes the load larger. The error is a *fullError.
func (l *load) grow(bytes int) error {
	l.size += int64(bytes)
	more := max(l.size-freeBytes, 0) - l.taken
	if more == 0 {
		return nil
	}
	if !l.pool.take(more) {
		l.size -= int64(bytes)
		return &fullError{limit: limitPendingBytes}
	}
	l.taken += more
	return nil
}

// force is grow without the limit, for a load that fits has found room for a moment
// ago.
func (l *load) force(bytes int) {
	l.size += int64(bytes)
	more := max(l.size-freeBytes, 0) - l.taken
	l.pool.give(-more)
	l.taken += more
}

// leave gives the load back. It may be called again, and on nil.
func (l *load) leave() {
	if l == nil || l.taken == 0 {
		return
	}
	l.pool.give(l.taken)
	l.size, l.taken = 0, 0
}

// headSize returns about how much memory a request's head takes.
func headSize(r *http.Request) int {
	size := len(r.RequestURI) + len(r.URL.RawQuery) + len(r.Host)
	for name, values := range r.Header {
		size += len(name) + fieldSize*len(values)
		for _, value := range values {
			size += len(value)
		}
	}
	return size
}

// fieldSize is the memory of a header field beside its bytes (RFC 7541, section
// 4.1, counts as much).
const fieldSize = 32
