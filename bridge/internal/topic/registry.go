package topic

import (
	"errors"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// ErrFull says that there are as many topics as the limit allows, and that all of them have
// clients.
var ErrFull = errors.New("topic: the limit of topics is reached")

// ErrClosed says that the registry is closed.
var ErrClosed = errors.New("topic: closed")

// Limits bound a registry.
type Limits struct {
	Topics int // that exist at once; at least 1
	Idle   int // that linger at once; the least recently used ends first; at least 1
	// Bytes is the memory of all logs; at least 1. Beyond it idle topics end first, then
	// the largest log drops its oldest frames.
	Bytes int64
}

// Registry holds all topics of a bridge, and places clients in them. Its methods are safe for
// concurrent use.
type Registry struct {
	limits Limits
	counts *Counts
	budget *replay.Budget
	began  time.Time
	lanes  lanes

	pumps  pumps
	mains  mains
	idle   idleTopics
	relief relief

	mu       sync.Mutex
	families map[string]*family
	topics   int    // in families, without those of retired owners
	lapsed   lapsed // the keys of topics that have ended
	closed   bool
}

// NewRegistry returns an empty registry. Close it.
func NewRegistry(limits Limits) *Registry {
	r := &Registry{
		limits: limits, counts: newCounts(), families: map[string]*family{}, budget: replay.NewBudget(limits.Bytes),
		began: time.Now(), lanes: newLanes(),
	}
	r.pumps.Registry, r.mains.Registry, r.relief.Registry = r, r, r
	r.idle = idleTopics{Registry: r, all: newIdle(limits.Idle), briefs: newBriefs()}
	return r
}

// Close ends all RPCs, and returns when all pumps have ended.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	for _, f := range r.families {
		for _, t := range f.topics {
			t.member.halt()
			if t.reg.linger != nil {
				t.reg.linger.Stop()
			}
		}
	}
	r.mu.Unlock()
	r.pumps.running.Wait()
}

// Topics returns the number of topics, including those that linger, without those of retired
// owners.
func (r *Registry) Topics() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.topics
}

func (t *Topic) finished() bool { return t.Status().Phase == Finished }

// Bytes returns the memory of all logs.
func (r *Registry) Bytes() int64 { return r.budget.Used() }

// KeptBytes returns the memory of the frames that logs retain for their readers.
func (r *Registry) KeptBytes() int64 { return r.budget.Retained() }
