package delivery

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

var errCut = errors.New("delivery: cut")

// longAgo is the write deadline that cuts a stream. It is so old that it has passed by any clock: with a
// deadline that has not quite passed, an HTTP/2 stream could still end as if it were complete.
var longAgo = time.Unix(1, 0) //nolint:gochecknoglobals // never changes

// Stream serves one client on the goroutine of its request.
type Stream struct {
	clients *Clients
	session *session
	sink    sink
	timer   *time.Timer // for wait; nil until the first deadline
	end     reason.End  // set if begin has already ended the stream
	// wrapRun, if not nil, calls run, and does what the connection needs before and after that.
	wrapRun func(run func(context.Context) reason.End) reason.End

	asked   chan struct{} // closed when the client is asked to leave
	askOnce sync.Once

	sampler sampler

	positionMu sync.Mutex
	position   clientPosition // after the last write

	cutMu  sync.Mutex
	wasCut bool // the stream was cut: no other deadline may replace longAgo
}

func newStream(clients *Clients, client *Client, enc encoder, sink sink) *Stream {
	return &Stream{clients: clients, session: newSession(client, enc, clock()), sink: sink, asked: make(chan struct{})}
}

func (s *Stream) askToLeave(why reason.Leave) {
	s.askOnce.Do(func() {
		s.session.askToLeave(why)
		close(s.asked)
	})
}

// cut makes the current write and all later ones fail.
func (s *Stream) cut() {
	s.cutMu.Lock()
	defer s.cutMu.Unlock()
	s.wasCut = true
	// A sink without deadlines returns an error here; its stream ends at the next write, see setDeadline.
	_ = s.sink.SetWriteDeadline(longAgo)
	s.askToLeave(reason.LeaveDrain) // wakes the stream; the reason is not used
}

// begin writes the first block, and with it the response's head. For the head net/http needs more stack
// than for any later write.
func (s *Stream) begin() {
	s.session.countArrival(HTTP)
	s.session.client.servedBy(s)
	s.notePosition()
	s.clients.add(s, s.session.client.Audience)
	_, s.end = s.step()
}

// Run writes until the stream ends. It must be called once. For any end other than reason.EndComplete and
// reason.EndAsked the caller must abort the response.
func (s *Stream) Run(ctx context.Context) reason.End {
	if s.wrapRun != nil {
		return s.wrapRun(s.runToEnd)
	}
	return s.runToEnd(ctx)
}

// Asked returns why the client was asked to leave, or an empty reason. It may only be called after Run.
func (s *Stream) Asked() reason.Leave { return s.session.leftFor }

func (s *Stream) runToEnd(ctx context.Context) reason.End {
	end := s.run(ctx)
	s.clients.remove(s)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.session.countDeparture(HTTP, end)
	s.session.client.Done(end)
	return end
}

func (s *Stream) run(ctx context.Context) reason.End {
	end := s.end
	for end == "" && ctx.Err() == nil {
		var idle bool
		if idle, end = s.step(); idle {
			s.wait(ctx)
		}
	}
	if end == "" {
		return s.failed(ctx.Err()) // cut also ends the context of some connections
	}
	return end
}

// step takes and writes the next step. idle reports that there was nothing to write; end is not empty
// if the stream has ended.
func (s *Stream) step() (idle bool, end reason.End) {
	s.sampler.begin(s.session.log)
	blocks, end := s.session.step(clock())
	if len(blocks) > 0 {
		if err := s.send(blocks...); err != nil {
			return false, s.failed(err)
		}
		frames := s.session.frames
		s.session.written(clock())
		s.sampler.observe(s.session.client, frames)
		s.notePosition()
	}
	if end == "" {
		return len(blocks) == 0, ""
	}
	if err := s.arm(); err != nil { // for the last bytes that net/http writes; after a cut there are none
		return false, s.failed(err)
	}
	return false, end
}

// wait blocks until there may be something to do.
func (s *Stream) wait(ctx context.Context) {
	source := s.session.client.Source
	asked := s.asked
	if s.session.leaving {
		asked = nil // the session has seen a reason, and only the first counts
	}
	// The channels are taken before the status and Parted are looked at: any later change closes one.
	grown := s.session.log.Grown(s.session.client.Position)
	status, changed := source.Status()
	if status.Leave || status.Stale != s.session.stale || s.session.mustMove() {
		return
	}
	due := s.dueTimer()
	select {
	case <-grown:
	case <-changed:
	case <-due:
	case <-asked:
	case <-ctx.Done():
	}
}

// dueTimer returns a channel that fires when session.due is reached, or nil if that is never.
func (s *Stream) dueTimer() <-chan time.Time {
	at := s.session.due()
	switch {
	case at == never:
		return nil
	case s.timer == nil:
		s.timer = time.NewTimer(at.since(clock()))
	default:
		s.timer.Reset(at.since(clock()))
	}
	return s.timer.C
}

// send writes whole blocks and flushes them.
func (s *Stream) send(blocks ...[]byte) error {
	armed := 0 // bytes that the current deadline still covers
	for _, block := range blocks {
		for piece := range slices.Chunk(block, batchBytes) {
			if armed < len(piece) {
				if err := s.arm(); err != nil {
					return err
				}
				armed = batchBytes
			}
			armed -= len(piece)
			n, err := s.sink.Write(piece)
			s.session.client.Sent += uint64(max(n, 0))
			s.session.client.Counts.sent(n, s.session.client.Gzip)
			if err != nil {
				return err
			}
			if len(block) > batchBytes {
				s.session.reportTaking()
			}
		}
	}
	if err := s.sink.Flush(); err != nil {
		return err
	}
	// HTTP/2 resets a stream whose deadline passes, even if nothing is being written.
	return s.setDeadline(time.Time{})
}

// arm sets the deadline of the next write. This deadline replaces the one of http.Server.WriteTimeout,
// which counts from the start of the request.
func (s *Stream) arm() error {
	return s.setDeadline(time.Now().Add(s.session.client.Policy.WriteTimeout))
}

func (s *Stream) setDeadline(at time.Time) error {
	s.cutMu.Lock()
	defer s.cutMu.Unlock()
	if s.wasCut {
		return errCut
	}
	err := s.sink.SetWriteDeadline(at)
	if errors.Is(err, http.ErrNotSupported) {
		return nil // the writer of a middleware or a test
	}
	return err
}

// failed returns the end of a stream whose write failed. A canceled context says nothing about the cause:
// net/http cancels it after any failed write.
func (s *Stream) failed(err error) reason.End {
	s.cutMu.Lock()
	defer s.cutMu.Unlock()
	switch {
	case s.wasCut:
		return reason.EndCut
	case errors.Is(err, os.ErrDeadlineExceeded):
		return reason.EndStuck
	}
	return reason.EndGone
}
