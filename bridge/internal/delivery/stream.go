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

// longAgo is a deadline that has passed by any clock, be it a coarse one:
// HTTP/2 ends a stream cleanly whose deadline has not.
var longAgo = time.Unix(1, 0) //nolint:gochecknoglobals // never changes

// Stream is one client that is served by its request's goroutine.
type Stream struct {
	clients *Clients
	session *session
	sink    sink
	timer   *time.Timer // of the waiting; nil until there is something to wait for
	end     reason.End  // how it ended at once, if it did
	// around, unless it is nil, does what else there is to do while run runs.
	around func(run func(context.Context) reason.End) reason.End

	told     chan struct{} // closed when the client is to be asked to leave
	tellOnce sync.Once

	sampler sampler

	spotMu  sync.Mutex
	spotted spot // as of its last write

	cutMu  sync.Mutex
	wasCut bool // no deadline is set any more but the one that ends the writing
}

func newStream(clients *Clients, client *Client, form form, sink sink) *Stream {
	return &Stream{clients: clients, session: newSession(client, form, clock()), sink: sink, told: make(chan struct{})}
}

func (s *Stream) tell(why reason.Leave) {
	s.tellOnce.Do(func() {
		s.session.tell(why)
		close(s.told)
	})
}

// cut makes the write under way, and every later one, fail.
func (s *Stream) cut() {
	s.cutMu.Lock()
	defer s.cutMu.Unlock()
	s.wasCut = true
	// A writer that knows no deadlines fails at its next write instead.
	_ = s.sink.SetWriteDeadline(longAgo)
	s.tell(reason.LeaveDrain) // wakes it; what it is told for is of no matter any more
}

// begin writes the first block, for which a server's stack is deepest: it writes the
// response's head, too.
func (s *Stream) begin() {
	s.session.arrive(HTTP)
	s.session.client.servedBy(s)
	s.note()
	s.clients.add(s, s.session.client.Audience)
	_, s.end = s.step()
}

// Run writes until the stream ends. Where it ends otherwise than by reason.EndComplete or
// reason.EndAsked, the response must be aborted. It is to be called once.
func (s *Stream) Run(ctx context.Context) reason.End {
	if s.around != nil {
		return s.around(s.runToEnd)
	}
	return s.runToEnd(ctx)
}

// Asked returns why the client was asked to leave, when Run has returned; the
// zero Reason: it was not.
func (s *Stream) Asked() reason.Leave { return s.session.parting }

func (s *Stream) runToEnd(ctx context.Context) reason.End {
	end := s.run(ctx)
	s.clients.remove(s)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.session.depart(HTTP, end)
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
		return s.failed(ctx.Err()) // a cut may end the context, too
	}
	return end
}

// step writes what comes next. It returns whether that was nothing, and how the
// stream has ended, if it has.
func (s *Stream) step() (idle bool, end reason.End) {
	s.sampler.begin(s.session.log)
	blocks, end := s.session.step(clock())
	if len(blocks) > 0 {
		if err := s.send(blocks...); err != nil {
			return false, s.failed(err)
		}
		frames := s.session.frames
		s.session.wrote(clock())
		s.sampler.observe(s.session.client, frames)
		s.note()
	}
	if end == "" {
		return len(blocks) == 0, ""
	}
	if err := s.arm(); err != nil { // for the server's last bytes; a client that is cut now gets none
		return false, s.failed(err)
	}
	return false, end
}

// wait returns when there may be something to do.
func (s *Stream) wait(ctx context.Context) {
	source := s.session.client.Source
	told := s.told
	if s.session.leaving {
		told = nil // seen; only a step sets leaving, so a reason that came since is still waited for
	}
	// Before the source is asked: whatever it says from then on closes a channel.
	grown := s.session.log.Grown(s.session.client.Position)
	status, changed := source.Status()
	if status.Leave || status.Stale != s.session.stale || s.session.parts() {
		return
	}
	due := s.alarm()
	select {
	case <-grown:
	case <-changed:
	case <-due:
	case <-told:
	case <-ctx.Done():
	}
}

// alarm returns a channel that tells when the next step is due, nil for never.
func (s *Stream) alarm() <-chan time.Time {
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

// send writes whole blocks and pushes them out.
func (s *Stream) send(blocks ...[]byte) error {
	armed := 0 // bytes that the deadline still covers
	for _, block := range blocks {
		for piece := range slices.Chunk(block, batch) {
			if armed < len(piece) {
				if err := s.arm(); err != nil {
					return err
				}
				armed = batch
			}
			armed -= len(piece)
			n, err := s.sink.Write(piece)
			s.session.client.Sent += uint64(max(n, 0))
			s.session.client.Counts.sent(n, s.session.client.Gzip)
			if err != nil {
				return err
			}
			if len(block) > batch {
				s.session.takes()
			}
		}
	}
	if err := s.sink.Flush(); err != nil {
		return err
	}
	// HTTP/2 resets a stream whose deadline passes, be there something to
	// write or not.
	return s.setDeadline(time.Time{})
}

// arm gives the write to come its time. It also lifts http.Server's
// WriteTimeout, which counts from the request.
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
		return nil // a middleware's or a test's writer; its own business
	}
	return err
}

// failed says why a write failed. That the request's context has ended says
// nothing: any failed write ends it.
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
