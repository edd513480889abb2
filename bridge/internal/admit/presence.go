package admit

import (
	"sync"
)

// Presence counts the requests and streams of a route. When a reload retires the
// route it takes no more of them, and is kept until the last has left. Its methods
// are safe for concurrent use.
type Presence struct {
	retired chan struct{} // closed when the route takes no more requests
	gone    chan struct{} // closed when the last has left after that

	mu     sync.Mutex
	count  int
	closed bool
}

// NewPresence makes the presence of a route that takes requests.
func NewPresence() *Presence {
	return &Presence{retired: make(chan struct{}), gone: make(chan struct{})}
}

// enter counts a request, which is to leave. It is false where the route is
// retired.
func (p *Presence) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.count++
	}
	return !p.closed
}

// leave ends what enter began.
func (p *Presence) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count--
	p.settle()
}

// Retired returns a channel that is closed when the route takes no more requests.
func (p *Presence) Retired() <-chan struct{} { return p.retired }

// Gone returns a channel that is closed when the last request and stream of a retired route
// has ended.
func (p *Presence) Gone() <-chan struct{} { return p.gone }

// Retire ends the taking of requests. It is called once.
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
