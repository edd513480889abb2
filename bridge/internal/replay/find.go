package replay

// Find returns the position of the newest frame with the given id. It also finds Params.Start and,
// later, the id of the frame that was dropped last: a reader there misses no frame.
func (l *Log) Find(id string) (position uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evictExpired()
	if position, ok = l.byID[id]; ok {
		return position, true
	}
	return l.frames.floor, id != "" && l.droppedID == id
}

// Pass returns the position after those frames that follow position and whose ids match. more reports
// that all frames up to the head match.
func (l *Log) Pass(position uint64, match func(id string) bool) (next uint64, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position < l.frames.floor {
		return position, false // Read returns ErrEvicted
	}
	for next = position; next < l.frames.head(); next++ {
		if !match(l.frames.at(next + 1).id) {
			return next, false
		}
	}
	return next, true
}

// ID returns the id of the frame at a position within Bounds, and Params.Start for position 0.
func (l *Log) ID(position uint64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case position == l.frames.floor:
		return l.droppedID
	case position > l.frames.floor && position <= l.frames.head():
		return l.frames.at(position).id
	}
	return ""
}

// Floor returns the oldest position that can be read from, and its id.
func (l *Log) Floor() (position uint64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evictExpired()
	return l.frames.floor, l.droppedID
}

// Head returns the position of the newest frame, and its id.
func (l *Log) Head() (position uint64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frames.len() == 0 {
		return l.frames.floor, l.droppedID
	}
	return l.frames.head(), l.frames.at(l.frames.head()).id
}

// IDs returns all ids that Find finds, oldest first: those of the frame that was dropped last and of
// the frames in the log.
func (l *Log) IDs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, 0, l.frames.len()+1)
	ids = append(ids, l.droppedID)
	for number := l.frames.floor + 1; number <= l.frames.head(); number++ {
		ids = append(ids, l.frames.at(number).id)
	}
	return ids
}
