package replay

import (
	"container/heap"
	"sync"
	"sync/atomic"
)

// Budget bounds the memory of many logs. It counts the segments of all logs, with everything in them.
// A log only reports its memory: the caller that finds the budget exceeded frees memory with Trim, or
// closes a log with Discard.
//
// A quarter of the budget is for retained frames (see Params.Retain), the rest for all other frames.
// Neither part can use the memory of the other, so a reader that takes nothing costs other logs no
// frame. The less of the quarter is left, the fewer frames each log may retain before it is Full. When
// nothing is left, a log retains one frame at a time and takes no large one (see Reserve). While the
// rest is exceeded, a retained log drops every released frame.
//
// Its methods are safe for concurrent use, and may be called with the locks held under which Append is
// called. A nil Budget is never exceeded.
type Budget struct {
	limit    atomic.Int64
	used     atomic.Int64 // memory of all logs
	retained atomic.Int64 // memory of retained frames
	other    atomic.Int64 // used - retained, in one atomic of its own: the difference of two would jump while both change

	retainers atomic.Int64 // number of logs with retained frames
	waiters   atomic.Int64 // number of logs that wait for memory, see AddWaiter
	waiting   atomic.Bool  // freed is not nil, or a call of Reserve may be about to set it

	reserveMu           sync.Mutex
	reserved            int64         // memory set aside by Reserve
	freed               chan struct{} // closed when one of its waiters may succeed; nil without waiters
	freedAt             int64         // freed closes when retained + reserved is no higher
	freedWhenUnreserved bool          // freed also closes when nothing is reserved

	mu   sync.Mutex
	logs logHeap // logs from which Trim may free memory
}

// NewBudget returns a budget of the given number of bytes.
func NewBudget(bytes int64) *Budget {
	b := &Budget{}
	b.SetLimit(bytes)
	return b
}

// SetLimit changes the number of bytes. It frees no memory if the new limit is exceeded.
func (b *Budget) SetLimit(bytes int64) {
	b.limit.Store(bytes)
	b.wakeWaiters()
}

// Used returns the memory of all logs, in bytes.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Over reports whether frames that are not retained take more memory than their part of the budget. It
// takes no lock.
func (b *Budget) Over() bool { return b.exceeded(0) }

// exceeded is Over for a caller that has more bytes which are not reported yet.
func (b *Budget) exceeded(more int64) bool {
	if b == nil {
		return false
	}
	limit := b.limit.Load()
	return b.other.Load()+more > limit-retainedPart(limit)
}

// Trim frees memory of the log that has most: its oldest frames, at least a segment, down to the newest
// frame, which moves to a segment of its own size. Readers of dropped frames get ErrEvicted. A retained
// log drops only released frames. Trim returns false if no log has a frame to drop. It does not check
// whether the budget is exceeded.
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

// report updates the memory of a log, which is locked.
func (b *Budget) report(l *Log, memory int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used.Add(memory - l.reported)
	l.reported = memory
	switch {
	case memory == 0 && l.heapIndex > 0:
		heap.Remove(&b.logs, l.heapIndex-1)
	case memory > 0 && l.heapIndex > 0:
		heap.Fix(&b.logs, l.heapIndex-1)
	case memory > 0:
		heap.Push(&b.logs, l)
	}
}

// park keeps Trim from looking at a log until the log reports again. The log is locked.
func (b *Budget) park(l *Log) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.heapIndex > 0 {
		heap.Remove(&b.logs, l.heapIndex-1)
	}
}

// logHeap is a heap.Interface with the largest log first.
type logHeap []*Log

// Len implements heap.Interface.
func (h *logHeap) Len() int { return len(*h) }

// Less implements heap.Interface.
func (h *logHeap) Less(i, j int) bool { return (*h)[i].reported > (*h)[j].reported }

// Swap implements heap.Interface.
func (h *logHeap) Swap(i, j int) {
	all := *h
	all[i], all[j] = all[j], all[i]
	all[i].heapIndex, all[j].heapIndex = i+1, j+1
}

// Push implements heap.Interface.
func (h *logHeap) Push(x any) {
	l := x.(*Log) //nolint:errcheck,forcetypeassert // report pushes logs only
	*h = append(*h, l)
	l.heapIndex = len(*h)
}

// Pop implements heap.Interface.
func (h *logHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.heapIndex = 0
	return l
}
