package replay

import (
	"container/heap"
	"sync"
	"sync/atomic"
)

// Budget bounds the memory of many logs: that of all their segments, whatever
// lies in them. Logs report to it and go on; a caller that finds it exceeded
// makes room with Trim, or ends a log with Discard.
//
// A quarter of it is for the frames that logs with Params.Hold keep for a
// reader, the rest for all other frames. Neither takes memory of the other, so a
// reader that takes nothing costs other logs no frame. The less of the
// quarter is left, the less each log may keep until it is Full; while nothing is
// left a single frame is enough, and a log takes no large one (Reserve).
// While the rest is exceeded a log with Params.Hold keeps no frame that has been
// released.
//
// Its methods are safe for concurrent use, and may be called under locks that
// Append is called under. A nil Budget is never exceeded.
type Budget struct {
	limit atomic.Int64
	used  atomic.Int64 // all logs' memory
	held  atomic.Int64 // of it, that of frames kept for readers
	other atomic.Int64 // of it, the rest; a number of its own, since it is compared while the others change

	keepers atomic.Int64 // the logs that keep frames for readers
	waiters atomic.Int64 // the logs that wait for room
	waiting atomic.Bool  // there is a waiter for freed

	heldMu   sync.Mutex
	reserved int64         // for large frames to come
	freed    chan struct{} // closed when there is room for one of its waiters; nil without any
	room     int64         // held and reserved memory with which there is
	alone    bool          // one of the waiters is let in when nothing is reserved

	mu   sync.Mutex
	logs logHeap // those with memory that Trim may find something in
}

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	b := &Budget{}
	b.SetLimit(bytes)
	return b
}

// SetLimit changes how many bytes there are. Whether they are exceeded then is
// for the caller to ask.
func (b *Budget) SetLimit(bytes int64) {
	b.limit.Store(bytes)
	b.wake()
}

// Used returns the memory of all logs, in bytes.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Over reports whether the logs have more memory than they may, beside the
// frames that are kept for readers. It takes no lock.
func (b *Budget) Over() bool { return b.exceeded(0) }

// exceeded is Over with some more memory that has not been reported.
func (b *Budget) exceeded(more int64) bool {
	if b == nil {
		return false
	}
	limit := b.limit.Load()
	return b.other.Load()+more > limit-heldShare(limit)
}

// Trim takes some memory from the log that has most: the oldest frames of at
// least a segment, down to the newest frame, which gets a segment of its size.
// Readers that stood there get ErrEvicted. Of a log that holds its frames for a
// reader only what has been released goes. It returns false where no log has
// anything to drop. Whether the budget is exceeded is for the caller to ask.
func (b *Budget) Trim() bool {
	if b == nil {
		return false
	}
	for {
		largest := b.largest()
		if largest == nil {
			return false
		}
		if largest.trim() {
			return true
		}
	}
}

func (b *Budget) largest() *Log {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.logs) == 0 {
		return nil
	}
	return b.logs[0]
}

// report says how much memory a log has now. The log is locked.
func (b *Budget) report(l *Log, memory int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used.Add(memory - l.counted)
	l.counted = memory
	switch {
	case memory == 0 && l.place > 0:
		heap.Remove(&b.logs, l.place-1)
	case memory > 0 && l.place > 0:
		heap.Fix(&b.logs, l.place-1)
	case memory > 0:
		heap.Push(&b.logs, l)
	}
}

// park leaves a log out until it reports again. The log is locked.
func (b *Budget) park(l *Log) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.place > 0 {
		heap.Remove(&b.logs, l.place-1)
	}
}

// logHeap has the log with the most memory first.
type logHeap []*Log

// Len is heap.Interface's.
func (h *logHeap) Len() int { return len(*h) }

// Less is heap.Interface's.
func (h *logHeap) Less(i, j int) bool { return (*h)[i].counted > (*h)[j].counted }

// Swap is heap.Interface's.
func (h *logHeap) Swap(i, j int) {
	all := *h
	all[i], all[j] = all[j], all[i]
	all[i].place, all[j].place = i+1, j+1
}

// Push is heap.Interface's.
func (h *logHeap) Push(x any) {
	l := x.(*Log) //nolint:errcheck,forcetypeassert // report pushes logs only
	*h = append(*h, l)
	l.place = len(*h)
}

// Pop is heap.Interface's.
func (h *logHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.place = 0
	return l
}
