package delivery

import (
	"sync/atomic"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// group is the members of a shard that read one log. It orders them by their
// last visit, least recent first; a member that joins counts as visited, since
// its shard serves it at once. A round visits the members whose last visit
// precedes the log's last growth, from the front of the order.
//
// So the members that have yet to be visited are always a prefix of the order:
// a member that leaves does not move the others, and one that joins goes to the
// back. Nothing else has to be known of a round under way, and a round that
// begins anew before it ends goes on with the members that wait longest.
type group struct {
	shard  *shard
	log    *replay.Log
	grown  atomic.Bool // the group is in asked.grown
	ignore func()      // ends the watching of the log

	// Owned by the shard's loop.
	first, last *member // of the order
	size        int
	visits      uint64 // made so far, joins included
	round       uint64 // visits when the log had last grown: members visited later have been served since
	queued      bool   // the group is in shard.round
	measured    measured
}

func newGroup(shard *shard, log *replay.Log, counts *Counts) *group {
	g := &group{shard: shard, log: log, measured: measured{reach: reach{counts, log, log.NewestAt()}}}
	g.ignore = log.Watch(g.wake)
	return g
}

// wake is called by the goroutine that changes the log.
func (g *group) wake() {
	if g.grown.CompareAndSwap(false, true) {
		g.shard.ask(func(asked *asked) { asked.grown = append(asked.grown, g) })
	}
}

// add adds a member, which the caller serves next.
func (g *group) add(m *member) {
	m.group = g
	g.size++
	g.push(m)
}

// remove removes a member.
func (g *group) remove(m *member) {
	g.unlink(m)
	g.size--
	m.group = nil
}

// begin begins a round: the log has grown, or has notified its watchers.
func (g *group) begin() { g.round = g.visits }

// waits reports whether the round has members left to visit.
func (g *group) waits() bool { return g.first != nil && g.first.visit <= g.round }

// next returns the next member of the round, nil at its end. The member counts
// as visited.
func (g *group) next() *member {
	if !g.waits() {
		return nil
	}
	m := g.first
	g.unlink(m)
	g.push(m)
	return m
}

// push puts a member at the back of the order.
func (g *group) push(m *member) {
	g.visits++
	m.visit, m.prev, m.next = g.visits, g.last, nil
	if g.last == nil {
		g.first = m
	} else {
		g.last.next = m
	}
	g.last = m
}

// unlink takes a member out of the order.
func (g *group) unlink(m *member) {
	if m.prev == nil {
		g.first = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		g.last = m.prev
	} else {
		m.next.prev = m.prev
	}
	m.prev, m.next = nil, nil
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
