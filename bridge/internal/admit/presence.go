package admit

import (
	"sync"
)

// Presence counts the requests and streams of a route. A route that a reload retires admits
// no more of them, and lives until the last one has ended. Its methods are safe for
// concurrent use.
type Presence struct {
	retired chan struct{} // closed when the route admits no more requests
	gone    chan struct{} // closed when no request or stream is left after that

	mu     sync.Mutex
	count  int
	closed bool
}

// NewPresence returns the presence of a route that admits requests.
func NewPresence() *Presence {
	return &Presence{retired: make(chan struct{}), gone: make(chan struct{})}
}

// enter counts a request, until leave is called. It returns false if the route is retired.
func (p *Presence) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.count++
	}
	return !p.closed
}

// leave ends a request that enter has counted.
func (p *Presence) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count--
	p.settle()
}

// Retired returns a channel that is closed when the route admits no more requests.
func (p *Presence) Retired() <-chan struct{} { return p.retired }

// Gone returns a channel that is closed when the last request and stream of a retired route
// has ended.
func (p *Presence) Gone() <-chan struct{} { return p.gone }

// Retire makes the route admit no more requests. It is called once.
func (p *Presence) Retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	close(p.retired)
	p.settle()
}

func (p *Presence) settle() {
	if p.closed && p.count == 0 {
		close(p.gone)
	}
}
