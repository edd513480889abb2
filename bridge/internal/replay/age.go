package replay

import "time"

// NewestAt returns when the newest frame came, by the log's own time; where none
// did, 0. It takes no lock.
func (l *Log) NewestAt() time.Duration { return time.Duration(l.newestAt.Load()) }

// Time is a moment by the log's own time, which begins with it.
func (l *Log) Time(now time.Time) time.Duration { return now.Sub(l.begun) }

// Waiting returns how long the frame after a position has been in the log, 0 where
// there is none. Of frames that have left the log nothing is known; then it is how
// long the oldest one held has been.
func (l *Log) Waiting(position uint64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := max(position, l.frames.floor) + 1
	if next > l.frames.head() {
		return 0
	}
	return l.Time(time.Now()) - l.frames.at(next).at
}

// Dropped returns how long ago the newest frame came that the log has dropped, 0
// where it has dropped none. A reader that has not got that frame has not read for
// at least so long.
func (l *Log) Dropped() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frames.floor == 0 {
		return 0
	}
	return l.Time(time.Now()) - l.goneAt
}
