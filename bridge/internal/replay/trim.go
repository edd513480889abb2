package replay

import "maps"

// account reports what memory the log has to its budget, if that has changed.
func (l *Log) account() {
	budget := l.params.Budget
	if budget == nil {
		return
	}
	memory, before := l.memory(), l.pinnedCounted.Load()
	if more := l.unreported(); more != 0 {
		budget.other.Add(more)
	}
	if l.pinned != before {
		budget.reportHeld(before, l.pinned)
		l.pinnedCounted.Store(l.pinned)
	}
	if memory != l.counted || l.parked {
		l.parked = false
		budget.report(l, memory)
	}
}

// unreported is how much more the log counts against what logs may have beside
// the frames that are held, than the budget knows.
func (l *Log) unreported() int64 {
	return l.memory() - l.counted - (l.pinned - l.pinnedCounted.Load())
}

// trim gives some memory back, and reports whether there was any to give.
func (l *Log) trim() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.memory()
	for l.memory() == before && l.droppable() {
		l.drop()
	}
	if l.memory() == before && l.frames.len() == 1 {
		l.fit()
	}
	if l.memory() >= before {
		// Until a frame comes, or is released, there is nothing to be had.
		l.parked = true
		l.params.Budget.park(l)
		return false
	}
	if l.frames.shrink() {
		byID := make(map[string]uint64, len(l.byID)) // a map does not shrink
		maps.Copy(byID, l.byID)
		l.byID = byID
	}
	l.account()
	return true
}

// fit leaves the only frame just the memory that it needs.
func (l *Log) fit() {
	only := l.frames.oldest()
	if only.forms != nil && l.params.Hold && l.released == l.frames.floor {
		l.unpinPiece(only.forms.chained)
		l.unpinPiece(only.forms.alone)
	}
	l.releaseForms(only)
	if chunk := only.plain; chunk.segment != nil && cap(chunk.segment.bytes) >= 2*chunk.size() {
		old, pinned := chunk.segment, chunk.segment.unread > 0
		only.plain = l.plain.fit(chunk)
		if pinned {
			l.pinned += int64(cap(only.plain.segment.bytes)) - int64(cap(old.bytes))
		}
	}
}

// Discard closes the log and drops all that it holds; its memory is the
// budget's again at once. Readers keep the slices that they have; those that
// have not read all get ErrEvicted, the others io.EOF.
func (l *Log) Discard() {
	l.notices.Add(1)
	l.mu.Lock()
	l.closed = true
	for l.frames.len() > 0 {
		l.drop()
	}
	l.frames.slots, l.byID = nil, nil
	l.released, l.held, l.bytes = l.frames.floor, 0, 0
	l.weigh()
	l.account()
	l.wake()
	l.mu.Unlock()
	l.tell()
}
