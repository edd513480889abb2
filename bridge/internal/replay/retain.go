package replay

import "time"

// Release sets the position up to which no reader needs the frames. The frames after it are retained,
// as far as they are still in the log. The position may be lower than before: a client that returns
// may have received less than was written to it. Release does nothing in a log that is not retained.
func (l *Log) Release(position uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.params.Retain {
		return
	}
	position = min(max(position, l.frames.floor), l.frames.head())
	for ; l.released < position; l.released++ {
		l.retainedBytes -= int64(l.frames.at(l.released + 1).length())
		l.unpinIfRetained(l.released + 1)
		l.progressAt.Store(int64(time.Since(l.begun)))
	}
	for ; l.released > position; l.released-- {
		l.retainedBytes += int64(l.frames.at(l.released).length())
		l.pinFrame(l.released)
	}
	for l.droppable() && l.overBudget() {
		l.drop()
	}
	l.updateFill()
	l.reportMemory()
}

// How much of a log its retained frames fill.
const (
	fillsNone int32 = iota
	fillsSome
	fillsAll // the writer must wait
)

// updateFill recomputes fill.
func (l *Log) updateFill() {
	fill := fillsNone
	retained := l.frames.head() - l.released
	switch events := uint64(l.params.Events); { //nolint:gosec // at least 1
	case !l.params.Retain, retained == 0:
	case retained >= events, l.retainedBytes >= l.params.Bytes:
		fill = fillsAll
	default:
		fill = fillsSome
	}
	if l.fill.Load() != fill {
		l.fill.Store(fill)
	}
}

// Full reports whether the writer must wait for readers: the retained frames fill the log, or there
// are some and the log has its part of the budget for retained frames (Budget.RetainedFull). It takes
// no lock.
func (l *Log) Full() bool {
	fill := l.fill.Load()
	return fill == fillsAll || fill == fillsSome && l.params.Budget.RetainedFull(l.Pinned())
}

// segmentLimit returns the largest size of a new segment.
func (l *Log) segmentLimit() int {
	if !l.params.Retain {
		return largestSegment
	}
	return l.params.Budget.retainedSegment()
}

// Pinned returns the memory of the segments with retained frames, as last reported to the budget. It
// takes no lock.
func (l *Log) Pinned() int64 { return l.pinnedReported.Load() }

// PinnedIdle returns the memory of the segments with retained frames, and for how long no reader has
// taken anything of them.
func (l *Log) PinnedIdle() (memory int64, idle time.Duration) {
	if l.params.Budget != nil && l.Pinned() == 0 {
		return 0, 0 // without the lock, since most logs pin nothing
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pinned == 0 {
		return 0, 0
	}
	return l.pinned, time.Since(l.begun) - time.Duration(l.progressAt.Load())
}

// NoteProgress restarts the time of PinnedIdle: a reader has taken a part of the oldest retained
// frame.
func (l *Log) NoteProgress() { l.progressAt.Store(int64(time.Since(l.begun))) }

// pinIfRetained pins the segments of a frame that is retained.
func (l *Log) pinIfRetained(number uint64) {
	if !l.params.Retain || number <= l.released {
		return
	}
	l.pinFrame(number)
}

// pinFrame pins the segments of a frame that is about to be retained.
func (l *Log) pinFrame(number uint64) {
	f := l.frames.at(number)
	if l.pinned == 0 {
		l.progressAt.Store(int64(time.Since(l.begun)))
	}
	l.pinPiece(f.plain)
	if f.forms != nil {
		l.pinPiece(f.forms.chained)
		l.pinPiece(f.forms.standalone)
	}
}

// unpinIfRetained undoes pinIfRetained, before the frame is released or dropped.
func (l *Log) unpinIfRetained(number uint64) {
	if !l.params.Retain || number <= l.released {
		return
	}
	f := l.frames.at(number)
	l.unpinPiece(f.plain)
	if f.forms != nil {
		l.unpinPiece(f.forms.chained)
		l.unpinPiece(f.forms.standalone)
	}
}

func (l *Log) pinPiece(p piece) {
	if p.segment == nil {
		return
	}
	if p.segment.retained++; p.segment.retained == 1 {
		l.pinned += int64(cap(p.segment.bytes))
	}
}

func (l *Log) unpinPiece(p piece) {
	if p.segment == nil {
		return
	}
	if p.segment.retained--; p.segment.retained == 0 {
		l.pinned -= int64(cap(p.segment.bytes))
	}
}

// SetRetain changes Params.Retain. With true, all frames in the log are retained until they are
// released; with false, none is.
func (l *Log) SetRetain(retain bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if retain == l.params.Retain {
		return
	}
	if !retain {
		for number := l.released + 1; number <= l.frames.head(); number++ {
			l.unpinIfRetained(number)
		}
	}
	l.params.Retain, l.tracked = retain, false
	l.released, l.retainedBytes = l.frames.floor, 0
	for number := l.frames.floor + 1; number <= l.frames.head(); number++ {
		l.retainedBytes += int64(l.frames.at(number).length())
		l.pinIfRetained(number)
	}
	l.updateFill()
	l.evictExpired()
	l.reportMemory()
}
