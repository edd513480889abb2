package replay

import "slices"

const (
	smallestSegment = 1 << 10
	largestSegment  = 64 << 10
	// largestShared is the size of the longest chunk that shares a segment with others. So less than
	// a quarter of a segment of the largest size stays unused.
	largestShared = largestSegment / 4
)

// segment is memory that chunks are appended to. Written bytes never change or move, so readers use
// slices of it without a lock.
type segment struct {
	bytes    []byte
	pieces   int // pieces of frames in the log
	retained int // pieces of retained frames
}

// piece returns the chunk from start to the end of what is written.
func (s *segment) piece(start int) piece {
	return piece{segment: s, start: uint32(start), end: uint32(len(s.bytes))} //nolint:gosec // see piece
}

// piece is a chunk in a segment. The zero piece is the chunk of an empty frame.
type piece struct {
	segment    *segment
	start, end uint32 // a frame is far smaller than 4 GiB
}

func (p piece) size() int { return int(p.end - p.start) }

// content returns the bytes in the chunk.
func (p piece) content() []byte {
	if p.segment == nil {
		return nil
	}
	start, size := contentOf(p.size())
	start += int(p.start)
	return p.segment.bytes[start : start+size : start+size]
}

// segments are the segments for pieces of one kind. A small piece goes to the newest segment, a large
// one gets a segment of its own size. The garbage collector frees a segment when the log has no piece
// in it and no reader has a slice of it.
type segments struct {
	newest *segment
	memory int64 // capacity of all segments with pieces
}

// store copies content into a segment as a chunk. A new segment has at most the size largest, unless
// the chunk is larger.
func (s *segments) store(content []byte, largest int) piece {
	if len(content) == 0 {
		return piece{}
	}
	room := s.segmentFor(chunkSize(len(content)), largest)
	start := len(room.bytes)
	room.bytes = appendChunk(room.bytes, content)
	room.pieces++
	return room.piece(start)
}

// segmentFor returns a segment with room for size bytes.
func (s *segments) segmentFor(size, largest int) *segment {
	if size > largestShared {
		// Grow returns the full size class of the allocator, so that all of it is counted.
		alone := &segment{bytes: slices.Grow([]byte(nil), size)}
		s.memory += int64(cap(alone.bytes))
		return alone
	}
	if s.newest == nil || cap(s.newest.bytes)-len(s.newest.bytes) < size {
		next := smallestSegment
		if s.newest != nil {
			// Each segment is twice the one before: a quiet topic stays small, a busy one allocates
			// seldom.
			next = 2 * cap(s.newest.bytes)
		}
		for next > max(largest, smallestSegment) {
			next /= 2
		}
		for next < size {
			next *= 2
		}
		s.newest = &segment{bytes: make([]byte, 0, next)}
		s.memory += int64(next)
	}
	return s.newest
}

// release drops a piece from its segment.
func (s *segments) release(p piece) {
	if p.segment == nil {
		return
	}
	if p.segment.pieces--; p.segment.pieces > 0 {
		return
	}
	s.memory -= int64(cap(p.segment.bytes))
	if s.newest == p.segment {
		s.newest = nil
	}
}

// fit moves the only piece of a segment to a segment of the piece's size.
func (s *segments) fit(p piece) piece {
	chunk := p.segment.bytes[p.start:p.end]
	fitting := &segment{bytes: append(slices.Grow([]byte(nil), len(chunk)), chunk...), pieces: 1, retained: p.segment.retained}
	s.memory += int64(cap(fitting.bytes))
	s.release(p)
	return fitting.piece(0)
}
