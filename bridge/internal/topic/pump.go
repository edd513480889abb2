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
		stale = t.watchPlace()
	}
	registry.stopped(t, func(*Status) {})
}

// watchPlace tells clients once no RPC has had a place for staleAfter; an
// RPC's placing stops it.
func (t *Topic) watchPlace() *time.Timer {
	t.update(func(s *Status) { s.Phase, s.placed = Opening, false })
	return time.AfterFunc(staleAfter, func() {
		t.update(func(s *Status) { s.Stale = s.Phase == Opening && !s.placed })
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
	t.update(func(s *Status) { s.placed, s.Stale = true, false })
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
	t.failures = 0
	if !t.delivered {
		t.delivered = true
		t.update(func(s *Status) { s.Messages = true })
	}
	return nil
}

// settle decides what follows the end of an RPC: nil to open it again, else
// the change of status with which the pump stops.
func (t *Topic) settle(began time.Time, err error) func(*Status) {
	t.pace.failed(time.Now(), began, t.delivered)
	if errors.Is(err, io.EOF) {
		if !t.params.Reopen {
			return t.finish(nil)
		}
		t.tellGap(t.delivered)
		return nil
	}
	if !t.delivered {
		t.failures++
	}
	switch t.judge(err) {
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
func (t *Topic) judge(err error) Verdict {
	if errors.As(err, new(unshown)) {
		return Fatal
	}
	verdict := t.params.Judge(err)
	switch {
	case verdict == Hold && !t.delivered, verdict == Fatal:
		return verdict
	case verdict == Flaky && t.failures >= flakyOpens, t.params.NoReturn:
		return Fatal
	}
	return Retry
}

// finish writes the last frame and closes the log.
func (t *Topic) finish(err error) func(*Status) {
	t.append(t.params.Renderer.End(err))
	t.log.Close()
	return func(s *Status) { s.Phase, s.Err, s.Stale = Finished, err, false }
}

// tellGap notes that messages may be missing from here on, if any had come.
func (t *Topic) tellGap(due bool) {
	if due {
		t.append(t.params.Renderer.Gap(gapUpstream))
	}
	t.gapDue = false
}
