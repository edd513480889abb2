package delivery

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/replay"
)

const (
	// batchBytes is how many bytes are read from the log at once, or one frame if it is larger. A Stream
	// sets a new write deadline for each batchBytes bytes, so the time that a slow socket has for them
	// does not depend on the size of the frame.
	batchBytes = 16 << 10
	// maxCommentBytes is the total size of the comments that a client gets between two events before it
	// is asked to reconnect. Two of the eight SSE client libraries that were tested buffer comments until
	// an event comes.
	maxCommentBytes = 16 << 10
)

// session decides what one client is sent next. A writer takes a step, writes its blocks, and calls
// written. The session knows no socket and never blocks. All methods except askToLeave are called by one
// goroutine at a time.
type session struct {
	client  *Client
	encoder encoder

	// Set by attach for the client's current log.
	log     *replay.Log
	passing bool // the next frames may be ones that the client already has, see pass
	reports bool // the source needs to know what the client is sent

	asked atomic.Pointer[reason.Leave] // why the client must leave; nil if it need not

	// The step that is being written.
	frames bool   // the step has frames of the log; otherwise a block of the client's own
	sent   uint64 // the position of the last of these frames

	leaving     bool         // the client leaves when it reaches leaveAfter
	leaveAfter  uint64       // the log's head when leaving was set
	leaveReason reason.Leave // why the client leaves
	leftFor     reason.Leave // leaveReason, once the client's last block has been rendered

	firstSent bool
	stale     bool   // the client was sent Blocks.Stale, and not Blocks.Live since
	expires   bool   // expiry is when the client's credentials expire
	comments  int    // bytes of comments since the last frame
	lastWrite moment // time of the last write
	expiry    moment // when the client must leave because of its age, or because its credentials expire
}

func newSession(client *Client, enc encoder, now moment) *session {
	if client.Counts == nil {
		client.Counts = NewCounts()
	}
	s := &session{client: client, encoder: enc, lastWrite: now, expiry: never}
	s.attach()
	if age := client.Policy.MaxAge; age > 0 {
		// Up to a tenth earlier, so that clients that came together do not reconnect together.
		s.expiry = now.after(age - rand.N(age/10+1))
	}
	if age := client.Policy.Expires; age > 0 && now.after(age) < s.expiry {
		s.expiry, s.expires = now.after(age), true
	}
	return s
}

// attach starts to read the current log of the client's source. The progress of a client that takes gzip
// is always reported, since the source then checks the memory that compression uses.
func (s *session) attach() {
	s.log = s.client.Source.Log()
	s.passing = s.client.Follower != nil
	s.reports = s.client.Gzip || s.client.Source.Watches()
}

// step returns the blocks to write next. They are whole blocks, valid until the next step. If end is not
// empty, the stream ends with them. Without blocks and end there is nothing to do until the log grows,
// the source's status changes, the client is asked to leave, or due is reached.
func (s *session) step(now moment) (blocks [][]byte, end reason.End) {
	blocks, end = s.next(now)
	if len(blocks) > 0 && !s.frames {
		s.reportSending(s.client.Position)
	}
	if end != "" {
		blocks = slices.Clone(blocks) // the encoder reuses its slice
		blocks = append(blocks, s.encoder.end()...)
	}
	return blocks, end
}

func (s *session) next(now moment) (blocks [][]byte, end reason.End) {
	if !s.firstSent {
		s.firstSent = true
		first := s.client.First
		s.client.First = nil // lets the block's memory be freed, for there are many clients
		return s.ownBlock(first), ""
	}
	switch {
	case s.leaving:
	case s.isAsked():
		s.startLeaving(s.askedFor())
	case now >= s.expiry && s.expires:
		s.startLeaving(reason.LeaveExpired)
	case now >= s.expiry:
		s.startLeaving(reason.LeaveMaxAge)
	}
	for {
		if blocks, end = s.reposition(); end != "" {
			return blocks, end
		}
		if s.leaving && s.client.Position >= s.leaveAfter && !s.ended() {
			return s.leave(s.leaveReason)
		}
		blocks, next, err := s.read()
		switch {
		case s.passing && next != s.client.Position: // appended since pass, which must look at it first
		case errors.Is(err, io.EOF):
			if blocks, end = s.endOfLog(); end != "" {
				return blocks, end
			}
		case errors.Is(err, replay.ErrEvicted) && s.leaving:
			return s.leave(s.leaveReason)
		case errors.Is(err, replay.ErrEvicted) && s.client.Policy.Skip:
			return s.skip(), ""
		case errors.Is(err, replay.ErrEvicted):
			return s.leave(reason.LeaveLagged)
		case next != s.client.Position && len(blocks) == 0: // the frames are empty
			s.advance(next)
		case len(blocks) > 0 && s.stale && !s.leaving && s.isLive(): // Live comes before the new RPC's frames
			s.encoder.unread()
			return s.reportStale(false), ""
		case len(blocks) > 0:
			if s.startFrames(next) {
				return blocks, ""
			}
			s.encoder.unread()
		default:
			return s.idle(now)
		}
	}
}

// ended reports whether the log is closed and the client has received all of it.
func (s *session) ended() bool {
	_, _, err := s.log.Read(s.client.Position, 1, nil)
	return errors.Is(err, io.EOF)
}

// idle returns the next step of a client at the head of its log.
func (s *session) idle(now moment) (blocks [][]byte, end reason.End) {
	status, _ := s.client.Source.Status()
	switch {
	case status.Stale != s.stale:
		return s.reportStale(status.Stale), ""
	case status.Leave:
		return s.leave(reason.LeaveUpstream)
	case s.client.Policy.Heartbeat > 0 && now.since(s.lastWrite) >= s.client.Policy.Heartbeat:
		return s.heartbeat()
	}
	return nil, ""
}

// isLive reports whether the topic has an RPC.
func (s *session) isLive() bool {
	status, _ := s.client.Source.Status()
	return !status.Stale
}

// reportStale reports to the client whether its topic has lost its RPC.
func (s *session) reportStale(stale bool) [][]byte {
	if s.stale = stale; stale {
		return s.ownBlock(s.client.Blocks.Stale(nil))
	}
	return s.ownBlock(s.client.Blocks.Live(nil))
}

// written is called when the blocks of the last step have been written.
func (s *session) written(now moment) {
	s.lastWrite = now
	if s.frames {
		frames := s.sent - s.client.Position
		s.client.Frames += frames
		s.client.Counts.Frames.Add(frames)
		s.countMarks()
		s.frames, s.comments = false, 0
		s.advance(s.sent)
		return
	}
	if s.reports {
		s.client.Source.Progress(s.client.Position)
	}
}

// reportSending is called before the blocks of a step are written.
func (s *session) reportSending(position uint64) {
	if s.reports {
		s.client.Source.Sending(position)
	}
}

// reportTaking is called when the socket has taken a part of the blocks.
func (s *session) reportTaking() {
	if s.reports {
		s.client.Source.Taking()
	}
}

// startFrames begins a step that writes frames up to a position, and reports that position to the source.
// It returns false if the client must move to another log instead: the report may have parted the client
// from its log, which then need not keep the frames that the client still needs.
func (s *session) startFrames(position uint64) bool {
	if s.reportSending(position); s.mustMove() {
		return false
	}
	s.sent, s.frames = position, true
	return true
}

// reposition moves the client to its next log if it is parted, and moves the position past the frames
// that the client already has.
func (s *session) reposition() (blocks [][]byte, end reason.End) {
	if s.mustMove() {
		if blocks, end = s.move(); end != "" {
			return blocks, end
		}
	}
	s.pass()
	return nil, ""
}

// mustMove reports whether the client is parted and must move to another log before it is sent more. A
// client that leaves stays in its log.
func (s *session) mustMove() bool {
	return s.reports && !s.leaving && s.client.Follower != nil && s.client.Follower.Parted()
}

// countMarks counts the marked frames (replay.Log.Mark) of the step that was written.
func (s *session) countMarks() {
	marked := s.client.Counts.Marked
	if marked == nil {
		return
	}
	for _, mark := range s.log.Marks(s.client.Position, s.sent) {
		marked.Add(mark, 1)
	}
}

// due returns the time at which the next step must be taken, even if nothing else happens.
func (s *session) due() moment {
	due := s.expiry
	if every := s.client.Policy.Heartbeat; every > 0 {
		due = min(due, s.lastWrite.after(every))
	}
	return due
}

// askToLeave makes the client leave at its next step. Only the reason of the first call counts. It is
// safe for concurrent use.
func (s *session) askToLeave(why reason.Leave) { s.asked.CompareAndSwap(nil, &why) }

func (s *session) askedFor() reason.Leave { return *s.asked.Load() }

func (s *session) isAsked() bool { return s.asked.Load() != nil }

// advance moves the position past frames that the client has received.
func (s *session) advance(position uint64) {
	s.client.Position = position
	if s.reports {
		s.client.Source.Progress(position)
	}
}

// jump sets a position that does not follow the last frame that the client was sent.
func (s *session) jump(position uint64) {
	s.client.Position = position
	s.encoder.skipTo(position)
}

// quiet reports whether only the log, its notices or the time can cause the next step.
func (s *session) quiet() bool { return !s.leaving && !s.stale && !s.isAsked() }

func (s *session) clientPosition() clientPosition {
	return clientPosition{s.client.Counts, s.log, s.client.Position}
}

// ownBlock encodes a block of the client's own.
func (s *session) ownBlock(block []byte) [][]byte {
	return s.encoder.ownBlock(block, s.client.Position)
}

// pass moves the position past frames that the client already has: the client's id counts frames after a
// cursor (sse.ID.Ordinal), and an RPC opened at the cursor sends these again. passing stays true while
// frames that the log does not have yet may be among them.
func (s *session) pass() {
	if !s.passing {
		return
	}
	var next uint64
	if next, s.passing = s.client.Follower.Pass(s.client.Position); next != s.client.Position {
		s.encoder.skipTo(next)
		s.advance(next)
	}
}

// read returns the next frames to send. While passing is true it returns none, since pass must look at
// the frames first; next then only shows whether a frame has been appended.
func (s *session) read() (blocks [][]byte, next uint64, err error) {
	if s.passing {
		_, next, err = s.log.Read(s.client.Position, 1, nil)
		return nil, next, err
	}
	return s.encoder.read(s.log, s.client.Position)
}

// skip continues at the oldest frame in the log, and reports the gap to the client.
func (s *session) skip() [][]byte {
	block, position := s.client.Blocks.Lagged(nil)
	s.jump(position)
	return s.ownBlock(block)
}

// heartbeat returns a heartbeat, or asks the client to reconnect before it has buffered too many
// comments.
func (s *session) heartbeat() (blocks [][]byte, end reason.End) {
	if !s.client.Policy.Comments {
		return s.ownBlock(s.client.Blocks.Heartbeat(nil)), ""
	}
	beat, seen := s.encoder.comment(s.client.Blocks.Heartbeat(nil))
	if s.comments += seen; s.comments > maxCommentBytes {
		return s.leave(reason.LeaveIdle)
	}
	return beat, ""
}

// startLeaving makes the client leave once it has received all frames that are in the log now, since the
// log may be gone when the client returns. If the client reaches the end of the stream before it leaves,
// it is not asked to reconnect.
func (s *session) startLeaving(why reason.Leave) {
	_, s.leaveAfter = s.log.Bounds()
	s.leaving, s.leaveReason = true, why
}

// endOfLog ends the stream, or continues in another log if the client has a Follower.
func (s *session) endOfLog() (blocks [][]byte, end reason.End) {
	if s.client.Follower == nil {
		return nil, reason.EndComplete
	}
	return s.move()
}

// move continues in the client's next log, or ends the stream if the client cannot or is leaving.
func (s *session) move() (blocks [][]byte, end reason.End) {
	position, moved, err := s.client.Follower.Move()
	if moved {
		s.attach()
		s.jump(position)
	}
	switch {
	case err != nil && !s.leaving:
		return s.leave(reason.LeaveShed)
	case err == nil && !moved:
		return nil, reason.EndComplete
	case s.leaving:
		return s.leave(s.leaveReason)
	}
	return nil, ""
}

func (s *session) leave(why reason.Leave) (blocks [][]byte, end reason.End) {
	s.leftFor = why
	end = reason.EndAsked
	if why == reason.LeaveRemoved {
		end = reason.EndComplete
	}
	return s.ownBlock(s.client.Blocks.Leave(nil, why)), end
}
