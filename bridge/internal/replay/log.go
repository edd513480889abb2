package replay

import (
	"errors"
	"io"
	"sync"
	"time"
)

// ErrEvicted says that frames after a position have left the log: a reader
// there has lost some.
var ErrEvicted = errors.New("replay: position has fallen out of the log")

// Params bound a log. Whichever bound is reached first drops the oldest
// frames; the newest frame is always held.
type Params struct {
	Events int           // frames held; at least 1
	Bytes  int64         // bytes of frames held; at least 1
	Age    time.Duration // how long a frame is held; 0 is for ever
	// Hold keeps every frame after the position last given to Release, over
	// all bounds. Full then says when the writer must wait.
	Hold bool
	// Start is the id of the position before the first frame, if it has one.
	Start string
}

// Log is a bounded sequence of frames with one writer and any number of
// readers. Its methods are safe for concurrent use.
//
// Frames are numbered from 1. A position is the number of the last frame that
// a reader has got; 0 is before the first.
type Log struct {
	params Params

	mu       sync.Mutex
	frames   ring
	segments segments
	byID     map[string]uint64 // the newest frame with an id
	released uint64            // Params.Hold: frames after it stay
	held     int64             // Params.Hold: the bytes of those frames
	evicted  string            // the id of the newest frame that was dropped
	closed   bool              // no frame comes after the newest one
	grown    chan struct{}     // closed when a waiting reader has something to do; nil while none waits
}

// frame is where one frame lies, and what is known of it.
type frame struct {
	segment *segment
	start   int
	end     int
	id      string // as Append was given it
	at      time.Time
}

func (f *frame) length() int { return f.end - f.start }

// New returns an empty log.
func New(params Params) *Log {
	return &Log{params: params, evicted: params.Start, byID: map[string]uint64{}}
}

// Append adds a frame, copying its bytes, and wakes the readers. The id is
// what Find compares and ID returns; it may be empty where positions are told
// by number. Append on a closed log does nothing.
func (l *Log) Append(bytes []byte, id string) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	segment, start := l.segments.add(bytes)
	l.frames.push(frame{segment: segment, start: start, end: start + len(bytes), id: id, at: now})
	l.held += int64(len(bytes))
	if id != "" {
		l.byID[id] = l.frames.head()
	}
	l.evict(now)
	l.wake()
}

// Close says that no frame follows. Readers that have read all get io.EOF.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake()
}

func (l *Log) wake() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// evict drops the oldest frames while a bound is exceeded.
func (l *Log) evict(now time.Time) {
	for l.frames.len() > 1 {
		oldest := l.frames.oldest()
		over := l.frames.len() > l.params.Events ||
			l.segments.bytes > l.params.Bytes ||
			(l.params.Age > 0 && now.Sub(oldest.at) > l.params.Age)
		if !over || (l.params.Hold && l.frames.floor >= l.released) {
			return
		}
		l.evicted = oldest.id
		if l.byID[oldest.id] == l.frames.floor+1 {
			delete(l.byID, oldest.id)
		}
		l.segments.bytes -= int64(oldest.length())
		l.frames.drop()
	}
}

// Bounds returns the positions that can be read from: floor, the oldest, and
// head, that of the newest frame.
func (l *Log) Bounds() (floor, head uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evict(time.Now())
	return l.frames.floor, l.frames.head()
}

// Read appends to into the bytes of the frames after a position, as few
// slices as they lie in, and returns the position behind them. It stops before
// the frame that would exceed limit bytes, but returns at least one.
//
// With nothing to read it returns the same position and no error, io.EOF where
// the log is closed, or ErrEvicted where the frame after the position is no
// longer held. The slices are immutable and remain valid.
func (l *Log) Read(position uint64, limit int, into [][]byte) ([][]byte, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case position < l.frames.floor:
		return into, position, ErrEvicted
	case position >= l.frames.head() && l.closed:
		return into, position, io.EOF
	}
	size := 0
	for position < l.frames.head() {
		first := l.frames.at(position + 1)
		end := first.start
		for position < l.frames.head() {
			next := l.frames.at(position + 1)
			if next.segment != first.segment || (size > 0 && size+next.length() > limit) {
				break
			}
			size += next.length()
			end = next.end
			position++
		}
		if end == first.start {
			break // the limit is reached
		}
		into = append(into, first.segment.bytes[first.start:end:end])
	}
	return into, position, nil
}

// Grown returns a channel that is closed once there is something after the
// position: a frame, the end, or its eviction.
func (l *Log) Grown(position uint64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position < l.frames.head() || l.closed {
		return always
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return l.grown
}

// always is a closed channel: there is something to do at once.
//
//nolint:gochecknoglobals // a closed channel never changes.
var always = func() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// Find returns the position of the newest frame with the given id. A log also
// knows Params.Start, and then the id of the frame that it dropped last, since
// nothing after that one is missing.
func (l *Log) Find(id string) (position uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evict(time.Now())
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
	l.evict(time.Now())
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

// SetHold changes Params.Hold: from now on all that is held now stays until it
// is released, or nothing does any more.
func (l *Log) SetHold(hold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hold == l.params.Hold {
		return
	}
	l.params.Hold = hold
	l.released = l.frames.floor
	l.held = l.segments.bytes
	l.evict(time.Now())
}

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
}

// Full reports whether the frames that must be held fill the log.
func (l *Log) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := uint64(l.params.Events) //nolint:gosec // at least 1
	return l.params.Hold && (l.frames.head()-l.released >= events || l.held >= l.params.Bytes)
}
