package replay

import "time"

// Release says that the frames up to a position need not be held any more,
// and that those after it must, as far as they still are: a reader that comes
// back may stand further back than the one before it. It matters to logs with
// Params.Hold.
func (l *Log) Release(position uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.params.Hold {
		return
	}
	position = min(max(position, l.frames.floor), l.frames.head())
	for ; l.released < position; l.released++ {
		l.held -= int64(l.frames.at(l.released + 1).length())
		l.unpin(l.released + 1)
		l.movedAt.Store(int64(time.Since(l.begun)))
	}
	for ; l.released > position; l.released-- {
		l.held += int64(l.frames.at(l.released).length())
		l.repin(l.released)
	}
	for l.droppable() && l.scarce() {
		l.drop()
	}
	l.weigh()
	l.account()
}

// How much of the log the frames that must be held fill.
const (
	holdsNothing int32 = iota
	holdsSome
	holdsAll // they fill it
)

// weigh notes what the frames that must be held are to the log.
func (l *Log) weigh() {
	weight := holdsNothing
	unread := l.frames.head() - l.released
	switch events := uint64(l.params.Events); { //nolint:gosec // at least 1
	case !l.params.Hold, unread == 0:
	case unread >= events, l.held >= l.params.Bytes:
		weight = holdsAll
	default:
		weight = holdsSome
	}
	if l.unread.Load() != weight {
		l.unread.Store(weight)
	}
}

// Full reports whether the frames that must be held fill the log: as many as
// Params allows, or fewer while the share of the budget that such frames have is
// used up (Budget.HeldFull). It takes no lock.
func (l *Log) Full() bool {
	weight := l.unread.Load()
	return weight == holdsAll || weight == holdsSome && l.params.Budget.HeldFull(l.Kept())
}

// largestSegment is how large a new segment may be.
func (l *Log) largestSegment() int {
	if !l.params.Hold {
		return largestSegment
	}
	return l.params.Budget.heldSegment()
}

// Kept is the memory of the frames that Params.Hold keeps, as the budget knows it. It
// takes no lock.
func (l *Log) Kept() int64 { return l.pinnedCounted.Load() }

// Pinned returns the memory of the frames that Params.Hold keeps, and for how
// long the log's readers have got nothing of them.
func (l *Log) Pinned() (memory int64, since time.Duration) {
	if l.params.Budget != nil && l.Kept() == 0 {
		return 0, 0 // without the lock: of many logs few keep something
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pinned == 0 {
		return 0, 0
	}
	return l.pinned, time.Since(l.begun) - time.Duration(l.movedAt.Load())
}

// Moves says that a reader is taking the frame for which the log keeps the others, so
// that Pinned counts from now.
func (l *Log) Moves() { l.movedAt.Store(int64(time.Since(l.begun))) }

// pin counts the segments of a frame that is kept for a reader.
func (l *Log) pin(number uint64) {
	if !l.params.Hold || number <= l.released {
		return
	}
	l.repin(number)
}

// repin is pin of a frame that is about to be kept.
func (l *Log) repin(number uint64) {
	f := l.frames.at(number)
	if l.pinned == 0 {
		l.movedAt.Store(int64(time.Since(l.begun)))
	}
	l.pinPiece(f.plain)
	if f.forms != nil {
		l.pinPiece(f.forms.chained)
		l.pinPiece(f.forms.alone)
	}
}

// unpin undoes pin, before the frame is released or dropped.
func (l *Log) unpin(number uint64) {
	if !l.params.Hold || number <= l.released {
		return
	}
	f := l.frames.at(number)
	l.unpinPiece(f.plain)
	if f.forms != nil {
		l.unpinPiece(f.forms.chained)
		l.unpinPiece(f.forms.alone)
	}
}

func (l *Log) pinPiece(p piece) {
	if p.segment == nil {
		return
	}
	if p.segment.unread++; p.segment.unread == 1 {
		l.pinned += int64(cap(p.segment.bytes))
	}
}

func (l *Log) unpinPiece(p piece) {
	if p.segment == nil {
		return
	}
	if p.segment.unread--; p.segment.unread == 0 {
		l.pinned -= int64(cap(p.segment.bytes))
	}
}

// SetHold changes Params.Hold: from now on all that is held now stays until it
// is released, or nothing does any more.
func (l *Log) SetHold(hold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hold == l.params.Hold {
		return
	}
	if !hold {
		for number := l.released + 1; number <= l.frames.head(); number++ {
			l.unpin(number)
		}
	}
	l.params.Hold, l.tracked = hold, false
	l.released, l.held = l.frames.floor, 0
	for number := l.frames.floor + 1; number <= l.frames.head(); number++ {
		l.held += int64(l.frames.at(number).length())
		l.pin(number)
	}
	l.weigh()
	l.expire()
	l.account()
}
