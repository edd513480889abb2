package delivery

import (
	"slices"
	"sync/atomic"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// group is the members of a shard that read one log.
type group struct {
	shard  *shard
	log    *replay.Log
	grown  atomic.Bool // it is in shard.grown
	ignore func()      // ends the watching

	// Owned by the shard's loop.
	members []*member
	at      int // whom to visit next
	left    int // how many are to be visited
	queued  bool
	pending int   // how many have not been visited since reach was
	reach   reach // the frame that is on its way to all of them
	due     int   // how many writes are left until one is followed
}

func newGroup(shard *shard, log *replay.Log, counts *Counts) *group {
	g := &group{shard: shard, log: log, reach: reach{counts, log, log.NewestAt()}}
	g.ignore = log.Watch(g.wake)
	return g
}

// wake is called by whoever changes the log.
func (g *group) wake() {
	if g.grown.CompareAndSwap(false, true) {
		g.shard.ask(func(asked *asked) { asked.grown = append(asked.grown, g) })
	}
}

func (g *group) add(m *member) {
	m.group, m.index = g, len(g.members)
	g.members = append(g.members, m)
}

// remove takes a member out. Whoever takes its place may have been passed over
// in the round under way, so that all are visited once more.
func (g *group) remove(m *member) {
	last := len(g.members) - 1
	g.members[m.index] = g.members[last]
	g.members[m.index].index = m.index
	g.members[last] = nil
	g.members = g.members[:last]
	if cap(g.members) > 64 && len(g.members) < cap(g.members)/4 {
		g.members = slices.Clip(slices.Clone(g.members))
	}
	if g.left > 0 {
		g.left = len(g.members)
	}
	m.group = nil
}

// next returns the next member of the round, nil at its end. A round goes in
// a circle, so that one that begins anew leaves nobody behind.
func (g *group) next() *member {
	if g.left = min(g.left, len(g.members)); g.left == 0 {
		return nil
	}
	g.left--
	if g.at++; g.at >= len(g.members) {
		g.at = 0
	}
	return g.members[g.at]
}

// queue is groups that wait for their turn.
type queue struct {
	groups []*group
	first  int
}

func (q *queue) empty() bool { return q.first == len(q.groups) }

func (q *queue) add(g *group) {
	if q.first > len(q.groups)/2 { // most of it is behind us
		n := copy(q.groups, q.groups[q.first:])
		clear(q.groups[n:])
		q.groups, q.first = q.groups[:n], 0
	}
	q.groups = append(q.groups, g)
}

func (q *queue) take() *group {
	g := q.groups[q.first]
	q.groups[q.first] = nil
	q.first++
	return g
}
