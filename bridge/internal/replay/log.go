package replay

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrEvicted says that frames after a position have left the log: a reader
// there has lost some.
var ErrEvicted = errors.New("replay: position has fallen out of the log")

// Params bound a log. Whichever bound is reached first drops the oldest frames. The
// newest frame is always held, unless Release has been told that the readers have it
// and the budget is exceeded.
type Params struct {
	Events int // frames held; at least 1
	// Bytes of frames held, as Append was given them; at least 1. Their memory is
	// more: see Log.
	Bytes int64
	Age   time.Duration // how long a frame is held; 0 is for ever
	// Hold keeps every frame after the position last given to Release, over
	// all bounds. Full then says when the writer must wait. Release is to speak for
	// all readers, which need no frame before that position.
	Hold bool
	// Start is the id of the position before the first frame, if it has one.
	Start string
	// Budget bounds the memory of many logs; nil is none. A log with one must
	// be given up by Discard.
	Budget *Budget
}

// Log is a bounded sequence of frames with one writer and any number of
// readers. Its methods are safe for concurrent use.
//
// Frames are numbered from 1. A position is the number of the last frame that
// a reader has got; 0 is before the first.
//
// Frames are stored as chunks, at most 20 bytes longer than they are. The
// memory of their segments, unused room and dropped frames included, is at most
// 4/3 of the chunks held and 192 KiB. A log that is read with GzipChunks or
// ReadGzip has two more such memories, for the compressed forms of the frames
// held; each is at most 8/3 of those forms and 192 KiB, since readers that lag
// have forms made out of turn. A form is usually a third of its frame; at worst
// it is longer by 32 bytes and a thousandth.
type Log struct {
	params   Params
	begun    time.Time
	watchers atomic.Pointer[[]*watcher] // replaced whole, under mu
	notices  atomic.Uint64
	marked   atomic.Uint64 // the position of the newest mark

	mu       sync.Mutex
	frames   ring
	plain    segments
	chained  segments
	alone    segments
	byID     map[string]uint64 // the newest frame with an id
	bytes    int64             // of the frames held
	released uint64            // Params.Hold: frames after it stay
	held     int64             // Params.Hold: the bytes of those frames
	pinned   int64             // Params.Hold: the memory of the segments they lie in
	unread   atomic.Int32      // Params.Hold: how much those frames are to the log
	newest   atomic.Uint64     // the position of the newest frame
	newestAt atomic.Int64      // when it came, since begun
	marks    []mark            // of frames held, and perhaps of some that are not
	evicted  string            // the id of the newest frame that was dropped
	goneAt   time.Duration     // when that frame came
	closed   bool              // no frame comes after the newest one
	tracked  bool              // all readers report to Release: Params.Hold is set since New
	grown    chan struct{}     // closed when a waiting reader has something to do; nil while none waits
	parked   bool              // the budget looks at the log again when it has changed

	pinnedCounted atomic.Int64 // pinned, as the budget knows it; written with mu held
	movedAt       atomic.Int64 // when pinned memory was first pinned, last released, or last taken in part; since begun

	// Owned by params.Budget, and guarded by it. counted is written with both
	// locks held, so that either is enough to read it.
	counted int64 // the memory of the log that the budget knows of
	place   int   // in the budget's heap, from 1; 0 is none
}

// frame is where one frame lies, and what is known of it.
type frame struct {
	plain piece
	forms *forms // for clients that take gzip; nil until one reads the frame
	id    string // as Append was given it
	at    time.Duration
}

func (f *frame) length() int {
	_, size := contentOf(f.plain.size())
	return size
}

// New returns an empty log.
func New(params Params) *Log {
	return &Log{params: params, tracked: params.Hold, begun: time.Now(), evicted: params.Start, byID: map[string]uint64{}}
}

// Append adds a frame, copying its bytes, and wakes the readers. The id is
// what Find compares and ID returns; it may be empty where positions are told
// by number. Append on a closed log does nothing.
func (l *Log) Append(bytes []byte, id string) {
	if l.add(bytes, id) {
		l.tell()
	}
}

func (l *Log) add(bytes []byte, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	now := time.Since(l.begun)
	l.frames.push(frame{plain: l.plain.lay(bytes, l.largestSegment()), id: id, at: now})
	l.newestAt.Store(int64(now))
	l.newest.Store(l.frames.head())
	l.pin(l.frames.head())
	l.bytes += int64(len(bytes))
	l.held += int64(len(bytes))
	if id != "" {
		l.byID[id] = l.frames.head()
	}
	l.evict(now)
	l.weigh()
	l.account()
	l.wake()
	return true
}

// Close says that no frame follows. Readers that have read all get io.EOF.
func (l *Log) Close() {
	l.notices.Add(1)
	l.mu.Lock()
	l.closed = true
	l.wake()
	l.mu.Unlock()
	l.tell()
}

// evict drops the oldest frames while a bound is exceeded.
func (l *Log) evict(now time.Duration) {
	for l.droppable() && (l.frames.len() > 1 && l.overBound(now) || l.scarce()) {
		l.drop()
	}
}

// overBound reports whether one of the log's own bounds is exceeded.
func (l *Log) overBound(now time.Duration) bool {
	return l.frames.len() > l.params.Events ||
		l.bytes > l.params.Bytes ||
		l.params.Age > 0 && now-l.frames.oldest().at > l.params.Age
}

// scarce reports whether the budget is exceeded, so that a log which holds frames for
// its readers keeps none that they have.
func (l *Log) scarce() bool { return l.params.Hold && l.params.Budget.exceeded(l.unreported()) }

// droppable reports whether the oldest frame may be dropped.
func (l *Log) droppable() bool {
	if l.params.Hold && l.frames.floor >= l.released {
		return false
	}
	// The newest frame stays where some readers do not report their progress, and in a
	// closed log: there it is the end of the stream, for which a client that was cut
	// comes back.
	return l.frames.len() > 1 || l.frames.len() == 1 && l.tracked && !l.closed
}

// drop lets the oldest frame go.
func (l *Log) drop() {
	oldest := l.frames.oldest()
	l.evicted, l.goneAt = oldest.id, oldest.at
	if l.byID[oldest.id] == l.frames.floor+1 {
		delete(l.byID, oldest.id)
	}
	l.bytes -= int64(oldest.length())
	l.unpin(l.frames.floor + 1)
	l.plain.release(oldest.plain)
	l.releaseForms(oldest)
	l.frames.drop()
}

// memory is that of all segments.
func (l *Log) memory() int64 { return l.plain.memory + l.chained.memory + l.alone.memory }

// expire drops what has grown too old by now.
func (l *Log) expire() {
	l.evict(time.Since(l.begun))
	l.account()
}

// Newest returns the position of the newest frame. It takes no lock.
func (l *Log) Newest() uint64 { return l.newest.Load() }

// Bounds returns the positions that can be read from: floor, the oldest, and
// head, that of the newest frame.
func (l *Log) Bounds() (floor, head uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	return l.frames.floor, l.frames.head()
}
