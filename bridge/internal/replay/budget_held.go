package replay

// heldShare is how much of a limit is for frames that are kept for readers.
func heldShare(limit int64) int64 { return limit / 4 }

// HeldLimit returns the memory that frames kept for readers may have.
func (b *Budget) HeldLimit() int64 {
	if b == nil {
		return 1 << 62
	}
	return heldShare(b.limit.Load())
}

// Held returns the memory of the frames that are kept for readers.
func (b *Budget) Held() int64 {
	if b == nil {
		return 0
	}
	return b.held.Load()
}

// heldAnyway is what a log may keep where others have used all up, as long as that is no
// more than its equal Share. A log that kept a single frame would have its reader's round
// trip for each one, and on a busy machine fewer a second than its backend sends.
const heldAnyway = 16 << 10

// HeldFull reports whether a log that keeps frames in so much memory should keep
// no more: where that is more than a quarter of what is left for all such logs, and
// than heldAnyway. So many logs come to keep about as much each, and those whose readers
// are slow leave something to the others.
func (b *Budget) HeldFull(memory int64) bool {
	return b != nil && memory > b.heldLeft()/4 && memory > min(heldAnyway, b.Share())
}

// heldPace is the memory of kept frames up to which logs take more. The rest is
// for the first frames of logs whose readers had got all there was, which nothing
// holds back.
func (b *Budget) heldPace() int64 { return b.HeldLimit() / 8 * 7 }

// heldLeft is how much less than heldPace the kept frames have.
func (b *Budget) heldLeft() int64 { return max(b.heldPace()-b.held.Load(), 0) }

// heldSegment is how large a new segment of a log that keeps frames may be. A single
// frame keeps its whole segment, so this is a small part of what the log may keep.
func (b *Budget) heldSegment() int {
	if b == nil {
		return largestSegment
	}
	return int(min(max(b.heldLeft()/16, smallestSegment), largestSegment))
}

// HeldOver reports whether the frames that are kept have more memory than they
// may.
func (b *Budget) HeldOver() bool { return b != nil && b.held.Load() > b.HeldLimit() }

// HeldFarOver reports whether the frames that are kept have so much more memory
// than they may that it cannot be left to their readers: half as much again, but
// at least 16 MiB.
func (b *Budget) HeldFarOver() bool {
	const much = 16 << 20
	return b != nil && b.held.Load() > b.HeldLimit()+max(b.HeldLimit()/2, much)
}

// Share is what each log may keep where all that keep frames, or wait for room, keep
// the same.
func (b *Budget) Share() int64 {
	if b == nil {
		return 1 << 62
	}
	return b.heldPace() / (b.keepers.Load() + b.waiters.Load() + 1)
}

// Reserve sets memory aside for a frame to come to a log that keeps so much already;
// Unreserve gives it back, once the frame has been appended. It is false where there
// is no room: freed is closed then when there may be.
//
// Logs fill the share up to heldPace. The rest is for those that come to keep no more
// than their equal Share, so that a log whose reader takes its frames is not held up by
// larger ones whose readers do not. A frame that is larger than all the room there can
// be is let in alone.
func (b *Budget) Reserve(kept, bytes int64) (ok bool, freed <-chan struct{}) {
	if b == nil {
		return true, nil
	}
	b.heldMu.Lock()
	defer b.heldMu.Unlock()
	b.waiting.Store(true) // before it is looked, so that nothing is missed that is given back meanwhile
	room := b.roomFor(kept, bytes)
	if b.held.Load()+b.reserved <= room {
		b.reserved += bytes
		b.waiting.Store(b.freed != nil)
		return true, nil
	}
	if b.freed == nil {
		b.freed, b.room, b.alone = make(chan struct{}), room, false
	}
	b.room, b.alone = max(b.room, room), b.alone || bytes > b.heldPace()
	return false, b.freed
}

// HeldFits reports whether Reserve would set so much memory aside.
func (b *Budget) HeldFits(kept, bytes int64) bool {
	if b == nil {
		return true
	}
	b.heldMu.Lock()
	defer b.heldMu.Unlock()
	return b.held.Load()+b.reserved <= b.roomFor(kept, bytes)
}

// roomFor returns with how much held and reserved memory there is room for so many
// bytes more. heldMu is locked.
func (b *Budget) roomFor(kept, bytes int64) int64 {
	switch pace := b.heldPace(); {
	case kept+bytes <= b.Share():
		return b.HeldLimit() - bytes
	case bytes > pace && b.reserved == 0:
		return 1 << 62
	default:
		return pace - bytes
	}
}

// Wait notes that a log waits for room, until done is called.
func (b *Budget) Wait() (done func()) {
	if b == nil {
		return func() {}
	}
	b.waiters.Add(1)
	return func() { b.waiters.Add(-1) }
}

// Unreserve undoes Reserve.
func (b *Budget) Unreserve(bytes int64) {
	if b == nil {
		return
	}
	b.heldMu.Lock()
	b.reserved -= bytes
	b.heldMu.Unlock()
	b.tellFreed()
}

// tellFreed wakes those that wait for room, if there is enough for one of them. Else
// each frame that a reader takes would wake them all.
func (b *Budget) tellFreed() {
	if !b.waiting.Load() {
		return
	}
	b.heldMu.Lock()
	defer b.heldMu.Unlock()
	if b.held.Load()+b.reserved <= b.room || b.alone && b.reserved == 0 {
		b.wakeLocked()
	}
}

// wake has those that wait for room look again.
func (b *Budget) wake() {
	b.heldMu.Lock()
	defer b.heldMu.Unlock()
	b.wakeLocked()
}

func (b *Budget) wakeLocked() {
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
	b.waiting.Store(false)
}

// reportHeld says how much a log has kept for its readers, and how much it keeps now.
func (b *Budget) reportHeld(before, now int64) {
	switch {
	case before == 0:
		b.keepers.Add(1)
	case now == 0:
		b.keepers.Add(-1)
	}
	b.held.Add(now - before)
	if now < before {
		b.tellFreed()
	}
}
