package delivery

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

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

var errCut = errors.New("delivery: cut")

// longAgo is a deadline that has passed by any clock, be it a coarse one:
// HTTP/2 ends a stream cleanly whose deadline has not.
var longAgo = time.Unix(1, 0) //nolint:gochecknoglobals // never changes

// stream is one client being served by its request's goroutine.
type stream struct {
	client   Client
	response *http.ResponseController
	writer   io.Writer

	told     chan struct{} // closed when the client is to be asked to come back
	tellOnce sync.Once

	cutMu  sync.Mutex
	wasCut bool // no deadline is set any more but the one that ends the writing

	// Owned by run.
	frames   [][]byte
	silence  *time.Timer      // nil where there are no heartbeats
	age      <-chan time.Time // nil where streams may grow old
	comments int
	stale    bool // what the client was told
}

func (s *stream) tell() { s.tellOnce.Do(func() { close(s.told) }) }

// cut makes the write under way, and every later one, fail.
func (s *stream) cut() {
	s.cutMu.Lock()
	defer s.cutMu.Unlock()
	s.wasCut = true
	// A writer that knows no deadlines fails at its next write instead.
	_ = s.response.SetWriteDeadline(longAgo)
	s.tell()
}

// run writes until the stream ends.
func (s *stream) run(ctx context.Context) End {
	if every := s.client.Policy.Heartbeat; every > 0 {
		s.silence = time.NewTimer(every)
		defer s.silence.Stop()
	}
	if oldest := s.client.Policy.MaxAge; oldest > 0 {
		// Up to a tenth earlier, so that clients that came together part.
		timer := time.NewTimer(oldest - rand.N(oldest/10+1))
		defer timer.Stop()
		s.age = timer.C
	}
	err := s.send(s.client.First)
	for err == nil {
		var end End
		if end, err = s.step(ctx); end != "" && err == nil {
			_ = s.arm() // for the server's last bytes; who is cut now gets none
			return end
		}
	}
	return s.failed(err)
}

// step writes a batch of what the log holds after the client, or, at its
// head, waits for something to do. It returns how the stream ended, if it did.
func (s *stream) step(ctx context.Context) (End, error) {
	switch wrote, err := s.catchUp(); {
	case errors.Is(err, io.EOF):
		return s.finish()
	case errors.Is(err, replay.ErrEvicted) && s.client.Policy.Skip:
		if err := s.skip(); err != nil {
			return "", err
		}
		return s.glance(ctx)
	case errors.Is(err, replay.ErrEvicted):
		return s.leave(Lagged)
	case err != nil:
		return "", err
	case wrote:
		return s.glance(ctx)
	}
	status, changed := s.client.Source.Status()
	switch {
	case status.Leave:
		return s.lastWord(Upstream)
	case status.Stale != s.stale:
		return "", s.tellStale(status.Stale)
	}
	select {
	case <-s.client.Source.Log().Grown(s.client.Position):
	case <-changed:
	case <-s.silent():
		return s.heartbeat()
	case <-s.age:
		return s.lastWord(MaxAge)
	case <-s.told:
		return s.lastWord(Drain)
	case <-ctx.Done():
		return EndGone, nil
	}
	return "", nil
}

// glance is what a client that never reaches the head needs to notice.
func (s *stream) glance(ctx context.Context) (End, error) {
	select {
	case <-s.age:
		return s.lastWord(MaxAge)
	case <-s.told:
		return s.lastWord(Drain)
	case <-ctx.Done():
		return EndGone, nil
	default:
		return "", nil
	}
}

func (s *stream) silent() <-chan time.Time {
	if s.silence == nil {
		return nil
	}
	return s.silence.C
}

// catchUp writes one batch of what the log holds after the client.
func (s *stream) catchUp() (wrote bool, err error) {
	if follower := s.client.Follower; follower != nil {
		if next := follower.Pass(s.client.Position); next != s.client.Position {
			s.client.Position = next
			s.client.Source.Progress(next)
		}
	}
	frames, position, err := s.client.Source.Log().Read(s.client.Position, batch, s.frames[:0])
	if err != nil || position == s.client.Position {
		return false, err
	}
	s.client.Source.Sending(position)
	if err := s.send(frames...); err != nil {
		return false, err
	}
	clear(frames) // lets go of the segments
	s.frames, s.comments = frames, 0
	s.client.Position = position
	s.client.Source.Progress(position)
	return true, nil
}

// skip goes on with what the log still holds, and says so.
func (s *stream) skip() error {
	block, position := s.client.Blocks.Lagged(nil)
	if err := s.send(block); err != nil {
		return err
	}
	s.client.Position = position
	return nil
}

func (s *stream) tellStale(stale bool) error {
	s.stale = stale
	if stale {
		return s.send(s.client.Blocks.Stale(nil))
	}
	return s.send(s.client.Blocks.Live(nil))
}

// heartbeat breaks the silence, or asks the client to come back before it
// has buffered too many of them.
func (s *stream) heartbeat() (End, error) {
	beat := s.client.Blocks.Heartbeat(nil)
	if s.client.Policy.Comments {
		if s.comments += len(beat); s.comments > commentsInRow {
			return s.lastWord(Idle)
		}
	}
	return "", s.send(beat)
}

// lastWord asks the client to come back, after what the log holds by now: a
// log may be gone when the client returns. Who has read the end of the stream
// by then is not to come back.
func (s *stream) lastWord(reason Reason) (End, error) {
	_, head := s.client.Source.Log().Bounds()
	for {
		switch wrote, err := s.catchUp(); {
		case errors.Is(err, io.EOF):
			if end, err := s.finish(); end != "" || err != nil {
				return end, err
			}
			return s.leave(reason) // it goes on in another log
		case errors.Is(err, replay.ErrEvicted):
			return s.leave(reason)
		case err != nil:
			return "", err
		case s.ended():
			// what that means is found by reading on
		case !wrote, s.client.Position >= head:
			return s.leave(reason)
		}
	}
}

// finish is the end of a log: of the stream, or another log goes on.
func (s *stream) finish() (End, error) {
	if s.client.Follower == nil {
		return EndComplete, nil
	}
	switch position, moved, err := s.client.Follower.Move(); {
	case err != nil:
		return s.leave(Shed)
	case moved:
		s.client.Position = position
		return "", nil
	}
	return EndComplete, nil
}

// ended reports whether the client has been written all that there will be.
func (s *stream) ended() bool {
	_, _, err := s.client.Source.Log().Read(s.client.Position, 1, nil)
	return errors.Is(err, io.EOF)
}

func (s *stream) leave(reason Reason) (End, error) {
	return EndAsked, s.send(s.client.Blocks.Leave(nil, reason))
}

// send writes whole blocks, pushes them out, and starts the silence anew.
func (s *stream) send(blocks ...[]byte) error {
	if err := s.arm(); err != nil {
		return err
	}
	armed := batch // bytes that the deadline still covers
	for _, block := range blocks {
		for piece := range slices.Chunk(block, batch) {
			if armed < len(piece) {
				if err := s.arm(); err != nil {
					return err
				}
				armed = batch
			}
			armed -= len(piece)
			if _, err := s.writer.Write(piece); err != nil {
				return err
			}
		}
	}
	if err := s.response.Flush(); err != nil {
		return err
	}
	// HTTP/2 resets a stream whose deadline passes, be there something to
	// write or not.
	if err := s.setDeadline(time.Time{}); err != nil {
		return err
	}
	if s.silence != nil {
		s.silence.Reset(s.client.Policy.Heartbeat)
	}
	return nil
}

// arm gives the write to come its time. It also lifts http.Server's
// WriteTimeout, which counts from the request.
func (s *stream) arm() error {
	return s.setDeadline(time.Now().Add(s.client.Policy.WriteTimeout))
}

func (s *stream) setDeadline(at time.Time) error {
	s.cutMu.Lock()
	defer s.cutMu.Unlock()
	if s.wasCut {
		return errCut
	}
	err := s.response.SetWriteDeadline(at)
	if errors.Is(err, http.ErrNotSupported) {
		return nil // a middleware's or a test's writer; its own business
	}
	return err
}

// failed says why a write failed. That the request's context has ended says
// nothing: any failed write ends it.
func (s *stream) failed(err error) End {
	s.cutMu.Lock()
	defer s.cutMu.Unlock()
	switch {
	case s.wasCut:
		return EndCut
	case errors.Is(err, os.ErrDeadlineExceeded):
		return EndStuck
	}
	return EndGone
}
