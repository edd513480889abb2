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
// Accepted, Next and Trailer are for one goroutine, Close is for any. While Next is not called, the
// backend may send 64 KiB ahead and is then stopped by HTTP/2 flow control; the bridge buffers no
// more.
type Stream struct {
	upstream  *Upstream
	cancel    context.CancelFunc
	endReason func() error // why this side has ended the RPC; nil if it has not

	once    sync.Once
	slot    *slot
	movable func() bool // Call.Movable
	// The reason why this side has ended the RPC: rebalancing, GiveUp, or a backend that does not
	// answer.
	moved, idle, silent atomic.Bool

	// Owned by the goroutine that reads.
	stream     grpc.ClientStream
	frame      frame
	pending    bool        // frame holds a message that Next has not lent yet
	gotMessage bool        // a message has arrived
	header     metadata.MD // set once accepted
	answered   bool        // Accepted has its answer
	end        error       // the error that ended the RPC
}

// Accepted waits until the backend has accepted the RPC by sending response headers, and returns
// nil. If the RPC ends first, Accepted returns its error, io.EOF for OK. Further calls return the
// same.
//
// A backend need not send headers before its first message. Only the RPC's context bounds the wait.
func (s *Stream) Accepted() error {
	if s.answered || s.end != nil {
		return s.end
	}
	header, err := s.stream.Header()
	if err == nil && header != nil {
		if s.upstream.tooLarge(header) {
			s.end = headersTooLarge()
			s.Close()
			return s.end
		}
		s.answered, s.header = true, header
		s.slot.accepted()
		return nil
	}
	// Without headers, the status says how the RPC ended. A connection of the embedder's own may
	// return no headers and yet a message.
	if err := s.receive(); err != nil {
		return err
	}
	s.answered, s.pending = true, true
	return nil
}

// Next waits for the next message and calls fn with its bytes, which may be empty (a message of
// default values). They are only lent: they are reused when fn returns. Next returns the error of
// fn. Once the RPC has ended, Next does not call fn and returns the RPC's error: io.EOF for OK,
// otherwise an error with a gRPC status, also for a cancelled context. The error wraps
// ErrMessageTooLarge if that was the reason.
func (s *Stream) Next(fn func(wire []byte) error) error {
	if !s.pending {
		if err := s.receive(); err != nil {
			return err
		}
	}
	s.pending = false
	return s.frame.lend(fn)
}

// Trailer returns the trailing metadata. It is nil until Accepted or Next has reported the end of
// the RPC.
func (s *Stream) Trailer() metadata.MD {
	if s.end == nil {
		return nil
	}
	return trailer(s.stream)
}

// trailer returns the trailers that the backend sent.
func trailer(stream grpc.ClientStream) metadata.MD {
	md := stream.Trailer()
	delete(md, answerField)
	return md
}

// Close cancels the RPC, if it has not ended, and frees its slot. A waiting Next returns CANCELLED.
// Further calls do nothing.
func (s *Stream) Close() {
	s.once.Do(func() {
		s.cancel()
		s.upstream.disown(s)
		s.slot.release()
	})
}

// receive waits for a message or the end of the RPC.
func (s *Stream) receive() error {
	if s.end != nil {
		return s.end
	}
	if err := s.stream.RecvMsg(&s.frame); err != nil {
		s.frame.free()
		e := s.upstream.ending(s.stream, s.endReason())
		s.end = e.error(err)
		switch {
		case s.moved.Load():
			s.end = ErrMoved
		case s.idle.Load():
			s.end = ErrIdle
		case s.silent.Load():
			s.end = s.errSilentRPC()
		default:
			s.slot.note(e, s.end, s.gotMessage)
		}
		s.Close()
		return s.end
	}
	if !s.gotMessage {
		s.gotMessage = true
		s.slot.worked()
	}
	if !s.answered {
		s.answered = true
		s.slot.accepted()
	}
	return nil
}

// note records the meaning of an RPC's end for the RPC and its address. gotMessage is set if a
// message has arrived.
func (s *slot) note(e ending, end error, gotMessage bool) {
	switch {
	case s.pool == nil, e.localEnd != nil:
	case strings.HasPrefix(e.mark, answerBroke):
		s.broke(end)
	case errors.Is(end, ErrForeign), e.mark == answerUnavailable:
		if !gotMessage {
			s.failed()
		}
	case strings.HasPrefix(e.mark, answerOwn):
		s.worked()
	}
}

// ending describes an RPC that has ended.
func (u *Upstream) ending(stream grpc.ClientStream, givenUp error) ending {
	e := u.unopened()
	e.localEnd = givenUp
	trailer := stream.Trailer()
	if mark := trailer.Get(answerField); e.read && len(mark) > 0 {
		e.mark = mark[0]
	}
	// Header does not block any more. A trailers-only answer has its content type among the
	// trailers.
	header, err := stream.Header()
	e.headers = err == nil && header != nil || len(trailer.Get("content-type")) > 0
	e.trailer = trailer
	return e
}

// tooLarge reports whether header replaces one that was too large.
func (u *Upstream) tooLarge(header metadata.MD) bool {
	return u.pool != nil && header.Get(answerField) != nil
}

// endReason returns a function that reports why ctx has ended. A backend may see the deadline pass
// slightly before ctx ends.
func endReason(ctx context.Context) func() error {
	return func() error {
		if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
			return context.DeadlineExceeded
		}
		return ctx.Err()
	}
}

// unopened describes an RPC that got no stream.
func (u *Upstream) unopened() ending {
	_, http2 := u.params.Conn.(*grpc.ClientConn)
	return ending{read: u.pool != nil, http2: u.pool != nil || http2, maxBytes: u.params.MaxMessageBytes}
}

// send sends the only request. If the backend has already ended the RPC, send returns nil, since
// receiving returns the error.
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
