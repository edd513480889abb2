package replay

import "io"

// Read appends the bytes of the frames after position to into, one slice for each frame that is not
// empty, and returns the position of the last of them. It returns frames up to limit bytes in sum, and
// at least one.
//
// With nothing to read it returns position and no error; in a closed log, io.EOF; and ErrEvicted if
// the frame after position has left the log. The slices are immutable and remain valid.
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

// Chunks returns the frames after position as chunks of HTTP/1.1 (RFC 9112, section 7.1), one for each
// frame that is not empty, and the position of the last frame. It returns only chunks that lie one after
// another in one segment: at least one chunk, otherwise at most limit bytes. So a result that is shorter
// than limit does not mean that there is nothing more to read.
//
// With nothing to read it returns what Read does. The bytes are immutable and remain valid. They keep
// their whole segment in memory: at most 64 KiB, or one frame that is larger.
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

// readable returns nil if the frame after position is in the log or may still be appended.
func (l *Log) readable(position uint64) error {
	switch {
	case position < l.frames.floor:
		return ErrEvicted
	case position >= l.frames.head() && l.closed:
		return io.EOF
	}
	return nil
}

// run is a sequence of contiguous pieces.
type run piece

// add extends the run by p, if p is contiguous with it and the run stays within limit.
func (r *run) add(p piece, limit int) bool {
	switch {
	case p.segment == nil: // an empty frame
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
