package replay

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
	}
	for ; l.released > position; l.released-- {
		l.held += int64(l.frames.at(l.released).length())
	}
	l.weigh()
	l.account()
}

// What frames that must be held are to a log.
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

// Full reports whether the frames that must be held fill the log. While the
// budget of many logs is exceeded a single frame does. It takes no lock.
func (l *Log) Full() bool {
	weight := l.unread.Load()
	return weight == holdsAll || weight == holdsSome && l.params.Budget.Over()
}

// SetHold changes Params.Hold: from now on all that is held now stays until it
// is released, or nothing does any more.
func (l *Log) SetHold(hold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hold == l.params.Hold {
		return
	}
	l.params.Hold = hold
	l.released, l.held = l.frames.floor, 0
	for number := l.frames.floor + 1; number <= l.frames.head(); number++ {
		l.held += int64(l.frames.at(number).length())
	}
	l.weigh()
	l.expire()
	l.account()
}
