package upstream

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Stream is a running server-streaming RPC.
//
// Accepted, Next and Trailer are for one goroutine, Close is for any. While Next
// is not called, the backend may send 64 KiB ahead and is then stopped by
// HTTP/2 flow control; no more is held.
type Stream struct {
	upstream *Upstream
	cancel   context.CancelFunc
	givenUp  func() error // why this side has given up the RPC; nil if it has not

	once    sync.Once
	slot    *slot
	movable func() bool // Call.Movable
	// Why this side has ended the RPC: for another address, by GiveUp, for a
	// backend that does not answer.
	moved, idle, silent atomic.Bool

	// Owned by the goroutine that reads.
	stream  grpc.ClientStream
	frame   frame
	pending bool        // frame holds a message that Next has not given out
	heard   bool        // a message has come
	header  metadata.MD // set once accepted
	asked   bool        // Accepted has its answer
	end     error       // what the RPC ended with
}

// Accepted waits until the backend has accepted the RPC by sending response
// headers, and returns nil. If the RPC ends before that, Accepted returns what
// it ended with, io.EOF for OK. Asking again gives the same answer.
//
// A backend need not send headers before its first message; there is no bound
// to how long that takes but the RPC's context.
func (s *Stream) Accepted() error {
	if s.asked || s.end != nil {
		return s.end
	}
	header, err := s.stream.Header()
	if err == nil && header != nil {
		if s.upstream.tooLarge(header) {
			s.end = headersTooLarge()
			s.Close()
			return s.end
		}
		s.asked, s.header = true, header
		s.slot.accepted()
		return nil
	}
	// Without headers the status tells how the RPC ended. A connection of the
	// embedder's own may have no headers to give and yet a message.
	if err := s.receive(); err != nil {
		return err
	}
	s.asked, s.pending = true, true
	return nil
}

// Next waits for the next message and calls fn with its bytes, which may be none
// (a message of defaults) and are only lent: they are reused when fn returns. It
// returns what fn returns. When the RPC has ended, fn is not called and Next
// returns what it ended with: io.EOF for OK, else an error with a gRPC status,
// also for a cancelled context. ErrMessageTooLarge is wrapped if it was that.
func (s *Stream) Next(fn func(wire []byte) error) error {
	if !s.pending {
		if err := s.receive(); err != nil {
			return err
		}
	}
	s.pending = false
	return s.frame.lend(fn)
}

// Trailer is the metadata that came with the end of the RPC. Before Accepted or
// Next have reported the end it is nil.
func (s *Stream) Trailer() metadata.MD {
	if s.end == nil {
		return nil
	}
	return trailer(s.stream)
}

// trailer is what the backend sent as trailers.
func trailer(stream grpc.ClientStream) metadata.MD {
	md := stream.Trailer()
	delete(md, answerField)
	return md
}

// Close cancels the RPC, if it has not ended, and gives its place back. A Next
// that waits returns CANCELLED. Closing again does nothing.
func (s *Stream) Close() {
	s.once.Do(func() {
		s.cancel()
		s.upstream.disown(s)
		s.slot.release()
	})
}

// receive waits for a message, or for the end.
func (s *Stream) receive() error {
	if s.end != nil {
		return s.end
	}
	if err := s.stream.RecvMsg(&s.frame); err != nil {
		s.frame.free()
		e := s.upstream.ending(s.stream, s.givenUp())
		s.end = e.error(err)
		switch {
		case s.moved.Load():
			s.end = ErrMoved
		case s.idle.Load():
			s.end = ErrIdle
		case s.silent.Load():
			s.end = s.errSilentRPC()
		default:
			s.slot.note(e, s.end, s.heard)
		}
		s.Close()
		return s.end
	}
	if !s.heard {
		s.heard = true
		s.slot.worked()
	}
	if !s.asked {
		s.asked = true
		s.slot.accepted()
	}
	return nil
}

// note records what the end of an RPC says of the RPC and of its address. heard
// reports whether a message has come.
func (s *slot) note(e ending, end error, heard bool) {
	switch {
	case s.pool == nil, e.over != nil:
	case strings.HasPrefix(e.mark, answerBroke):
		s.broke(end)
	case errors.Is(end, ErrForeign), e.mark == answerUnavailable:
		if !heard {
			s.failed()
		}
	case strings.HasPrefix(e.mark, answerOwn):
		s.worked()
	}
}

// ending reads what is known of an RPC that has ended.
func (u *Upstream) ending(stream grpc.ClientStream, givenUp error) ending {
	e := u.unopened()
	e.over = givenUp
	trailer := stream.Trailer()
	if mark := trailer.Get(answerField); e.read && len(mark) > 0 {
		e.mark = mark[0]
	}
	// Headers do not block any more. In an answer of trailers only, the content
	// type is among those.
	header, err := stream.Header()
	e.headers = err == nil && header != nil || len(trailer.Get("content-type")) > 0
	e.trailer = trailer
	return e
}

// tooLarge reports whether header stands for one that was too large.
func (u *Upstream) tooLarge(header metadata.MD) bool {
	return u.pool != nil && header.Get(answerField) != nil
}

// whyOver returns a function that says why ctx has ended. A backend may see the
// deadline pass a little sooner than ctx does.
func whyOver(ctx context.Context) func() error {
	return func() error {
		if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
			return context.DeadlineExceeded
		}
		return ctx.Err()
	}
}

// unopened is what is known of an RPC that has found no stream.
func (u *Upstream) unopened() ending {
	_, http2 := u.params.Conn.(*grpc.ClientConn)
	return ending{read: u.pool != nil, http2: u.pool != nil || http2, maxBytes: u.params.MaxMessageBytes}
}

// send sends the one request. What a backend has answered meanwhile is no error
// here but what the RPC ends with.
func (s *Stream) send(wire []byte) error {
	err := s.stream.SendMsg(request(wire))
	if err == nil {
		err = s.stream.CloseSend()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
