package topic

import "time"

// Phase is where a topic stands in its life.
type Phase int

// The phases.
const (
	Opening  Phase = iota // no RPC is accepted yet, or one is being opened again
	Live                  // the backend has accepted the RPC
	Broken                // the RPC failed; the next client opens it again
	Finished              // the last frame is in the log
)

// Status is a moment of a topic's life, immutable.
type Status struct {
	Phase Phase
	// Err is the last failure: while Opening, of the attempt before; when
	// Broken or Finished, what ended the RPC (nil: OK).
	Err error
	// Stale is set while no RPC has worked for some seconds; see placeWatch.
	Stale bool
	// Placed is set while an RPC has its place on a connection.
	Placed bool
	// Messages is set once the topic has delivered a message, or is merged.
	Messages bool
	// Accepted is when the backend accepted the newest RPC that it has accepted.
	Accepted time.Time

	breaks  int           // how often clients were told to come back
	changed chan struct{} // closed at the next change
}

// Changed returns a channel that is closed when the status is no longer true.
func (s *Status) Changed() <-chan struct{} { return s.changed }

// Status returns how the topic stands.
func (t *Topic) Status() *Status { return t.status.Load() }

// update replaces the status and wakes the waiters of the old one and the watchers
// of the log.
func (t *Topic) update(change func(*Status)) {
	defer t.log.Notify()
	t.statusMu.Lock()
	defer t.statusMu.Unlock()
	old := t.status.Load()
	next := *old
	change(&next)
	next.changed = make(chan struct{})
	t.status.Store(&next)
	close(old.changed)
}
