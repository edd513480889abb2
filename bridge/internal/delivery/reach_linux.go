package delivery

import "time"

// measurement measures how long one frame takes to reach all members of a group.
type measurement struct {
	reach      reach
	sinceSeq   uint64 // the group's seq at the start: a member with a greater seq was served since
	open       bool   // the measurement is running
	writesLeft int    // writes until the next measurement
}

// measure starts to measure the log's newest frame, unless a measurement runs or measure has seen the
// frame before. In a small group, measuring costs much compared with the writes, so only one of
// writesPerSample writes is measured.
func (g *group) measure() {
	m := &g.measurement
	if m.open {
		return
	}
	came := g.log.NewestAt()
	if came == m.reach.appendedAt {
		return
	}
	m.reach.appendedAt = came
	if m.writesLeft -= g.size; m.writesLeft <= 0 {
		m.writesLeft, m.sinceSeq, m.open = writesPerSample, g.seq, true
	}
}

// reached reports, once, that every member has been served since the measurement began. A member whose
// socket has no room counts as served.
func (g *group) reached() bool {
	if !g.measurement.open || g.first != nil && g.first.seq <= g.measurement.sinceSeq {
		return false
	}
	g.measurement.open = false
	return true
}

// observe ends a measurement that is complete and starts the next.
func (s *shard) observe(g *group) {
	if g.reached() {
		s.reached = append(s.reached, g.measurement.reach)
	}
	g.measure()
}

// recordReached records the completed measurements, with one reading of the clock for all.
func (s *shard) recordReached() {
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

// positions returns the members' positions, which takes some nanoseconds for each. The slower comparison
// with the logs' heads is made outside the loop, by Lags.
func (s *shard) positions() []clientPosition {
	all := make([]clientPosition, 0, s.slots.len())
	for _, m := range s.slots.members {
		if m != nil && m.session != nil {
			all = append(all, m.session.clientPosition())
		}
	}
	return all
}

// positions asks the shard for its members' positions.
func (t *takeover) positions() []clientPosition {
	t.mu.Lock()
	shard := t.shard
	t.mu.Unlock()
	if shard == nil {
		return nil
	}
	answer := make(chan []clientPosition, 1) // capacity 1, so that the loop does not wait
	shard.request(func(r *requests) { r.positions = append(r.positions, answer) })
	select {
	case all := <-answer:
		return all
	case <-shard.ended:
		return nil
	}
}
