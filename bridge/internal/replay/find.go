package replay

// Find returns the position of the newest frame with the given id. A log also
// knows Params.Start, and then the id of the frame that it dropped last, since
// nothing after that one is missing.
func (l *Log) Find(id string) (position uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	if position, ok = l.byID[id]; ok {
		return position, true
	}
	return l.frames.floor, id != "" && l.evicted == id
}

// Pass returns the position behind the frames after a position whose ids
// match. more is true where all frames up to the head do.
func (l *Log) Pass(position uint64, match func(id string) bool) (next uint64, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position < l.frames.floor {
		return position, false // Read tells that it has fallen out
	}
	for next = position; next < l.frames.head(); next++ {
		if !match(l.frames.at(next + 1).id) {
			return next, false
		}
	}
	return next, true
}

// ID returns the id of the frame at a position that Bounds allows, and
// Params.Start at position 0.
func (l *Log) ID(position uint64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case position == l.frames.floor:
		return l.evicted
	case position > l.frames.floor && position <= l.frames.head():
		return l.frames.at(position).id
	}
	return ""
}

// Floor returns the oldest position that can be read from, and its id.
func (l *Log) Floor() (position uint64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	return l.frames.floor, l.evicted
}

// Head returns the position of the newest frame, and its id.
func (l *Log) Head() (position uint64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frames.len() == 0 {
		return l.frames.floor, l.evicted
	}
	return l.frames.head(), l.frames.at(l.frames.head()).id
}

// IDs returns the ids of the frames held and of the one that was dropped last,
// as Find knows them, oldest first.
func (l *Log) IDs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, 0, l.frames.len()+1)
	ids = append(ids, l.evicted)
	for number := l.frames.floor + 1; number <= l.frames.head(); number++ {
		ids = append(ids, l.frames.at(number).id)
	}
	return ids
}
