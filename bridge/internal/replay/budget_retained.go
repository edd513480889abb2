package replay

// retainedPart returns the part of a limit that is for retained frames.
func retainedPart(limit int64) int64 { return limit / 4 }

// RetainedLimit returns how much memory retained frames may take.
func (b *Budget) RetainedLimit() int64 {
	if b == nil {
		return 1 << 62
	}
	return retainedPart(b.limit.Load())
}

// Retained returns how much memory retained frames take.
func (b *Budget) Retained() int64 {
	if b == nil {
		return 0
	}
	return b.retained.Load()
}

// minRetained is what a log may retain in any case, or the log's Share if that is less, even when other
// logs have used up all memory for retained frames. A log that retained one frame at a time would wait
// for its reader after each, and on a busy machine deliver fewer frames a second than its backend sends.
const minRetained = 16 << 10

// RetainedFull reports whether a log that retains the given memory must retain no more: it has more
// than a quarter of the memory left for retained frames, and more than minRetained or its Share. So
// logs converge to equal parts, and logs with slow readers leave memory for the others.
func (b *Budget) RetainedFull(memory int64) bool {
	return b != nil && memory > b.retainedLeft()/4 && memory > min(minRetained, b.Share())
}

// retainedSoftLimit is the memory at which logs stop retaining more. The rest of RetainedLimit is for
// the first frames of logs with nothing retained, which are appended without waiting.
func (b *Budget) retainedSoftLimit() int64 { return b.RetainedLimit() / 8 * 7 }

// retainedLeft returns the memory left below retainedSoftLimit.
func (b *Budget) retainedLeft() int64 { return max(b.retainedSoftLimit()-b.retained.Load(), 0) }

// retainedSegment returns the largest size of a new segment in a retained log. It is a small part of
// what the log may retain, since one retained frame keeps its whole segment.
func (b *Budget) retainedSegment() int {
	if b == nil {
		return largestSegment
	}
	return int(min(max(b.retainedLeft()/16, smallestSegment), largestSegment))
}

// RetainedOver reports whether retained frames exceed RetainedLimit.
func (b *Budget) RetainedOver() bool { return b != nil && b.retained.Load() > b.RetainedLimit() }

// RetainedFarOver reports whether retained frames exceed RetainedLimit by so much that waiting for
// their readers is no option: by half of it, and by at least 16 MiB.
func (b *Budget) RetainedFarOver() bool {
	const much = 16 << 20
	return b != nil && b.retained.Load() > b.RetainedLimit()+max(b.RetainedLimit()/2, much)
}

// Share returns the memory that each log may retain if all logs that retain frames, or wait for
// memory, retain the same.
func (b *Budget) Share() int64 {
	if b == nil {
		return 1 << 62
	}
	return b.retainedSoftLimit() / (b.retainers.Load() + b.waiters.Load() + 1)
}

// Reserve sets memory aside for a frame that is about to be appended to a log with the given pinned
// memory. The caller returns it with Unreserve when the frame is appended. Without enough memory ok is
// false, and freed is closed when another try may succeed.
//
// Logs may reserve up to retainedSoftLimit. Above it, up to RetainedLimit, only logs that stay within
// their Share may: a log whose reader keeps up does not wait for larger logs whose readers do not. A
// frame larger than retainedSoftLimit is let in when nothing else is reserved.
func (b *Budget) Reserve(pinned, bytes int64) (ok bool, freed <-chan struct{}) {
	if b == nil {
		return true, nil
	}
	b.reserveMu.Lock()
	defer b.reserveMu.Unlock()
	b.waiting.Store(true) // before the check, so that memory freed meanwhile closes freed
	room := b.roomFor(pinned, bytes)
	if b.retained.Load()+b.reserved <= room {
		b.reserved += bytes
		b.waiting.Store(b.freed != nil)
		return true, nil
	}
	if b.freed == nil {
		b.freed, b.freedAt, b.freedWhenUnreserved = make(chan struct{}), room, false
	}
	b.freedAt, b.freedWhenUnreserved = max(b.freedAt, room), b.freedWhenUnreserved || bytes > b.retainedSoftLimit()
	return false, b.freed
}

// CanReserve reports whether Reserve would succeed.
func (b *Budget) CanReserve(pinned, bytes int64) bool {
	if b == nil {
		return true
	}
	b.reserveMu.Lock()
	defer b.reserveMu.Unlock()
	return b.retained.Load()+b.reserved <= b.roomFor(pinned, bytes)
}

// roomFor returns the highest sum of retained and reserved memory at which a log with the given pinned
// memory may reserve bytes more. reserveMu is locked.
func (b *Budget) roomFor(pinned, bytes int64) int64 {
	switch pace := b.retainedSoftLimit(); {
	case pinned+bytes <= b.Share():
		return b.RetainedLimit() - bytes
	case bytes > pace && b.reserved == 0:
		return 1 << 62
	default:
		return pace - bytes
	}
}

// AddWaiter counts a log that waits for memory, until done is called. It does not block.
func (b *Budget) AddWaiter() (done func()) {
	if b == nil {
		return func() {}
	}
	b.waiters.Add(1)
	return func() { b.waiters.Add(-1) }
}

// Unreserve gives back memory that Reserve has set aside.
func (b *Budget) Unreserve(bytes int64) {
	if b == nil {
		return
	}
	b.reserveMu.Lock()
	b.reserved -= bytes
	b.reserveMu.Unlock()
	b.notifyFreed()
}

// notifyFreed wakes the waiters if there is enough memory for one of them. Without that condition, each
// frame that a reader takes would wake them all.
func (b *Budget) notifyFreed() {
	if !b.waiting.Load() {
		return
	}
	b.reserveMu.Lock()
	defer b.reserveMu.Unlock()
	if b.retained.Load()+b.reserved <= b.freedAt || b.freedWhenUnreserved && b.reserved == 0 {
		b.wakeWaitersLocked()
	}
}

// wakeWaiters makes all waiters try again.
func (b *Budget) wakeWaiters() {
	b.reserveMu.Lock()
	defer b.reserveMu.Unlock()
	b.wakeWaitersLocked()
}

func (b *Budget) wakeWaitersLocked() {
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
	b.waiting.Store(false)
}

// reportRetained updates how much memory one log retains.
func (b *Budget) reportRetained(before, now int64) {
	switch {
	case before == 0:
		b.retainers.Add(1)
	case now == 0:
		b.retainers.Add(-1)
	}
	b.retained.Add(now - before)
	if now < before {
		b.notifyFreed()
	}
}
