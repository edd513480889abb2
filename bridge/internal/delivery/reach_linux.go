package delivery

import "time"

// begin has the newest frame followed on its way to all members, if none is under
// way and it has not been before. Where members are few, and following them would
// cost as much as a part of their writes, it is so only for some.
func (g *group) begin() {
	if g.pending > 0 {
		return
	}
	came := g.log.NewestAt()
	if came == g.reach.came {
		return
	}
	g.reach.came = came
	if g.due -= len(g.members); g.due <= 0 {
		g.due, g.pending = sampleEach, len(g.members)
	}
}

// visited counts a visit, and reports whether the frame has come to the last
// member: rounds go in a circle. Who takes the place of one that left may be
// passed over by this; and who is stuck was visited, too.
func (g *group) visited() bool {
	if g.pending == 0 {
		return false
	}
	g.pending = min(g.pending-1, len(g.members))
	return g.pending == 0
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

// spots is how far the members have got. It is some nanoseconds for each; what
// that means is for who asked to find out.
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
