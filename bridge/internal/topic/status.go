package topic

import "time"

// Phase is a part of a topic's life.
type Phase int

// The phases.
const (
	Opening  Phase = iota // no RPC is accepted yet, or one is being reopened
	Live                  // the backend has accepted the RPC
	Broken                // the RPC failed; the next client has it reopened
	Finished              // the last frame is in the log
)

// Status is the state of a topic at one moment. It is immutable.
type Status struct {
	Phase Phase
	// Err is the last failure: while Opening, that of the attempt before; when Broken or Finished,
	// the end of the RPC (nil: OK).
	Err error
	// Stale: no RPC has worked for some seconds; see placeWatch.
	Stale bool
	// Placed: an RPC has its place on a connection.
	Placed bool
	// Messages: the topic has delivered a message, or is merged.
	Messages bool
	// Accepted is when the backend last accepted an RPC.
	Accepted time.Time

	breaks  int           // how often clients were asked to reconnect
	changed chan struct{} // closed when the status is replaced
}

// Changed returns a channel that is closed when the status is no longer true.
func (s *Status) Changed() <-chan struct{} { return s.changed }

// Status returns the topic's state.
func (t *Topic) Status() *Status { return t.status.Load() }

// update replaces the status, and wakes those that wait for a change and the watchers of the log.
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
