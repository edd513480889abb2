package replay

import "maps"

// account reports what memory the log has to its budget, if that has changed.
func (l *Log) account() {
	budget := l.params.Budget
	if budget == nil {
		return
	}
	if memory := l.memory(); memory != l.counted || l.parked {
		l.parked = false
		budget.report(l, memory)
	}
}

// trim gives some memory back, and reports whether there was any to give.
func (l *Log) trim() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.memory()
	for l.memory() == before && l.frames.len() > 1 && (!l.params.Hold || l.frames.floor < l.released) {
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
	l.releaseForms(only)
	if chunk := only.plain; chunk.segment != nil && cap(chunk.segment.bytes) >= 2*chunk.size() {
		only.plain = l.plain.fit(chunk)
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
