package replay

import "maps"

// reportMemory reports changes of the log's memory to its budget.
func (l *Log) reportMemory() {
	budget := l.params.Budget
	if budget == nil {
		return
	}
	memory, before := l.memory(), l.pinnedReported.Load()
	if more := l.unreported(); more != 0 {
		budget.other.Add(more)
	}
	if l.pinned != before {
		budget.reportRetained(before, l.pinned)
		l.pinnedReported.Store(l.pinned)
	}
	if memory != l.reported || l.parked {
		l.parked = false
		budget.report(l, memory)
	}
}

// unreported returns by how much the memory that is not pinned exceeds what the budget knows of it.
func (l *Log) unreported() int64 {
	return l.memory() - l.reported - (l.pinned - l.pinnedReported.Load())
}

// trim frees some memory, and reports whether it could.
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
		// There is nothing to free until a frame is appended or released.
		l.parked = true
		l.params.Budget.park(l)
		return false
	}
	if l.frames.shrink() {
		byID := make(map[string]uint64, len(l.byID)) // a map does not shrink
		maps.Copy(byID, l.byID)
		l.byID = byID
	}
	l.reportMemory()
	return true
}

// fit drops the compressed forms of the only frame and moves it to a segment of its size.
func (l *Log) fit() {
	only := l.frames.oldest()
	if only.forms != nil && l.params.Retain && l.released == l.frames.floor {
		l.unpinPiece(only.forms.chained)
		l.unpinPiece(only.forms.standalone)
	}
	l.releaseForms(only)
	if chunk := only.plain; chunk.segment != nil && cap(chunk.segment.bytes) >= 2*chunk.size() {
		old, pinned := chunk.segment, chunk.segment.retained > 0
		only.plain = l.plain.fit(chunk)
		if pinned {
			l.pinned += int64(cap(only.plain.segment.bytes)) - int64(cap(old.bytes))
		}
	}
}

// Discard closes the log, drops all frames, and returns their memory to the budget. Readers keep the
// slices that they have; readers at the end get io.EOF, all others ErrEvicted.
func (l *Log) Discard() {
	l.notices.Add(1)
	l.mu.Lock()
	l.closed = true
	for l.frames.len() > 0 {
		l.drop()
	}
	l.frames.slots, l.byID = nil, nil
	l.released, l.retainedBytes, l.bytes = l.frames.floor, 0, 0
	l.updateFill()
	l.reportMemory()
	l.wakeReaders()
	l.mu.Unlock()
	l.notifyWatchers()
}
