package admit

import (
	"net/http"
	"sync"
)

// freeBytes is the part of a request, and of its answer, that is not counted against
// limits.pending_bytes. limits.clients bounds the sum of these parts, and small requests are
// admitted while large ones use up the limit.
const freeBytes = 4 << 10

// pool counts bytes against a limit.
type pool struct {
	mu          sync.Mutex
	most, taken int64
}

func (p *pool) limit(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = bytes
}

// take counts bytes, unless they exceed the limit. An unused pool admits any number, so that
// one large answer is possible under any limit: limits.message_bytes bounds an answer, and
// the pool of requests has at least four times limits.request_bytes.
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

// pressed reports whether the pool is nearly used up.
func (p *pool) pressed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken > p.most/4*3
}

// Memory is the share of limits.pending_bytes that one request, or one answer, has taken. It
// is not safe for concurrent use.
type Memory struct {
	pool  *pool
	size  int64 // including freeBytes
	taken int64 // counted in pool
}

// Grow counts more bytes. The error says that the limit is reached.
func (m *Memory) Grow(bytes int) error {
	m.size += int64(bytes)
	more := max(m.size-freeBytes, 0) - m.taken
	if more == 0 {
		return nil
	}
	if !m.pool.take(more) {
		m.size -= int64(bytes)
		return &fullError{limit: LimitPendingBytes}
	}
	m.taken += more
	return nil
}

// force is Grow without the limit, after fits has found room.
func (m *Memory) force(bytes int) {
	m.size += int64(bytes)
	more := max(m.size-freeBytes, 0) - m.taken
	m.pool.give(-more)
	m.taken += more
}

// Release returns the memory to the pool. It may be called repeatedly, and on nil.
func (m *Memory) Release() {
	if m == nil || m.taken == 0 {
		return
	}
	m.pool.give(m.taken)
	m.size, m.taken = 0, 0
}

// HeadSize returns the approximate memory of a request's head.
func HeadSize(r *http.Request) int {
	size := len(r.RequestURI) + len(r.URL.RawQuery) + len(r.Host)
	for name, values := range r.Header {
		size += len(name) + FieldSize*len(values)
		for _, value := range values {
			size += len(value)
		}
	}
	return size
}

// FieldSize is the memory of a header field in addition to its bytes, as in RFC 7541,
// section 4.1.
const FieldSize = 32
