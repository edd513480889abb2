package delivery

import (
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/internal/acked"
)

// closing is how long a client may take to close its side of a response that has
// ended. If the bridge closed first, with bytes unread, the client would lose the
// tail.
const closing = time.Second

// member is a client of a shard. All but tell and cut is the shard's loop's.
type member struct {
	session *session // nil once the stream has ended
	done    func(reason.End)
	shard   *shard
	socket  socket
	wasCut  atomic.Bool

	tag   tag
	group *group // the fields below are the group's
	prev  *member
	next  *member
	visit uint64 // the group's count of its last visit

	look  moment // deadlines: when the member is looked at, at the latest
	place int    // deadlines: in the heap; -1: it is not

	rest   [][]byte   // of the step, as yet unwritten
	end    reason.End // of the stream, when rest has been written
	full   bool       // the socket takes nothing
	behind bool       // it has more to write, and is in shard.behind
	moved  moment     // when it last took something, or what it is to take was ready
	input  int        // bytes that came after the request
	heard  uint64     // the log's notices when there was last nothing to write
	leave  moment     // the stream has ended well, and the socket closes by then
	acks   acked.Watch
}

func (m *member) tell(why reason.Leave) {
	m.shard.ask(func(asked *asked) { asked.told = append(asked.told, told{m, why}) })
}

func (m *member) cut() {
	m.wasCut.Store(true)
	m.tell(reason.LeaveDrain) // wakes it; what it is told for is of no matter any more
}

// stepsInRow is how many steps a member has before others have theirs: a log
// that grows as fast as its reader reads has no end.
const stepsInRow = 4

// serve writes until the socket is full, there is nothing to write, the stream
// has ended, or the member has had its steps.
func (s *shard) serve(m *member) {
	if m.session != nil && m.wasCut.Load() { // also where the socket takes nothing
		s.abort(m, reason.EndCut)
		return
	}
	for range stepsInRow {
		if m.session == nil || m.full || len(m.rest) == 0 && !s.step(m) {
			s.schedule(m)
			return
		}
		if s.write(m); m.atHead() {
			s.schedule(m)
			return
		}
	}
	s.schedule(m)
	if m.session != nil && !m.full && !m.behind {
		m.behind = true
		s.behind = append(s.behind, m)
	}
}

// nothing is what a member has heard of a log that it has not come to the head of.
const nothing = ^uint64(0)

// atHead reports whether there is surely nothing to write: what comes next wakes
// the shard. It spares most of a live client's steps.
func (m *member) atHead() bool {
	return m.session != nil && len(m.rest) == 0 && m.session.quiet() &&
		m.session.client.Position >= m.group.log.Newest() && m.heard == m.group.log.Notices()
}

// step takes a member's next step, and reports whether there is something to
// write.
func (s *shard) step(m *member) bool {
	heard := m.group.log.Notices() // before it is looked at what they are
	blocks, end := m.session.step(s.now)
	for m.session.log != m.group.log {
		s.leaveGroup(m)
		s.joinGroup(m)
		m.heard, heard = nothing, nothing // what it heard were notices of another log
		if len(blocks) == 0 && end == "" {
			// The new log may have grown before it was watched, or have ended.
			blocks, end = m.session.step(s.now)
		}
	}
	if len(blocks) == 0 {
		m.heard = heard
	}
	m.rest, m.end, m.moved = blocks, end, s.now
	return len(m.rest) > 0
}

// write writes what the step has left.
func (s *shard) write(m *member) {
	for len(m.rest) > 0 {
		block := m.rest[0]
		n, err := m.socket.write(block)
		if n > 0 {
			m.moved = s.now
			m.acks.Sent(time.Duration(s.now), m.session.client.Policy.WriteTimeout)
		}
		m.session.client.Sent += uint64(max(n, 0))
		m.session.client.Counts.sent(n, m.session.client.Gzip)
		switch {
		case err != nil:
			s.gone(m)
			return
		case n < len(block):
			m.rest[0] = block[n:]
			m.full = true
			if n > 0 {
				m.session.takes()
			}
			return
		}
		m.rest[0] = nil // lets go of the segment
		m.rest = m.rest[1:]
	}
	m.session.wrote(s.now)
	if m.end != "" {
		s.finish(m)
	}
}

// schedule has the member looked at when time alone calls for it.
func (s *shard) schedule(m *member) {
	switch {
	case m.socket < 0:
	case m.session == nil:
		s.deadlines.set(m, m.leave)
	case m.full:
		s.deadlines.set(m, m.moved.after(m.session.client.Policy.WriteTimeout))
	default:
		due := m.session.due()
		if at, waits := m.acks.Due(); waits {
			due = min(due, moment(at))
		}
		s.deadlines.set(m, due)
	}
}

// expire looks at a member whose time may have come.
func (s *shard) expire(m *member) {
	switch {
	case m.session == nil:
		s.drop(m)
	case s.stuck(m):
		s.abort(m, reason.EndStuck)
	default:
		s.serve(m)
	}
}

// stuck reports whether the member's client has taken nothing for the write timeout: its
// socket has not, or its kernel has acknowledged nothing.
func (s *shard) stuck(m *member) bool {
	timeout := m.session.client.Policy.WriteTimeout
	if m.full && s.now.since(m.moved) >= timeout {
		return true
	}
	at, waits := m.acks.Due()
	return waits && s.now >= moment(at) && m.acks.Stuck(time.Duration(s.now), timeout, int(m.socket))
}

// hear reacts to what the poller says of a member's socket.
func (s *shard) hear(m *member, e events) {
	open := true
	if e.input { // also where the client has gone: a socket closed with bytes unread drops what it has not sent
		var n int
		n, open = m.socket.discard(furtherInput - m.input)
		m.input += n
	}
	if e.gone || !open {
		s.gone(m)
		return
	}
	if e.room && m.full {
		m.full = false
		s.serve(m)
	}
}

// finish is the end of a stream that has said all: the client hears that no
// more comes, and is given time to close first.
func (s *shard) finish(m *member) {
	end := m.end
	if m.socket.shutdown() != nil {
		s.gone(m)
		return
	}
	m.leave = s.now.after(closing)
	s.end(m, end)
}

// gone is the end of a stream whose client went away.
func (s *shard) gone(m *member) {
	s.drop(m)
	s.end(m, reason.EndGone)
}

// abort cuts a stream off, so that its client does not take it for complete.
func (s *shard) abort(m *member, end reason.End) {
	s.forget(m)
	m.socket.reset()
	m.socket = -1
	s.end(m, end)
}

// drop gives the socket up.
func (s *shard) drop(m *member) {
	s.forget(m)
	m.socket.close()
	m.socket = -1
}

// forget stops hearing of the member.
func (s *shard) forget(m *member) {
	s.deadlines.drop(m)
	s.slots.remove(m)
}

// end ends the member's part as a client, once.
func (s *shard) end(m *member, end reason.End) {
	if m.session == nil {
		return
	}
	s.leaveGroup(m)
	m.session.depart(Shard, end)
	m.session, m.rest = nil, nil
	m.done(end)
	m.done = nil
}
