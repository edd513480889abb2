package delivery

import (
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/internal/acked"
)

// closeTimeout is how long the client may take to close its side after a response has ended. If the
// bridge closed first, with input unread, the kernel would reset the connection and the client could lose
// the last bytes.
const closeTimeout = time.Second

// member is a client of the shard. Only askToLeave and cut may be called outside the shard's loop.
type member struct {
	session *session // nil when the stream has ended
	done    func(reason.End)
	shard   *shard
	socket  socket
	wasCut  atomic.Bool

	tag   tag
	group *group // owns prev, next and seq
	prev  *member
	next  *member
	seq   uint64 // the member's sequence number, see group

	deadline  moment // see deadlines
	heapIndex int    // in deadlines; -1 if it is not there

	unwritten  [][]byte   // the part of the current step that is not written yet
	end        reason.End // set if the stream ends when unwritten has been written
	full       bool       // the socket has no room
	behind     bool       // the member is in shard.behind
	progressAt moment     // time of the last step or of the last write that took bytes
	input      int        // bytes received after the request
	notices    uint64     // log.Notices when a step last found nothing to write
	closeBy    moment     // when the shard closes the socket, if the stream has ended
	acks       acked.Watch
}

func (m *member) askToLeave(why reason.Leave) {
	m.shard.request(func(r *requests) { r.leaves = append(r.leaves, memberLeave{m, why}) })
}

func (m *member) cut() {
	m.wasCut.Store(true)
	m.askToLeave(reason.LeaveDrain) // wakes the loop; the reason is not used
}

// stepsInRow is the number of steps that a member may take before others are served. Without this bound,
// a client that always finds more to read, in a log that grows as fast, would keep the loop to itself.
const stepsInRow = 4

// serve writes to a member until its socket has no room, there is nothing to write, its stream has ended,
// or it has taken stepsInRow steps.
func (s *shard) serve(m *member) {
	if m.session != nil && m.wasCut.Load() { // before writing: a cut must not wait for room in the socket
		s.abort(m, reason.EndCut)
		return
	}
	for range stepsInRow {
		if m.session == nil || m.full || len(m.unwritten) == 0 && !s.step(m) {
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

// noNotices marks a member that has not yet read to the head of its log.
const noNotices = ^uint64(0)

// atHead reports whether there is certainly nothing to write until the shard is woken again. Most steps
// of a live client would find nothing to write, and are not taken because of atHead.
func (m *member) atHead() bool {
	return m.session != nil && len(m.unwritten) == 0 && m.session.quiet() &&
		m.session.client.Position >= m.group.log.Newest() && m.notices == m.group.log.Notices()
}

// step takes the next step of a member, and reports whether there is something to write. If the step
// moves the client to another log, the member changes its group.
func (s *shard) step(m *member) bool {
	notices := m.group.log.Notices() // before the step: a notice during the step counts as unseen
	blocks, end := m.session.step(s.now)
	for m.session.log != m.group.log {
		s.leaveGroup(m)
		s.joinGroup(m)
		m.notices, notices = noNotices, noNotices // both counts were those of the old log
		if len(blocks) == 0 && end == "" {
			// The new log may have grown or ended before its group began to watch it.
			blocks, end = m.session.step(s.now)
		}
	}
	if len(blocks) == 0 {
		m.notices = notices
	}
	m.unwritten, m.end, m.progressAt = blocks, end, s.now
	return len(m.unwritten) > 0
}

// write writes the rest of the current step. What the socket has no room for stays in unwritten, and the
// member takes no other step before that is written.
func (s *shard) write(m *member) {
	for len(m.unwritten) > 0 {
		block := m.unwritten[0]
		n, err := m.socket.write(block)
		if n > 0 {
			m.progressAt = s.now
			m.acks.Sent(time.Duration(s.now), m.session.client.Policy.WriteTimeout)
		}
		m.session.client.Sent += uint64(max(n, 0))
		m.session.client.Counts.sent(n, m.session.client.Gzip)
		switch {
		case err != nil:
			s.gone(m)
			return
		case n < len(block):
			m.unwritten[0] = block[n:]
			m.full = true
			if n > 0 {
				m.session.reportTaking()
			}
			return
		}
		m.unwritten[0] = nil // lets the log's memory be freed
		m.unwritten = m.unwritten[1:]
	}
	m.session.written(s.now)
	if m.end != "" {
		s.finish(m)
	}
}

// schedule sets the time at which the member needs attention even if nothing happens.
func (s *shard) schedule(m *member) {
	switch {
	case m.socket < 0:
	case m.session == nil:
		s.deadlines.set(m, m.closeBy)
	case m.full:
		s.deadlines.set(m, m.progressAt.after(m.session.client.Policy.WriteTimeout))
	default:
		due := m.session.due()
		if at, waits := m.acks.Due(); waits {
			due = min(due, moment(at))
		}
		s.deadlines.set(m, due)
	}
}

// expireMember looks at a member whose deadline has passed.
func (s *shard) expireMember(m *member) {
	switch {
	case m.session == nil && s.now < m.closeBy: // the deadline is one of the stream, which has ended
		s.schedule(m)
	case m.session == nil:
		s.closeSocket(m)
	case s.stuck(m):
		s.abort(m, reason.EndStuck)
	default:
		s.serve(m)
	}
}

// stuck reports whether the client has taken nothing for the write timeout: the socket has had no room,
// or the peer's kernel has acknowledged nothing.
func (s *shard) stuck(m *member) bool {
	timeout := m.session.client.Policy.WriteTimeout
	if m.full && s.now.since(m.progressAt) >= timeout {
		return true
	}
	at, waits := m.acks.Due()
	return waits && s.now >= moment(at) && m.acks.Stuck(time.Duration(s.now), timeout, int(m.socket))
}

// handle reacts to events of a member's socket.
func (s *shard) handle(m *member, e socketEvents) {
	open := true
	if e.input { // before closing: a socket closed with unread input drops its unsent bytes
		var n int
		n, open = m.socket.discard(maxFurtherInput - m.input)
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

// finish ends a stream after its last block. It closes only the bridge's side of the connection, so that
// the client can read to the end and then close its own side, see closeTimeout.
func (s *shard) finish(m *member) {
	end := m.end
	if m.socket.shutdown() != nil {
		s.gone(m)
		return
	}
	m.closeBy = s.now.after(closeTimeout)
	s.endStream(m, end)
}

// gone ends the stream of a client that has closed its connection.
func (s *shard) gone(m *member) {
	s.closeSocket(m)
	s.endStream(m, reason.EndGone)
}

// abort ends a stream with a reset of the connection, so that the client does not take it for complete.
func (s *shard) abort(m *member, end reason.End) {
	s.unwatch(m)
	m.socket.reset()
	m.socket = -1
	s.endStream(m, end)
}

func (s *shard) closeSocket(m *member) {
	s.unwatch(m)
	m.socket.close()
	m.socket = -1
}

// unwatch removes a member from the deadlines and from the poller's slots.
func (s *shard) unwatch(m *member) {
	s.deadlines.drop(m)
	s.slots.remove(m)
}

// endStream ends the stream of a member, if it has not ended yet. The socket may stay open until closeBy.
func (s *shard) endStream(m *member, end reason.End) {
	if m.session == nil {
		return
	}
	s.leaveGroup(m)
	m.session.countDeparture(Shard, end)
	m.session, m.unwritten = nil, nil
	m.done(end)
	m.done = nil
}
