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

// staleAfter is how long a topic may be without an RPC before its clients are notified.
const staleAfter = 5 * time.Second

// unshown carries a message that has no JSON out of a Stream's Next.
type unshown struct{ error }

func (u unshown) Unwrap() error { return u.error }

// pump plays RPC after RPC into a topic's log. Its fields belong to the goroutine that runs it, and
// before that to the one that starts it.
type pump struct {
	*Topic

	pace      pace
	failures  int  // openings in a row that failed, perhaps by a bug of the backend
	attempts  int  // reopenings in a row after Hold
	received  bool // the current RPC has sent a message
	heard     bool // the current RPC has sent a message with a cursor
	delivered bool // the current RPC has sent a message that the log did not have
	broken    bool // an RPC that had delivered was lost, and none was opened since
	overlap   overlap
	asked     time.Time // when the pump began to wait for the next message; only where catch-ups are bounded

	intake intake
}

// run plays RPC after RPC into the log until one ends the stream, the topic breaks, or ctx ends.
func (p *pump) run(ctx context.Context) {
	stale := p.watchPlace(staleAfter)
	defer func() { stale.stop() }()
	for p.pace.wait(ctx) {
		if p.registry.pumps.unwanted(p.Topic) {
			return
		}
		p.registry.reclaim() // for gaps that the log has got meanwhile
		began, err := p.play(ctx, stale, p.registry.reclaim)
		if ctx.Err() != nil {
			break
		}
		if end := p.settle(began, err); end != nil {
			p.registry.pumps.stopped(p.Topic, end)
			p.registry.reclaim() // for the stream's last frame
			return
		}
		stale = p.watchOn(stale, err)
	}
	p.registry.pumps.stopped(p.Topic, func(*Status) {})
}

// silentStaleAfter is staleAfter for a backend that has been silent for long already. It leaves
// time to open the RPC at another address.
const silentStaleAfter = 500 * time.Millisecond

// staleAfter returns how long the topic may be without an RPC, after one that ended with err,
// before its clients are notified.
func (p *pump) staleAfter(err error) time.Duration {
	if p.params.Silent != nil && !endedOK(err) && p.params.Silent(err) {
		return silentStaleAfter
	}
	return staleAfter
}

// watchPlace sets the topic's phase to Opening and starts a placeWatch: if no RPC works within the
// time, the topic becomes stale, which its clients are told.
func (p *pump) watchPlace(after time.Duration) *placeWatch {
	p.update(func(s *Status) { s.Phase, s.Placed = Opening, false })
	w := &placeWatch{topic: p.Topic, due: time.Now().Add(after)}
	w.timer = time.AfterFunc(after, w.expire)
	return w
}

// watchOn returns the watch for the time after an RPC that ended with err. If that RPC has not
// worked, it is the same watch.
func (p *pump) watchOn(w *placeWatch, err error) *placeWatch {
	answered := endedOK(err) || errors.As(err, new(expired)) || p.endedHere(err)
	worked, placed, after := w.lost(answered), p.Status().Placed, p.staleAfter(err)
	switch {
	case worked, placed && after != staleAfter:
		w.stop()
		return p.watchPlace(after)
	case placed:
		p.update(func(s *Status) { s.Phase, s.Placed = Opening, false })
	}
	return w
}

// worksAfter is how long an RPC has to last to count as working if the backend sends nothing. A
// proxy whose backend is away accepts each RPC and fails it at once: with each attempt clients
// would learn that the backend is back.
const worksAfter = time.Second

// placeWatch is a timer that is stopped by an RPC that works: one that has a place on a connection,
// and then brings a message or lasts for worksAfter. The time stands still while a topic waits for
// its slot, which says nothing about the backend.
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

// lost notes the end of an RPC, and reports whether an RPC has worked since the watch began.
// answered says that the RPC ended as a working backend ends it: with OK, because the cursor is
// refused, or because the bridge ended it. Such an RPC has worked.
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

// pause stops the time until resume is called.
func (w *placeWatch) pause() (resume func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := time.Until(w.due)
	if !w.timer.Stop() {
		return func() {} // the clients are notified already
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.due = time.Now().Add(left)
		w.timer.Reset(left)
	}
}

// play runs one RPC from its opening to its end; err is never nil. began is when the backend
// accepted the RPC, zero if it never did. play calls appended after each message.
func (p *pump) play(ctx context.Context, stale *placeWatch, appended func()) (began time.Time, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.member.setAccepted(false)
	p.delivered, p.received, p.heard = false, false, false
	cursor := p.resume()
	slot, err := p.takeSlot(ctx, stale)
	if err != nil {
		return began, err
	}
	defer slot.giveBack()
	stream, err := p.params.Source.Open(ctx, cursor)
	if err != nil {
		return began, p.refused(cursor, err)
	}
	defer stream.Close()
	slot.placed()
	stale.placed()
	if err := stream.Accepted(); err != nil {
		return began, p.refused(cursor, err)
	}
	began = time.Now()
	p.update(func(s *Status) { s.Phase, s.Err, s.Accepted = Live, nil, began })
	p.member.setAccepted(true)
	slot.accepted(p.Topic)
	ctx, backlog := p.backlog(ctx)
	message := func(wire []byte) error {
		if !p.received {
			stale.works()
		}
		slot.moved()
		return backlog.takes(ctx, func() error { return p.take(ctx, wire) })
	}
	for {
		room, err := p.mayRead(ctx)
		if err != nil {
			return began, err
		}
		if p.params.CatchUp > 0 {
			p.asked = time.Now()
		}
		backlog.asks()
		slot.asks()
		err = stream.Next(message)
		room.done()
		if err != nil {
			return began, p.refused(cursor, err)
		}
		appended()
	}
}

// takeSlot waits until a catch-up may open its RPC.
func (p *pump) takeSlot(ctx context.Context, stale *placeWatch) (*slot, error) {
	if p.role() != catchUpRole || p.params.Slots == nil {
		return nil, nil //nolint:nilnil // it needs none
	}
	slot, err := p.params.Slots.try(p.home), error(nil)
	if slot == nil {
		resume := stale.pause()
		slot, err = p.params.Slots.take(ctx, p.home)
		resume()
	}
	p.slot.Store(slot)
	return slot, err
}

// expired is the end of an RPC whose cursor the backend does not know any more.
type expired struct{ error }

func (e expired) Unwrap() error { return e.error }

// errExpired is a message that is no event but says that the cursor is too old.
var errExpired = errors.New("topic: the cursor is too old")

// errTooFar ends a catch-up that has sent as much as it may. The stream continues as after a cursor
// that is too old.
var errTooFar = errors.New("topic: the cursor is too far back")

// tooFar reports whether a catch-up has sent as much as it may, and the message that has come
// belongs to its replay: a message that comes after a silence is new.
func (p *pump) tooFar() bool {
	most := p.params.CatchUp
	if most == 0 || p.role() != catchUpRole {
		return false
	}
	if time.Since(p.asked) >= silence {
		p.replayed.Store(true)
	}
	return p.start != "" && p.member.gapAt == 0 && !p.replayed.Load() && p.log.Newest() >= most
}

// resume returns the cursor at which to open the RPC, nil for none.
func (p *pump) resume() []byte {
	p.overlap.cursor = nil
	if p.params.Cursors == nil {
		return nil
	}
	cursor, since, ok := p.params.Renderer.Resume()
	if !ok {
		return nil
	}
	rules := *p.params.Cursors
	rules.Repeats = rules.Repeats || rules.Repeating != nil && rules.Repeating()
	if !p.home.meets {
		rules.NotAfter = nil // the RPCs differ in their order
	}
	p.overlap.begin(rules, cursor, since)
	p.overlap.unordered = !p.home.meets
	return bytes.Clone(cursor)
}

// refused marks the end of an RPC whose cursor the backend has refused, by wrapping err as expired.
// An RPC that has sent a message with a cursor, even one that the log has already, was not refused.
// A message without a cursor may precede the refusal, as etcd's greeting does.
func (p *pump) refused(cursor []byte, err error) error {
	if cursor != nil && !p.heard &&
		(errors.Is(err, errExpired) || p.params.Cursors.Expired(err)) {
		return expired{err}
	}
	return err
}

// mayRead waits until the pump may read the RPC's next message, and until there is memory for it.
// It returns the reservation of that memory, nil if none is needed.
func (p *pump) mayRead(ctx context.Context) (*message, error) {
	for {
		if err := p.awaitReaders(ctx); err != nil {
			return nil, err
		}
		room, err := p.intake.makeRoom(ctx)
		if err != nil || !p.mustWait() {
			return room, err
		}
		room.done() // it has taken a while, and the readers may have left meanwhile
	}
}

// awaitReaders delays the pump of a retained log while the topic has no clients, or while one of
// them does not have what the log holds, so that HTTP/2 flow control reaches the backend. It also
// delays the pump of a catch-up that is ahead of main.
func (p *pump) awaitReaders(ctx context.Context) error {
	if !p.mustWait() {
		return ctx.Err()
	}
	p.waiting.Store(true) // before the check below, so that no wake-up is missed
	defer p.waiting.Store(false)
	again := time.NewTimer(silence) // main may have passed by
	defer again.Stop()
	defer p.readers.stall.stalls(false)
	for p.mustWait() {
		p.readers.stall.stalls(p.log.Full())
		began, counts := time.Now(), !p.log.Full() || p.readers.waitsForClient() // otherwise the bridge has not written to a client yet
		select {
		case <-p.room:
		case <-again.C:
			again.Reset(silence)
		case <-ctx.Done():
			return ctx.Err()
		}
		if counts {
			p.slot.Load().wait(time.Since(began))
		}
	}
	return ctx.Err()
}

func (p *pump) mustWait() bool {
	return p.readers.retained() && (p.listening.Load() == 0 || p.readers.full() || p.member.ahead())
}

// take renders a message into the log.
func (p *pump) take(ctx context.Context, wire []byte) error {
	p.intake.last, p.received = 0, true
	p.intake.took(len(wire))
	m, err := p.params.Renderer.Read(ctx, wire)
	defer p.params.Renderer.Release()
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && m.Expired {
		return errExpired
	}
	p.heard = p.heard || len(m.Cursor) > 0
	drop, lost := p.overlap.drops(m)
	if drop {
		return nil
	}
	if p.tooFar() {
		return expired{errTooFar}
	}
	if lost != "" {
		if err := p.appendGap(lost); err != nil {
			return err
		}
	}
	switch {
	case err != nil && p.params.StopOnBad:
		return unshown{err}
	case err != nil:
		frame, id := p.params.Renderer.Gap(reason.GapUntranscodable)
		p.log.Mark(reason.GapUntranscodable)
		err = p.member.grow(frame, id, false)
	default:
		frame, id := p.params.Renderer.Event()
		p.intake.took(len(frame))
		err = p.member.grow(frame, id, false)
	}
	if !p.delivered {
		p.delivered = true
		p.update(func(s *Status) { s.Messages = true })
	}
	return err
}

// settle decides what follows the end of an RPC: nil to open it again, otherwise the change of
// status with which the pump stops.
func (p *pump) settle(began time.Time, err error) func(*Status) {
	now := time.Now()
	if errors.As(err, new(expired)) {
		p.appendLoss(reason.GapExpired)
		return nil // reopened at once, without the cursor
	}
	if p.endedHere(err) {
		p.broken = p.broken || p.delivered
		p.noteLoss()
		return nil
	}
	// A stream may be silent for hours: one that lived for a while has worked.
	worked := p.delivered || (!began.IsZero() && now.Sub(began) >= p.params.Backoff.Max)
	p.pace.ended(now, worked)
	if worked || endedOK(err) {
		p.failures, p.attempts = 0, 0
	}
	p.broken = p.broken || p.delivered
	if endedOK(err) {
		if !p.params.Reopen {
			return p.finish(nil)
		}
		p.noteLoss()
		return nil
	}
	switch p.judge(err, worked) {
	case Hold:
		p.noteLoss()
		p.update(func(s *Status) { s.Err = err })
		return nil
	case Fatal:
		return p.finish(err)
	default:
		return func(s *Status) {
			s.Phase, s.Err, s.Stale = Broken, err, false
			s.breaks++
		}
	}
}

// endedHere reports whether the bridge ended the RPC to open it again at once: that is no failure
// of the backend.
func (p *pump) endedHere(err error) bool {
	return !endedOK(err) && !errors.As(err, new(unshown)) && p.params.Judge(err) == Again
}

// endedOK reports whether the RPC ended with OK. Only io.EOF itself says so: a failure may wrap the
// io.EOF of a connection that was closed.
func endedOK(err error) bool {
	return err == io.EOF //nolint:errorlint // see above
}

// judge returns Hold, Retry or Fatal.
func (p *pump) judge(err error, worked bool) Verdict {
	if errors.As(err, new(unshown)) {
		return Fatal
	}
	verdict := p.params.Judge(err)
	if verdict == Flaky && !worked {
		p.failures++
	}
	if verdict == Hold {
		p.attempts++ // the opening that is to follow
	}
	usedUp := p.params.Attempts > 0 && p.attempts > p.params.Attempts
	final := p.params.NoReturn && p.delivered
	switch {
	case verdict == Hold && !usedUp && !final, verdict == Fatal:
		return verdict
	case verdict == Flaky && p.failures >= flakyOpens, p.params.NoReturn:
		return Fatal
	}
	return Retry
}

// finish writes the last frame and closes the log, together with the change of status. Otherwise a
// client that joined in between would start behind the last frame and wait in vain, each time it
// comes back.
func (p *pump) finish(err error) func(*Status) {
	frame, id := p.params.Renderer.End(err)
	return func(s *Status) {
		if !p.member.conclude(frame, id) {
			return
		}
		s.Phase, s.Err, s.Stale = Finished, err, false
	}
}

// noteLoss appends a gap where messages may be missing: an RPC that had delivered was lost, and its
// successor cannot be opened at a cursor.
func (p *pump) noteLoss() {
	if !p.broken {
		return
	}
	p.broken = false
	if p.params.Cursors != nil {
		if _, _, ok := p.params.Renderer.Resume(); ok {
			return
		}
	}
	p.appendLoss(reason.GapUpstream)
}

// appendGap appends a gap after which the order of cursors begins again.
func (p *pump) appendGap(why reason.Gap) error {
	frame, id := p.params.Renderer.Gap(why)
	p.log.Mark(why)
	return p.member.grow(frame, id, true)
}

// appendLoss is appendGap between two RPCs. A merged log needs no gap any more.
func (p *pump) appendLoss(why reason.Gap) {
	if err := p.appendGap(why); err != nil && !errors.Is(err, errOver) {
		panic(err) // grow knows no other
	}
}
