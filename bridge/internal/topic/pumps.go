package topic

import (
	"context"
	"sync"
)

// pumps start the pumps of topics and see their end. The registry's lock guards them.
type pumps struct {
	*Registry

	running sync.WaitGroup
}

// run starts the topic's pump if it needs one.
func (p *pumps) run(t *Topic) {
	switch {
	case t.Status().Phase != Opening:
	case !t.member.runs():
		p.start(t)
	case t.member.isMerged(): // perhaps before it had a pump, which would have set the status
		t.update(goesOn)
	}
}

// start runs the topic's pump.
func (p *pumps) start(t *Topic) {
	ctx, stop := context.WithCancel(context.Background())
	t.home.mu.Lock()
	t.member.stop = stop
	t.home.mu.Unlock()
	p.running.Go(func() { t.pump.run(ctx) })
}

// unwanted stops the pump of a topic that lingers without a client, instead of opening its RPC
// again: an RPC that harms the backend would be repeated although nobody reads. The next client has
// it opened.
func (p *pumps) unwanted(t *Topic) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.reg.clients > 0 {
		return false
	}
	p.stoppedLocked(t, func(s *Status) { s.Phase, s.Placed, s.Stale = Broken, false, false })
	return true
}

// stopped is the pump's last act: it sets the status that says why, and leaves the topic to the
// next client that joins, or to its end.
func (p *pumps) stopped(t *Topic, change func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stoppedLocked(t, change)
}

func (p *pumps) stoppedLocked(t *Topic, change func(*Status)) {
	t.home.mu.Lock()
	t.member.haltLocked()
	t.member.stop = nil
	merged := t.member.merged
	t.home.mu.Unlock()
	if merged {
		change = goesOn
	}
	t.update(change)
	p.mains.stopped(t)
}

// goesOn sets the status of a topic that is merged. The log that continues it has an RPC and
// messages, so its clients wait for neither.
func goesOn(s *Status) {
	s.Phase, s.Err, s.Placed, s.Stale, s.Messages = Live, nil, true, false, true
}

// runs reports whether the topic has a pump, or had one and is merged.
func (m *member) runs() bool {
	m.home.mu.Lock()
	defer m.home.mu.Unlock()
	return m.stop != nil || m.merged
}

// halt ends the topic's pump, if one runs.
func (m *member) halt() {
	m.home.mu.Lock()
	defer m.home.mu.Unlock()
	m.haltLocked()
}

func (m *member) haltLocked() {
	if m.stop != nil {
		m.stop()
	}
}
