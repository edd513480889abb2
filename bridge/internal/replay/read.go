package replay

import "io"

// Read appends to into the bytes of the frames after a position, a slice for
// each frame that has any, and returns the position behind them. It stops
// before the frame that would exceed limit bytes, but returns at least one.
//
// With nothing to read it returns the same position and no error, io.EOF where
// the log is closed, or ErrEvicted where the frame after the position is no
// longer held. The slices are immutable and remain valid.
func (l *Log) Read(position uint64, limit int, into [][]byte) ([][]byte, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.readable(position); err != nil {
		return into, position, err
	}
	head := l.frames.head()
	for first := position; position < head; position++ {
		next := l.frames.at(position + 1)
		if limit -= next.length(); limit < 0 && position > first {
			break
		}
		if content := next.plain.content(); len(content) > 0 {
			into = append(into, content)
		}
	}
	return into, position, nil
}

// Chunks returns the frames after a position as chunks of HTTP/1.1 (RFC 9112,
// section 7.1), one a frame, as they lie behind one another in memory, and the
// position behind them. They are at most limit bytes, but at least a frame; a
// frame without bytes has no chunk. There may be more to read at once even
// where they are fewer.
//
// What it returns where there is nothing to read is as with Read. The bytes
// are immutable and remain valid, and keep a segment (64 KiB, or a larger
// frame) in memory.
func (l *Log) Chunks(position uint64, limit int) (bytes []byte, next uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.readable(position); err != nil {
		return nil, position, err
	}
	var run run
	for head := l.frames.head(); position < head && run.add(l.frames.at(position+1).plain, limit); {
		position++
	}
	return run.bytes(), position, nil
}

// readable is nil where the frame after a position is held, or may still come.
func (l *Log) readable(position uint64) error {
	switch {
	case position < l.frames.floor:
		return ErrEvicted
	case position >= l.frames.head() && l.closed:
		return io.EOF
	}
	return nil
}

// run is pieces that lie behind one another.
type run piece

// add takes a piece in, if it lies behind the others and the limit allows.
func (r *run) add(p piece, limit int) bool {
	switch {
	case p.segment == nil: // no bytes
	case r.segment == nil:
		*r = run(p)
	case p.segment != r.segment || p.start != r.end || int(p.end-r.start) > limit:
		return false
	default:
		r.end = p.end
	}
	return true
}

func (r *run) bytes() []byte {
	if r.segment == nil {
		return nil
	}
	return r.segment.bytes[r.start:r.end:r.end]
}
