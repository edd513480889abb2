package delivery

import (
	"sync/atomic"

	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

// group is the members of a shard that read the same log. When the log grows, a round serves each of them
// once.
//
// The members form a list in the order of their sequence numbers. A member that joins, or is served in a
// round, moves to the back of the list and gets the next number. A round begins by noting the last number
// given, in roundSeq. Members up to that number are still to be served, and they are always at the front
// of the list. So joins and departures during a round need no bookkeeping, and a round that begins before
// the previous one has ended continues with the members that have waited longest.
type group struct {
	shard   *shard
	log     *replay.Log
	grown   atomic.Bool // the group is in requests.grown
	unwatch func()      // stops watching the log

	// Owned by the shard's loop.
	first, last *member // of the list
	size        int
	seq         uint64 // the last sequence number given
	roundSeq    uint64 // seq when the current round began: members up to it are still to be served
	queued      bool   // the group is in shard.ready
	measurement measurement
}

func newGroup(shard *shard, log *replay.Log, counts *Counts) *group {
	g := &group{shard: shard, log: log, measurement: measurement{reach: reach{counts, log, log.NewestAt()}}}
	g.unwatch = log.Watch(g.wake)
	return g
}

// wake asks the shard for a round. It is called on the goroutine that changes the log.
func (g *group) wake() {
	if g.grown.CompareAndSwap(false, true) {
		g.shard.request(func(r *requests) { r.grown = append(r.grown, g) })
	}
}

// add adds a member. The caller serves it at once.
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

// beginRound begins a round. It is called when the log has grown or has notified its watchers.
func (g *group) beginRound() { g.roundSeq = g.seq }

// hasNext reports whether the round has members left to serve.
func (g *group) hasNext() bool { return g.first != nil && g.first.seq <= g.roundSeq }

// next returns the next member of the round and moves it to the back of the list. It returns nil at the
// end of the round.
func (g *group) next() *member {
	if !g.hasNext() {
		return nil
	}
	m := g.first
	g.unlink(m)
	g.push(m)
	return m
}

// push adds a member at the back of the list.
func (g *group) push(m *member) {
	g.seq++
	m.seq, m.prev, m.next = g.seq, g.last, nil
	if g.last == nil {
		g.first = m
	} else {
		g.last.next = m
	}
	g.last = m
}

// unlink removes a member from the list.
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

// queue is a FIFO queue of groups.
type queue struct {
	groups []*group
	first  int
}

func (q *queue) empty() bool { return q.first == len(q.groups) }

func (q *queue) add(g *group) {
	if q.first > len(q.groups)/2 { // most of the slice is free
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
