package replay

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrEvicted reports that the frame after a position has left the log: a reader at that position has
// lost frames.
var ErrEvicted = errors.New("replay: position has fallen out of the log")

// Params bound a log. The log drops its oldest frames while any bound is exceeded. It keeps the newest
// frame, unless every reader has released it and the budget is exceeded.
type Params struct {
	Events int // frames in the log; at least 1
	// Bytes bounds the sum of the frames' lengths, and is at least 1. Their memory is larger, see Log.
	Bytes int64
	Age   time.Duration // of a frame; 0 is unlimited
	// Retain makes the log keep every frame after the position last given to Release, beyond all
	// bounds. Full then reports when the writer must wait. The caller of Release speaks for all
	// readers: none of them needs a frame up to that position.
	Retain bool
	// Start is the id of position 0, if it has one.
	Start string
	// Budget bounds the memory of many logs; nil is none. A log with a budget must be closed by
	// Discard.
	Budget *Budget
}

// Log is a bounded sequence of frames with one writer and any number of readers. Its methods are safe
// for concurrent use.
//
// Frames are numbered from 1. A position is the number of the last frame that a reader has received;
// 0 is before the first frame.
//
// Frames are stored as chunks, with up to 20 bytes of framing. Their segments, with unused room and
// dropped frames, take at most 4/3 of the chunks in the log plus 192 KiB. Reading with GzipChunks or
// ReadGzip adds two sets of segments, one for each compressed form. Each takes at most 8/3 of these
// forms plus 192 KiB: it is more than 4/3, since a lagging reader has old frames compressed next to
// new ones. A form usually has a third of its frame's length, and at most 32 bytes and 0.1 % more than
// all of it.
type Log struct {
	params   Params
	begun    time.Time
	watchers atomic.Pointer[[]*watcher] // copied on change, with mu locked
	notices  atomic.Uint64
	marked   atomic.Uint64 // the position of the newest mark

	mu            sync.Mutex
	frames        ring
	plain         segments
	chained       segments
	standalone    segments
	byID          map[string]uint64 // id → the newest frame with it
	bytes         int64             // sum of the frames' lengths
	released      uint64            // retained logs: the frames after it are retained
	retainedBytes int64             // retained logs: sum of the retained frames' lengths
	pinned        int64             // retained logs: memory of the segments with retained frames
	fill          atomic.Int32      // retained logs: fillsNone, fillsSome or fillsAll
	newest        atomic.Uint64     // the position of the newest frame
	newestAt      atomic.Int64      // when it was appended, in log time
	marks         []mark            // of frames in the log; those of dropped frames go at the next Mark
	droppedID     string            // the id of the newest dropped frame
	droppedTime   time.Duration     // when that frame was appended
	closed        bool              // no frame follows
	tracked       bool              // every reader's progress goes to Release: the log has been retained since New
	grown         chan struct{}     // closed to wake readers; nil while none waits
	parked        bool              // not in the budget's heap until the log changes

	pinnedReported atomic.Int64 // pinned as last reported to the budget; written with mu locked
	progressAt     atomic.Int64 // when memory was first pinned, or a reader last took some of it; log time

	// Owned by params.Budget. reported is written with mu and the budget's lock both held, so either
	// lock is enough to read it.
	reported  int64 // memory as last reported to the budget
	heapIndex int   // place in the budget's heap, from 1; 0 is none
}

// frame locates one frame in the segments.
type frame struct {
	plain piece
	forms *forms // nil until a client reads the frame compressed
	id    string // may be empty
	at    time.Duration
}

func (f *frame) length() int {
	_, size := contentOf(f.plain.size())
	return size
}

// New returns an empty log.
func New(params Params) *Log {
	return &Log{params: params, tracked: params.Retain, begun: time.Now(), droppedID: params.Start, byID: map[string]uint64{}}
}

// Append copies a frame into the log and wakes the readers. Find and ID use the id; it may be empty
// where clients resume by position. Append on a closed log does nothing.
func (l *Log) Append(bytes []byte, id string) {
	if l.add(bytes, id) {
		l.notifyWatchers()
	}
}

func (l *Log) add(bytes []byte, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	now := time.Since(l.begun)
	l.frames.push(frame{plain: l.plain.store(bytes, l.segmentLimit()), id: id, at: now})
	l.newestAt.Store(int64(now))
	l.newest.Store(l.frames.head())
	l.pinIfRetained(l.frames.head())
	l.bytes += int64(len(bytes))
	l.retainedBytes += int64(len(bytes))
	if id != "" {
		l.byID[id] = l.frames.head()
	}
	l.evict(now)
	l.updateFill()
	l.reportMemory()
	l.wakeReaders()
	return true
}

// Close ends the log: no frame follows. Readers at its end get io.EOF.
func (l *Log) Close() {
	l.notices.Add(1)
	l.mu.Lock()
	l.closed = true
	l.wakeReaders()
	l.mu.Unlock()
	l.notifyWatchers()
}

// evict drops the oldest frames while a bound is exceeded and they may be dropped.
func (l *Log) evict(now time.Duration) {
	for l.droppable() && (l.frames.len() > 1 && l.overBound(now) || l.overBudget()) {
		l.drop()
	}
}

// overBound reports whether one of the log's own bounds is exceeded.
func (l *Log) overBound(now time.Duration) bool {
	return l.frames.len() > l.params.Events ||
		l.bytes > l.params.Bytes ||
		l.params.Age > 0 && now-l.frames.oldest().at > l.params.Age
}

// overBudget reports whether a retained log must drop all released frames, since the budget is
// exceeded.
func (l *Log) overBudget() bool { return l.params.Retain && l.params.Budget.exceeded(l.unreported()) }

// droppable reports whether the oldest frame may be dropped.
func (l *Log) droppable() bool {
	if l.params.Retain && l.frames.floor >= l.released {
		return false
	}
	// The newest frame stays unless the progress of all readers is known. In a closed log it also
	// stays for a client that was cut off and returns to read the end of the stream.
	return l.frames.len() > 1 || l.frames.len() == 1 && l.tracked && !l.closed
}

// drop drops the oldest frame.
func (l *Log) drop() {
	oldest := l.frames.oldest()
	l.droppedID, l.droppedTime = oldest.id, oldest.at
	if l.byID[oldest.id] == l.frames.floor+1 {
		delete(l.byID, oldest.id)
	}
	l.bytes -= int64(oldest.length())
	l.unpinIfRetained(l.frames.floor + 1)
	l.plain.release(oldest.plain)
	l.releaseForms(oldest)
	l.frames.drop()
}

// memory returns the size of all segments.
func (l *Log) memory() int64 { return l.plain.memory + l.chained.memory + l.standalone.memory }

// evictExpired drops the frames that are too old by now.
func (l *Log) evictExpired() {
	l.evict(time.Since(l.begun))
	l.reportMemory()
}

// Newest returns the position of the newest frame. It takes no lock.
func (l *Log) Newest() uint64 { return l.newest.Load() }

// Bounds returns the oldest and the newest position that can be read from. head is the position of the
// newest frame.
func (l *Log) Bounds() (floor, head uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evictExpired()
	return l.frames.floor, l.frames.head()
}
