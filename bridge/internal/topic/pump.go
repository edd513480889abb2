package topic

import (
	"context"
	"errors"
	"io"
	"time"
)

// staleAfter is how long a topic may be without an RPC before clients hear.
const staleAfter = 5 * time.Second

// unshown carries a message that cannot be shown out of a Stream's Next.
type unshown struct{ error }

func (u unshown) Unwrap() error { return u.error }

// pump plays RPC after RPC into the log until one ends the stream, the topic
// breaks, or ctx ends.
func (t *Topic) pump(ctx context.Context, registry *Registry) {
	stale := t.watchPlace()
	defer func() { stale.Stop() }()
	for t.pace.wait(ctx) {
		began, err := t.play(ctx, stale)
		if ctx.Err() != nil {
			break
		}
		if end := t.settle(began, err); end != nil {
			registry.stopped(t, end)
			return
		}
		if t.Status().Placed {
			stale = t.watchPlace()
		} // else the watch under way goes on: it was not placed then, and is not now
	}
	registry.stopped(t, func(*Status) {})
}

// watchPlace tells clients once no RPC has had a place for staleAfter; an
// RPC's placing stops it.
func (t *Topic) watchPlace() *time.Timer {
	t.update(func(s *Status) { s.Phase, s.Placed = Opening, false })
	return time.AfterFunc(staleAfter, func() {
		t.update(func(s *Status) { s.Stale = s.Phase == Opening && !s.Placed })
	})
}

// play runs one RPC from its opening to its end; err is never nil. began is
// when the backend accepted it, zero if it never did.
func (t *Topic) play(ctx context.Context, stale *time.Timer) (began time.Time, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.delivered = false
	stream, err := t.params.Source.Open(ctx)
	if err != nil {
		return began, err
	}
	defer stream.Close()
	stale.Stop()
	t.update(func(s *Status) { s.Placed, s.Stale = true, false })
	if err := stream.Accepted(); err != nil {
		return began, err
	}
	t.update(func(s *Status) { s.Phase, s.Err = Live, nil })
	began = time.Now()
	message := func(wire []byte) error { return t.take(ctx, wire) }
	for {
		if err := t.mayRead(ctx); err != nil {
			return began, err
		}
		if err := stream.Next(message); err != nil {
			return began, err
		}
	}
}

// mayRead holds a private topic's pump back while nobody listens or its
// client has not got what the log holds, so that flow control reaches the
// backend.
func (t *Topic) mayRead(ctx context.Context) error {
	for t.private && (t.listening.Load() == 0 || t.log.Full()) {
		select {
		case <-t.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// take renders a message into the log.
func (t *Topic) take(ctx context.Context, wire []byte) error {
	frame, id, err := t.params.Renderer.Message(ctx, wire)
	switch {
	case err == nil:
		t.append(frame, id)
	case ctx.Err() != nil:
		return ctx.Err()
	case t.params.StopOnBad:
		return unshown{err}
	default:
		t.append(t.params.Renderer.Gap(gapUntranscodable))
	}
	if !t.delivered {
		t.delivered = true
		t.update(func(s *Status) { s.Messages = true })
	}
	return nil
}

// settle decides what follows the end of an RPC: nil to open it again, else
// the change of status with which the pump stops.
func (t *Topic) settle(began time.Time, err error) func(*Status) {
	now := time.Now()
	// A stream may be silent for hours: one that lived for a while has worked.
	worked := t.delivered || (!began.IsZero() && now.Sub(began) >= t.params.Backoff.Max)
	t.pace.ended(now, worked)
	if worked || errors.Is(err, io.EOF) {
		t.failures = 0
	}
	if errors.Is(err, io.EOF) {
		if !t.params.Reopen {
			return t.finish(nil)
		}
		t.tellGap(t.delivered)
		return nil
	}
	switch t.judge(err, worked) {
	case Hold:
		t.update(func(s *Status) { s.Err = err })
		return nil
	case Fatal:
		return t.finish(err)
	default:
		t.gapDue = t.gapDue || t.delivered
		return func(s *Status) {
			s.Phase, s.Err, s.Stale = Broken, err, false
			s.breaks++
		}
	}
}

// judge returns Hold, Retry or Fatal.
func (t *Topic) judge(err error, worked bool) Verdict {
	if errors.As(err, new(unshown)) {
		return Fatal
	}
	verdict := t.params.Judge(err)
	if verdict == Flaky && !worked {
		t.failures++
	}
	switch {
	case verdict == Hold && !t.delivered, verdict == Fatal:
		return verdict
	case verdict == Flaky && t.failures >= flakyOpens, t.params.NoReturn:
		return Fatal
	}
	return Retry
}

// finish writes the last frame and closes the log, together with the change of
// status: who joined in between would start behind the last frame and be told
// nothing, each time it comes back.
func (t *Topic) finish(err error) func(*Status) {
	frame, id := t.params.Renderer.End(err)
	return func(s *Status) {
		t.append(frame, id)
		t.log.Close()
		s.Phase, s.Err, s.Stale = Finished, err, false
	}
}

// tellGap notes that messages may be missing from here on, if any had come.
func (t *Topic) tellGap(due bool) {
	if due {
		t.append(t.params.Renderer.Gap(gapUpstream))
	}
	t.gapDue = false
}
