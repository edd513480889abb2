package topic

import (
	"sync/atomic"

	"github.com/ssebridge/ssebridge/bridge/internal/tally"
)

// Why topics that lingered were ended early: the limit that was reached, as a metric's label.
const (
	evictedTopics = "topics"
	evictedIdle   = "idle_topics"
	evictedBytes  = "replay_bytes"
)

// Counts are what a registry has had to give up.
type Counts struct {
	// Evictions are topics that lingered and were ended for others, by the limit
	// that was reached.
	Evictions *tally.Family[string]
	// Trims is how often the largest log gave up its oldest frames, since all logs
	// together had more memory than they may.
	Trims atomic.Uint64
	// Parted is how many clients were placed in another log, since they kept others
	// of theirs waiting or were kept waiting.
	Parted atomic.Uint64
}

func newCounts() *Counts {
	return &Counts{Evictions: tally.NewFamily(evictedTopics, evictedIdle, evictedBytes)}
}

// Counts returns what the registry has had to give up so far.
func (r *Registry) Counts() *Counts { return r.counts }

// Kind is by what topics are counted.
type Kind struct{ Role, State string }

// Roles returns the roles that topics have.
func Roles() []string {
	return []string{mainRole.String(), privateRole.String(), catchUpRole.String()}
}

// String returns the role as a metric's label.
func (r role) String() string {
	switch r {
	case privateRole:
		return "private"
	case catchUpRole:
		return "catchup"
	default:
		return "main"
	}
}

// States returns the states that topics may be in. Lingering topics have no clients, in any phase;
// stale ones are opening and have notified their clients; the others are named for their phase.
func States() []string {
	return []string{Opening.String(), stale, Live.String(), Broken.String(), Finished.String(), lingering}
}

const (
	lingering = "lingering"
	stale     = "stale"
)

// String returns the phase as a metric's label.
func (p Phase) String() string {
	switch p {
	case Live:
		return "live"
	case Broken:
		return "broken"
	case Finished:
		return "finished"
	default:
		return "opening"
	}
}

// Census counts the topics of each owner. It looks at all of them while no client can join or
// leave: it is for scrapes, not for requests.
func (r *Registry) Census() map[*Owner]map[Kind]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[*Owner]map[Kind]int{}
	for _, f := range r.families {
		kinds := found[f.owner]
		if kinds == nil {
			kinds = map[Kind]int{}
			found[f.owner] = kinds
		}
		for _, t := range f.topics {
			kinds[t.kind()]++
		}
	}
	return found
}

func (t *Topic) kind() Kind {
	if t.reg.clients == 0 {
		return Kind{t.role().String(), lingering}
	}
	status := t.Status()
	if status.Phase == Opening && status.Stale {
		return Kind{t.role().String(), stale}
	}
	return Kind{t.role().String(), status.Phase.String()}
}

// Usage returns how many RPCs have a turn, and how many wait for one.
func (s *Slots) Usage() (running, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running, s.waiting.Len()
}
