package replay

import "time"

// NewestAt returns when the newest frame was appended, in log time (see Time), and 0 for a log
// without frames. It takes no lock.
func (l *Log) NewestAt() time.Duration { return time.Duration(l.newestAt.Load()) }

// Time converts now to log time, which counts from the creation of the log.
func (l *Log) Time(now time.Time) time.Duration { return now.Sub(l.begun) }

// NextAge returns how long ago the frame after position was appended, and 0 if there is none yet.
// If that frame has left the log, it returns the age of the oldest frame in the log.
func (l *Log) NextAge(position uint64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := max(position, l.frames.floor) + 1
	if next > l.frames.head() {
		return 0
	}
	return l.Time(time.Now()) - l.frames.at(next).at
}

// DroppedAge returns how long ago the newest of the dropped frames was appended, and 0 if the log
// has dropped none. A reader that does not have that frame has not read for at least as long.
func (l *Log) DroppedAge() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frames.floor == 0 {
		return 0
	}
	return l.Time(time.Now()) - l.droppedTime
}
