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

// HeldFull reports whether a log that keeps frames in so much memory should keep
// no more: where that is more than a quarter of what is left for all such logs.
// So many logs come to keep about as much each, and those whose readers are slow
// leave something to the others.
func (b *Budget) HeldFull(memory int64) bool { return b != nil && memory > b.heldLeft()/4 }

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

// Reserve sets memory aside for a frame to come, to be given back by Unreserve
// once the frame has been appended. It is false where there is no room; Freed
// tells when there may be. A frame that is larger than all the room there can be
// is let in alone.
func (b *Budget) Reserve(bytes int64) bool {
	if b == nil {
		return true
	}
	b.heldMu.Lock()
	defer b.heldMu.Unlock()
	if !b.heldFits(bytes) {
		return false
	}
	b.reserved += bytes
	return true
}

// HeldFits reports whether Reserve would set so much memory aside.
func (b *Budget) HeldFits(bytes int64) bool {
	if b == nil {
		return true
	}
	b.heldMu.Lock()
	defer b.heldMu.Unlock()
	return b.heldFits(bytes)
}

func (b *Budget) heldFits(bytes int64) bool {
	pace := b.heldPace()
	return b.held.Load()+b.reserved+bytes <= pace || bytes > pace && b.reserved == 0
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

// Freed returns a channel that is closed when room for kept frames has been
// given back. It is to be asked for before Reserve is.
func (b *Budget) Freed() <-chan struct{} {
	if b == nil {
		return nil
	}
	b.heldMu.Lock()
	defer b.heldMu.Unlock()
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	b.waiting.Store(true)
	return b.freed
}

func (b *Budget) tellFreed() {
	if !b.waiting.Load() {
		return
	}
	b.heldMu.Lock()
	defer b.heldMu.Unlock()
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
	b.waiting.Store(false)
}

// reportHeld says how much more a log keeps for its readers, or less.
func (b *Budget) reportHeld(more int64) {
	b.held.Add(more)
	if more < 0 {
		b.tellFreed()
	}
}
