package delivery

import "time"

// measured is the frame of a group's log whose way to all members is measured.
type measured struct {
	reach reach
	since uint64 // the group's visits when the measurement began
	open  bool   // the frame has not reached all members yet
	due   int    // how many writes are left until a frame is measured
}

// measure begins to measure how long the newest frame takes to all members, if
// no other frame is measured and this one has not been before. In a small group
// that would cost as much as a part of the writes, so only some are.
func (g *group) measure() {
	m := &g.measured
	if m.open {
		return
	}
	came := g.log.NewestAt()
	if came == m.reach.came {
		return
	}
	m.reach.came = came
	if m.due -= g.size; m.due <= 0 {
		m.due, m.since, m.open = sampleEach, g.visits, true
	}
}

// reached reports, once, whether every member has been visited since the
// measurement began. A member whose socket is full has been visited, too.
func (g *group) reached() bool {
	if !g.measured.open || g.first != nil && g.first.visit <= g.measured.since {
		return false
	}
	g.measured.open = false
	return true
}

// observe notes a frame that has reached all members of a group, and begins
// with the next.
func (s *shard) observe(g *group) {
	if g.reached() {
		s.reached = append(s.reached, g.measured.reach)
	}
	g.measure()
}

// tellReached notes how long frames have taken that have come to all. The clock is
// asked once for all of them.
func (s *shard) tellReached() {
	if len(s.reached) == 0 {
		return
	}
	now := time.Now()
	for _, reach := range s.reached {
		reach.observe(Shard, now)
	}
	clear(s.reached)
	s.reached = s.reached[:0]
}

// spots returns the members' positions. It takes some nanoseconds for each; the
// caller evaluates them.
func (s *shard) spots() []spot {
	all := make([]spot, 0, s.slots.len())
	for _, m := range s.slots.members {
		if m != nil && m.session != nil {
			all = append(all, m.session.spot())
		}
	}
	return all
}

// spots asks the shard, if there is one.
func (t *takeover) spots() []spot {
	t.mu.Lock()
	shard := t.shard
	t.mu.Unlock()
	if shard == nil {
		return nil
	}
	answer := make(chan []spot, 1) // so that the loop does not wait
	shard.ask(func(asked *asked) { asked.lags = append(asked.lags, answer) })
	select {
	case all := <-answer:
		return all
	case <-shard.ended:
		return nil
	}
}
