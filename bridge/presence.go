package bridge

import (
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errRetired says that a route has been changed or removed while a request was
// on its way to it: a passing failure.
var errRetired = status.Error(codes.Unavailable, "come back later: reload")

// presence counts the requests and streams of a route. When a reload retires the
// route it takes no more of them, and is kept until the last has left. Its methods
// are safe for concurrent use.
type presence struct {
	retired chan struct{} // closed when the route takes no more requests
	gone    chan struct{} // closed when the last has left after that

	mu     sync.Mutex
	count  int
	closed bool
}

func newPresence() presence {
	return presence{retired: make(chan struct{}), gone: make(chan struct{})}
}

// enter counts a request, which is to leave. It is false where the route is
// retired.
func (p *presence) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.count++
	}
	return !p.closed
}

// stay counts a stream, for a request that has not left yet.
func (p *presence) stay() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
}

// leave ends what enter or stay began.
func (p *presence) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count--
	p.settle()
}

// retire ends the taking of requests. It is called once.
func (p *presence) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	close(p.retired)
	p.settle()
}

func (p *presence) settle() {
	if p.closed && p.count == 0 {
		close(p.gone)
	}
}
