package load

import (
	"fmt"
	"io"
	"sync"

	"github.com/ssebridge/ssebridge/bench/internal/pace"
)

// ahead is how many places the fastest client may be ahead of the slowest.
const ahead = 1 << 16

// progress knows which place all clients have reached, and tells the sender
// (pace.Window).
type progress struct {
	to io.Writer

	mu      sync.Mutex
	telling bool
	clients int
	reached uint64        // by all
	passed  [ahead]uint32 // how many have passed a place beyond reached, by place mod ahead
	told    uint64
	failed  error
}

// join adds clients, which have reached what all have.
func (p *progress) join(clients int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients += clients
}

// advance notes that a client went from a place to another, passing those between.
func (p *progress) advance(from, to uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to-p.reached >= ahead {
		p.failed = fmt.Errorf("a client is %d events ahead of another", to-p.reached)
		return
	}
	for place := max(from, p.reached) + 1; place <= to; place++ {
		p.passed[place%ahead]++
	}
	p.settle()
}

// leave takes a client away that had got as far as a place.
func (p *progress) leave(at uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients--
	for place := p.reached + 1; place <= at; place++ {
		p.passed[place%ahead]--
	}
	p.settle()
}

// settle finds what all have reached. The lock must be held.
func (p *progress) settle() {
	for p.clients > 0 && int(p.passed[(p.reached+1)%ahead]) >= p.clients {
		p.reached++
		p.passed[p.reached%ahead] = 0
	}
}

// begin has the sender told from now on; at first, so that it begins.
func (p *progress) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.telling, p.told = true, p.reached
	return pace.Tell(p.to, p.reached)
}

// end has the sender told no more, so that it stops.
func (p *progress) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.telling = false
	return p.failed
}

// tell tells what is new; an engine calls it after each batch that it has read.
func (p *progress) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.telling || p.reached == p.told {
		return
	}
	p.told = p.reached
	if err := pace.Tell(p.to, p.reached); err != nil {
		p.failed, p.telling = err, false
	}
}
