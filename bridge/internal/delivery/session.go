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
	// batch is how much is read from the log at once, but at least a frame. A
	// write deadline covers as much, so it is also the progress that a slow
	// socket must make, however large a frame is.
	batch = 16 << 10
	// commentsInRow is how many bytes of comments a client may get without an
	// event between them: two clients of eight buffer them.
	commentsInRow = 16 << 10
)

// session decides what a client is sent next. It knows no socket and does not wait:
// the writer asks for a step, writes it, and reports that it did. All methods but
// tell are called by one goroutine at a time.
type session struct {
	client *Client
	form   form
	// The client's log, and what there is to be asked and told about it; see attend.
	log              *replay.Log
	passing, watched bool

	told atomic.Pointer[reason.Leave] // the reason for which the client is to be asked to leave, if it is

	// What is being written: frames up to sent, or a block of the client's own.
	sent    uint64
	frames  bool
	leaving bool         // it is being asked to leave,
	until   uint64       // when it has what its log held when that was decided,
	why     reason.Leave // for this reason
	parting reason.Leave // why it has been asked, in the last block

	begun    bool
	stale    bool // what the client was told
	comments int
	spoke    moment // when something was last written
	oldest   moment // when it is to be asked to come back
}

func newSession(client *Client, form form, now moment) *session {
	if client.Counts == nil {
		client.Counts = NewCounts()
	}
	s := &session{client: client, form: form, spoke: now, oldest: never}
	s.attend()
	if age := client.Policy.MaxAge; age > 0 {
		// Up to a tenth earlier, so that clients that came together part.
		s.oldest = now.after(age - rand.N(age/10+1))
	}
	return s
}

// attend begins to serve the client from its source's log. Compressing fills memory,
// and the source looks after that when it learns of the progress.
func (s *session) attend() {
	s.log = s.client.Source.Log()
	s.passing = s.client.Follower != nil
	s.watched = s.client.Gzip || s.client.Source.Watches()
}

// step returns what is to be written now: whole blocks, valid until the next
// step. With an end the stream is over when they have been written. With
// neither there is nothing to do until the log grows, the status changes, the
// client is told, or due has come.
func (s *session) step(now moment) (blocks [][]byte, end reason.End) {
	blocks, end = s.next(now)
	if len(blocks) > 0 && !s.frames {
		s.sending(s.client.Position)
	}
	if end != "" {
		blocks = slices.Clone(blocks) // the form uses its own again
		blocks = append(blocks, s.form.end()...)
	}
	return blocks, end
}

func (s *session) next(now moment) (blocks [][]byte, end reason.End) {
	if !s.begun {
		s.begun = true
		first := s.client.First
		s.client.First = nil // not needed again, and there are many clients
		return s.own(first), ""
	}
	switch {
	case s.leaving:
	case s.isTold():
		s.lastWord(s.toldFor())
	case now >= s.oldest:
		s.lastWord(reason.LeaveMaxAge)
	}
	if s.stale && !s.leaving { // before what is not
		if status, _ := s.client.Source.Status(); !status.Stale {
			return s.tellStale(false), ""
		}
	}
	for {
		if blocks, end = s.place(); end != "" {
			return blocks, end
		}
		if s.leaving && s.client.Position >= s.until && !s.ended() {
			return s.leave(s.why)
		}
		blocks, next, err := s.read()
		switch {
		case s.passing && next != s.client.Position: // it has come since, and may be one that the client has
		case errors.Is(err, io.EOF):
			if blocks, end = s.finish(); end != "" {
				return blocks, end
			}
		case errors.Is(err, replay.ErrEvicted) && s.leaving:
			return s.leave(s.why)
		case errors.Is(err, replay.ErrEvicted) && s.client.Policy.Skip:
			return s.skip(), ""
		case errors.Is(err, replay.ErrEvicted):
			return s.leave(reason.LeaveLagged)
		case next != s.client.Position && len(blocks) == 0: // frames without bytes
			s.stand(next)
		case len(blocks) > 0:
			if s.sends(next) {
				return blocks, ""
			}
			s.form.unread()
		default:
			return s.idle(now)
		}
	}
}

// ended reports whether the client has been sent all that its log will hold.
func (s *session) ended() bool {
	_, _, err := s.log.Read(s.client.Position, 1, nil)
	return errors.Is(err, io.EOF)
}

// idle is a step at the head of the log.
func (s *session) idle(now moment) (blocks [][]byte, end reason.End) {
	status, _ := s.client.Source.Status()
	switch {
	case status.Stale != s.stale:
		return s.tellStale(status.Stale), ""
	case status.Leave:
		return s.leave(reason.LeaveUpstream)
	case s.client.Policy.Heartbeat > 0 && now.since(s.spoke) >= s.client.Policy.Heartbeat:
		return s.heartbeat()
	}
	return nil, ""
}

// tellStale tells whether there is an RPC.
func (s *session) tellStale(stale bool) [][]byte {
	if s.stale = stale; stale {
		return s.own(s.client.Blocks.Stale(nil))
	}
	return s.own(s.client.Blocks.Live(nil))
}

// wrote says that the blocks of the last step have been written.
func (s *session) wrote(now moment) {
	s.spoke = now
	if s.frames {
		frames := s.sent - s.client.Position
		s.client.Frames += frames
		s.client.Counts.Frames.Add(frames)
		s.countMarks()
		s.frames, s.comments = false, 0
		s.stand(s.sent)
		return
	}
	if s.watched {
		s.client.Source.Progress(s.client.Position)
	}
}

// sending says how far the blocks of a step go.
func (s *session) sending(position uint64) {
	if s.watched {
		s.client.Source.Sending(position)
	}
}

// takes says that the socket has taken a part of the blocks of the step.
func (s *session) takes() {
	if s.watched {
		s.client.Source.Taking()
	}
}

// sends begins to send the frames up to a position. It is false where the client is to
// move first: its place may have left the log when these have been written.
func (s *session) sends(position uint64) bool {
	if s.sending(position); s.parts() {
		return false
	}
	s.sent, s.frames = position, true
	return true
}

// place finds where the client goes on: in another log if it is parted from its own,
// and behind what it has got by its ordinal.
func (s *session) place() (blocks [][]byte, end reason.End) {
	if s.parts() {
		if blocks, end = s.move(); end != "" {
			return blocks, end
		}
	}
	s.pass()
	return nil, ""
}

// parts reports whether the client is to move to another log before it is sent more.
// One that leaves need not.
func (s *session) parts() bool {
	return s.watched && !s.leaving && s.client.Follower != nil && s.client.Follower.Parted()
}

// countMarks counts the marked frames among those that have been written.
func (s *session) countMarks() {
	marked := s.client.Counts.Marked
	if marked == nil {
		return
	}
	for _, mark := range s.log.Marks(s.client.Position, s.sent) {
		marked.Add(mark, 1)
	}
}

// due returns when the next step is to be taken at the latest.
func (s *session) due() moment {
	due := s.oldest
	if every := s.client.Policy.Heartbeat; every > 0 {
		due = min(due, s.spoke.after(every))
	}
	return due
}

// tell has the client asked to leave at its next step. The first reason stays.
func (s *session) tell(why reason.Leave) { s.told.CompareAndSwap(nil, &why) }

// toldFor is the reason for which the client is to be asked to leave.
func (s *session) toldFor() reason.Leave { return *s.told.Load() }

func (s *session) isTold() bool { return s.told.Load() != nil }

// stand moves the client behind frames that it has got.
func (s *session) stand(position uint64) {
	s.client.Position = position
	if s.watched {
		s.client.Source.Progress(position)
	}
}

// jump moves the client to where frames are missing in between.
func (s *session) jump(position uint64) {
	s.client.Position = position
	s.form.broken(position)
}

// quiet reports whether only the log and the clock give the client a next step.
func (s *session) quiet() bool { return !s.leaving && !s.stale && !s.isTold() }

// spot is how far the client has got.
func (s *session) spot() spot { return spot{s.client.Counts, s.log, s.client.Position} }

// own is a block of the client's own.
func (s *session) own(block []byte) [][]byte {
	return s.form.own(block, s.client.Position)
}

// pass goes past what the client has got by its ordinal. It is passing as long as
// what comes next may be that, too.
func (s *session) pass() {
	if !s.passing {
		return
	}
	var next uint64
	if next, s.passing = s.client.Follower.Pass(s.client.Position); next != s.client.Position {
		s.form.broken(next)
		s.stand(next)
	}
}

// read reads what the client is to be sent next. While it is passing, that is
// nothing, and next says whether there is something to pass.
func (s *session) read() (blocks [][]byte, next uint64, err error) {
	if s.passing {
		_, next, err = s.log.Read(s.client.Position, 1, nil)
		return nil, next, err
	}
	return s.form.read(s.log, s.client.Position)
}

// skip goes on with what the log still holds, and says so.
func (s *session) skip() [][]byte {
	block, position := s.client.Blocks.Lagged(nil)
	s.jump(position)
	return s.own(block)
}

// heartbeat breaks the silence, or asks the client to come back before it has
// buffered too many of them.
func (s *session) heartbeat() (blocks [][]byte, end reason.End) {
	if !s.client.Policy.Comments {
		return s.own(s.client.Blocks.Heartbeat(nil)), ""
	}
	beat, seen := s.form.comment(s.client.Blocks.Heartbeat(nil))
	if s.comments += seen; s.comments > commentsInRow {
		return s.leave(reason.LeaveIdle)
	}
	return beat, ""
}

// lastWord asks the client to leave, after the frames that the log holds by now: a
// log may be gone when the client returns. A client that has read the end of the
// stream by then is not to come back.
func (s *session) lastWord(why reason.Leave) {
	_, s.until = s.log.Bounds()
	s.leaving, s.why = true, why
}

// finish is the end of a log: of the stream, or another log goes on.
func (s *session) finish() (blocks [][]byte, end reason.End) {
	if s.client.Follower == nil {
		return nil, reason.EndComplete
	}
	return s.move()
}

// move goes on in another log.
func (s *session) move() (blocks [][]byte, end reason.End) {
	position, moved, err := s.client.Follower.Move()
	if moved {
		s.attend()
		s.jump(position)
	}
	switch {
	case err != nil && !s.leaving:
		return s.leave(reason.LeaveShed)
	case err == nil && !moved:
		return nil, reason.EndComplete
	case s.leaving:
		return s.leave(s.why)
	}
	return nil, ""
}

func (s *session) leave(why reason.Leave) (blocks [][]byte, end reason.End) {
	s.parting = why
	end = reason.EndAsked
	if why == reason.LeaveRemoved {
		end = reason.EndComplete
	}
	return s.own(s.client.Blocks.Leave(nil, why)), end
}
