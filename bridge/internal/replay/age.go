package replay

import "time"

// NewestAt returns when the newest frame came; where none did, when the log was
// made. It takes no lock.
func (l *Log) NewestAt() time.Time { return l.begun.Add(time.Duration(l.newestAt.Load())) }

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
	return time.Since(l.begun) - l.frames.at(next).at
}
