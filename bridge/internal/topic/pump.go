package topic

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// staleAfter is how long a topic may be without an RPC before clients hear.
const staleAfter = 5 * time.Second

// unshown carries a message that cannot be shown out of a Stream's Next.
type unshown struct{ error }

func (u unshown) Unwrap() error { return u.error }

// pump plays RPC after RPC into the log until one ends the stream, the topic
// breaks, or ctx ends.
func (t *Topic) pump(ctx context.Context, registry *Registry) {
	stale := t.watchPlace(staleAfter)
	defer func() { stale.stop() }()
	for t.pace.wait(ctx) {
		if registry.unwanted(t) {
			return
		}
		registry.reclaim() // for the gaps that the log has been told meanwhile
		began, err := t.play(ctx, stale, registry.reclaim)
		if ctx.Err() != nil {
			break
		}
		if end := t.settle(began, err); end != nil {
			registry.stopped(t, end)
			registry.reclaim() // for the stream's last frame
			return
		}
		stale = t.watchOn(stale, err)
	}
	registry.stopped(t, func(*Status) {})
}

// silentStaleAfter is staleAfter for a backend that has not answered for long
// enough already. It leaves time to open the RPC at another address.
const silentStaleAfter = 500 * time.Millisecond

// staleAfter is how long the topic may be without an RPC, after one that ended
// with err, before clients are notified.
func (t *Topic) staleAfter(err error) time.Duration {
	if t.params.Silent != nil && !endedOK(err) && t.params.Silent(err) {
		return silentStaleAfter
	}
	return staleAfter
}

// watchPlace notifies clients once no RPC has worked for so long.
func (t *Topic) watchPlace(after time.Duration) *placeWatch {
	t.update(func(s *Status) { s.Phase, s.Placed = Opening, false })
	w := &placeWatch{topic: t, due: time.Now().Add(after)}
	w.timer = time.AfterFunc(after, w.expire)
	return w
}

// watchOn returns the watch for the time after an RPC that ended with err. The one
// under way goes on if the RPC has not worked.
func (t *Topic) watchOn(w *placeWatch, err error) *placeWatch {
	answered := endedOK(err) || errors.As(err, new(expired)) || t.endedHere(err)
	worked, placed, after := w.lost(answered), t.Status().Placed, t.staleAfter(err)
	switch {
	case worked, placed && after != staleAfter:
		w.stop()
		return t.watchPlace(after)
	case placed:
		t.update(func(s *Status) { s.Phase, s.Placed = Opening, false })
	}
	return w
}

// worksAfter is how long an RPC has to last to count as one that works, if the backend
// says nothing. A proxy whose backend is away takes each RPC and fails it at once: clients
// would hear that the backend is back with each attempt.
const worksAfter = time.Second

// placeWatch is a timer that an RPC stops which works: one that has a place, and then
// brings a message or lasts for worksAfter. Its time stands still while a topic waits for
// its turn: that says nothing about the backend.
type placeWatch struct {
	topic *Topic
	timer *time.Timer

	mu    sync.Mutex
	due   time.Time
	trial *time.Timer // of the RPC that has a place; nil: there is none
	over  bool        // an RPC has worked, or the watch is stopped
}

// expire notifies clients.
func (w *placeWatch) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.topic.update(func(s *Status) { s.Stale = s.Stale || s.Phase == Opening && !s.Placed })
	}
}

// placed notes that an RPC has a place.
func (w *placeWatch) placed() {
	w.topic.update(func(s *Status) { s.Placed = true })
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.trial = time.AfterFunc(worksAfter, w.works)
	}
}

// works notes that the RPC works.
func (w *placeWatch) works() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.endLocked()
	w.topic.update(func(s *Status) { s.Stale = false })
}

// lost notes the end of an RPC, and reports whether it, or one before, has worked: it
// has if it ended with an answer.
func (w *placeWatch) lost(answered bool) bool {
	if answered {
		w.works()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trial != nil {
		w.trial.Stop()
		w.trial = nil
	}
	if !w.over && !time.Now().Before(w.due) {
		w.topic.update(func(s *Status) { s.Stale = true })
	}
	return w.over
}

func (w *placeWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endLocked()
}

func (w *placeWatch) endLocked() {
	w.over = true
	w.timer.Stop()
	if w.trial != nil {
		w.trial.Stop()
	}
}

// pause stops the time until the returned function is called.
func (w *placeWatch) pause() (resume func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := time.Until(w.due)
	if !w.timer.Stop() {
		return func() {} // it has notified them already
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.due = time.Now().Add(left)
		w.timer.Reset(left)
	}
}

// play runs one RPC from its opening to its end; err is never nil. began is
// when the backend accepted it, zero if it never did. It calls appended after
// each message.
func (t *Topic) play(ctx context.Context, stale *placeWatch, appended func()) (began time.Time, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer t.setAccepted(false)
	t.delivered, t.received, t.heard = false, false, false
	cursor := t.resume()
	turn, err := t.takeTurn(ctx, stale)
	if err != nil {
		return began, err
	}
	defer turn.giveBack()
	stream, err := t.params.Source.Open(ctx, cursor)
	if err != nil {
		return began, t.refused(cursor, err)
	}
	defer stream.Close()
	turn.placed()
	stale.placed()
	if err := stream.Accepted(); err != nil {
		return began, t.refused(cursor, err)
	}
	began = time.Now()
	t.update(func(s *Status) { s.Phase, s.Err, s.Accepted = Live, nil, began })
	t.setAccepted(true)
	turn.accepted(t)
	ctx, backlog := t.backlog(ctx)
	message := func(wire []byte) error {
		if !t.received {
			stale.works()
		}
		turn.moved()
		return backlog.takes(ctx, func() error { return t.take(ctx, wire) })
	}
	for {
		room, err := t.mayRead(ctx)
		if err != nil {
			return began, err
		}
		if t.params.CatchUp > 0 {
			t.asked = time.Now()
		}
		backlog.asks()
		turn.asks()
		err = stream.Next(message)
		room.done()
		if err != nil {
			return began, t.refused(cursor, err)
		}
		appended()
	}
}

// takeTurn waits until a catch-up may open its RPC.
func (t *Topic) takeTurn(ctx context.Context, stale *placeWatch) (*turn, error) {
	if t.role() != catchUpRole || t.params.Turns == nil {
		return nil, nil //nolint:nilnil // it needs none
	}
	turn, err := t.params.Turns.try(t.home), error(nil)
	if turn == nil {
		resume := stale.pause()
		turn, err = t.params.Turns.take(ctx, t.home)
		resume()
	}
	t.turn.Store(turn)
	return turn, err
}

// expired is the end of an RPC whose cursor the backend does not know any more.
type expired struct{ error }

func (e expired) Unwrap() error { return e.error }

// errExpired is what a message says that is no event but the word that the cursor
// is too old.
var errExpired = errors.New("topic: the cursor is too old")

// errTooFar ends a catch-up that has brought as much as it may: what follows is as
// after a cursor that is too old.
var errTooFar = errors.New("topic: the cursor is too far back")

// tooFar reports whether a catch-up has brought as much as it may, and the message
// that it has got is one more of its replay: what comes after a silence is new.
func (t *Topic) tooFar() bool {
	most := t.params.CatchUp
	if most == 0 || t.role() != catchUpRole {
		return false
	}
	if time.Since(t.asked) >= silence {
		t.replayed.Store(true)
	}
	return t.start != "" && t.gapAt == 0 && !t.replayed.Load() && t.log.Newest() >= most
}

// resume returns the cursor at which the RPC is to be opened, nil for none.
func (t *Topic) resume() []byte {
	t.overlap.cursor = nil
	if t.params.Cursors == nil {
		return nil
	}
	cursor, since, ok := t.params.Renderer.Resume()
	if !ok {
		return nil
	}
	rules := *t.params.Cursors
	rules.Repeats = rules.Repeats || rules.Repeating != nil && rules.Repeating()
	if !t.home.meets {
		rules.NotAfter = nil // the RPCs differ in their order
	}
	t.overlap.begin(rules, cursor, since)
	t.overlap.unordered = !t.home.meets
	return bytes.Clone(cursor)
}

// refused marks the end of an RPC that was opened at a cursor in vain: before its
// first message with a cursor, be that one that the log has already. A greeting
// may come before the refusal, as etcd's does.
func (t *Topic) refused(cursor []byte, err error) error {
	if cursor != nil && !t.heard &&
		(errors.Is(err, errExpired) || t.params.Cursors.Expired(err)) {
		return expired{err}
	}
	return err
}

// mayRead waits until the pump may read the RPC's next message, and returns the
// room for it.
func (t *Topic) mayRead(ctx context.Context) (*message, error) {
	for {
		if err := t.awaitReaders(ctx); err != nil {
			return nil, err
		}
		room, err := t.makeRoom(ctx)
		if err != nil || !t.mustWait() {
			return room, err
		}
		room.done() // it has taken a while, and the readers have left meanwhile
	}
}

// awaitReaders holds the pump of a held log back while the topic has no clients or
// one of them has not got what the log holds, so that flow control reaches the
// backend. It also holds back the pump of a catch-up that is ahead of main.
func (t *Topic) awaitReaders(ctx context.Context) error {
	if !t.mustWait() {
		return ctx.Err()
	}
	t.waiting.Store(true) // before it is looked at again, so that no wake-up is missed
	defer t.waiting.Store(false)
	again := time.NewTimer(silence) // main may have passed by
	defer again.Stop()
	defer t.stalls(false)
	for t.mustWait() {
		t.stalls(t.log.Full())
		began, counts := time.Now(), !t.log.Full() || t.waitsForClient() // else the bridge has not come round to a client
		select {
		case <-t.room:
		case <-again.C:
			again.Reset(silence)
		case <-ctx.Done():
			return ctx.Err()
		}
		if counts {
			t.turn.Load().wait(time.Since(began))
		}
	}
	return ctx.Err()
}

func (t *Topic) mustWait() bool {
	return t.held() && (t.listening.Load() == 0 || t.full() || t.ahead())
}

// take renders a message into the log.
func (t *Topic) take(ctx context.Context, wire []byte) error {
	t.last, t.received = 0, true
	t.took(len(wire))
	m, err := t.params.Renderer.Read(ctx, wire)
	defer t.params.Renderer.Release()
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && m.Expired {
		return errExpired
	}
	t.heard = t.heard || len(m.Cursor) > 0
	drop, lost := t.overlap.drops(m)
	if drop {
		return nil
	}
	if t.tooFar() {
		return expired{errTooFar}
	}
	if lost != "" {
		if err := t.tellGap(lost); err != nil {
			return err
		}
	}
	switch {
	case err != nil && t.params.StopOnBad:
		return unshown{err}
	case err != nil:
		frame, id := t.params.Renderer.Gap(reason.GapUntranscodable)
		t.log.Mark(reason.GapUntranscodable)
		err = t.grow(frame, id, false)
	default:
		frame, id := t.params.Renderer.Event()
		t.took(len(frame))
		err = t.grow(frame, id, false)
	}
	if !t.delivered {
		t.delivered = true
		t.update(func(s *Status) { s.Messages = true })
	}
	return err
}

// settle decides what follows the end of an RPC: nil to open it again, else
// the change of status with which the pump stops.
func (t *Topic) settle(began time.Time, err error) func(*Status) {
	now := time.Now()
	if errors.As(err, new(expired)) {
		t.tellLost(reason.GapExpired)
		return nil // opened once without the cursor, at once
	}
	if t.endedHere(err) {
		t.broken = t.broken || t.delivered
		t.mend()
		return nil
	}
	// A stream may be silent for hours: one that lived for a while has worked.
	worked := t.delivered || (!began.IsZero() && now.Sub(began) >= t.params.Backoff.Max)
	t.pace.ended(now, worked)
	if worked || endedOK(err) {
		t.failures, t.attempts = 0, 0
	}
	t.broken = t.broken || t.delivered
	if endedOK(err) {
		if !t.params.Reopen {
			return t.finish(nil)
		}
		t.mend()
		return nil
	}
	switch t.judge(err, worked) {
	case Hold:
		t.mend()
		t.update(func(s *Status) { s.Err = err })
		return nil
	case Fatal:
		return t.finish(err)
	default:
		return func(s *Status) {
			s.Phase, s.Err, s.Stale = Broken, err, false
			s.breaks++
		}
	}
}

// endedHere reports whether the RPC was ended on this side, to be opened again at
// once: it is no failure of the backend's.
func (t *Topic) endedHere(err error) bool {
	return !endedOK(err) && !errors.As(err, new(unshown)) && t.params.Judge(err) == Again
}

// endedOK reports whether the RPC ended with OK. Only io.EOF itself says so: a
// failure may wrap the io.EOF of a connection that was hung up.
func endedOK(err error) bool {
	return err == io.EOF //nolint:errorlint // see above
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
	if verdict == Hold {
		t.attempts++ // the opening that is to follow
	}
	usedUp := t.params.Attempts > 0 && t.attempts > t.params.Attempts
	final := t.params.NoReturn && t.delivered
	switch {
	case verdict == Hold && !usedUp && !final, verdict == Fatal:
		return verdict
	case verdict == Flaky && t.failures >= flakyOpens, t.params.NoReturn:
		return Fatal
	}
	return Retry
}

// finish writes the last frame and closes the log, together with the change of
// status: a client that joined in between would start behind the last frame and
// hear nothing, each time it comes back.
func (t *Topic) finish(err error) func(*Status) {
	frame, id := t.params.Renderer.End(err)
	return func(s *Status) {
		if !t.conclude(frame, id) {
			return
		}
		s.Phase, s.Err, s.Stale = Finished, err, false
	}
}

// mend tells that messages may be missing from here on, where an RPC that had
// delivered was lost and its successor cannot be opened at a cursor.
func (t *Topic) mend() {
	if !t.broken {
		return
	}
	t.broken = false
	if t.params.Cursors != nil {
		if _, _, ok := t.params.Renderer.Resume(); ok {
			return
		}
	}
	t.tellLost(reason.GapUpstream)
}

// tellGap appends a gap after which the order of cursors begins anew.
func (t *Topic) tellGap(why reason.Gap) error {
	frame, id := t.params.Renderer.Gap(why)
	t.log.Mark(why)
	return t.grow(frame, id, true)
}

// tellLost is tellGap between two RPCs, when a merged log needs no gap any more.
func (t *Topic) tellLost(why reason.Gap) {
	if err := t.tellGap(why); err != nil && !errors.Is(err, errOver) {
		panic(err) // grow knows no other
	}
}
