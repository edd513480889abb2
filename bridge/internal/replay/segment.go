package replay

import "slices"

const (
	smallestSegment = 1 << 10
	largestSegment  = 64 << 10
	// largestShared is the longest chunk that shares a segment with others. So
	// a segment of the largest size is left with less than a quarter unused.
	largestShared = largestSegment / 4
)

// segment is memory that chunks are laid into one after another. Written bytes are
// never changed, and the memory never moves, so that readers need no lock to use a
// slice of it.
type segment struct {
	bytes  []byte
	pieces int // those that the log still holds
	unread int // those of frames that Params.Hold keeps for a reader
}

// piece returns what lies behind a start.
func (s *segment) piece(start int) piece {
	return piece{segment: s, start: uint32(start), end: uint32(len(s.bytes))} //nolint:gosec // see there
}

// piece is a chunk in a segment; the zero piece is none.
type piece struct {
	segment    *segment
	start, end uint32 // a frame has far less than 4 GiB
}

func (p piece) size() int { return int(p.end - p.start) }

// content returns what the chunk holds.
func (p piece) content() []byte {
	if p.segment == nil {
		return nil
	}
	start, size := contentOf(p.size())
	start += int(p.start)
	return p.segment.bytes[start : start+size : start+size]
}

// segments is memory for pieces of one kind: they are laid into the newest
// segment. Only large ones get a segment each, of their size.
//
// A segment is given back to the collector when the log holds no piece in it
// and no reader a slice of it.
type segments struct {
	newest *segment
	memory int64 // the capacities of all segments that pieces are held in
}

// lay copies a content into a segment, as a chunk. A new segment has at most
// largest bytes, unless the chunk has more.
func (s *segments) lay(content []byte, largest int) piece {
	if len(content) == 0 {
		return piece{}
	}
	room := s.room(chunkSize(len(content)), largest)
	start := len(room.bytes)
	room.bytes = appendChunk(room.bytes, content)
	room.pieces++
	return room.piece(start)
}

// room returns a segment with so much room.
func (s *segments) room(size, largest int) *segment {
	if size > largestShared {
		// Grow rounds up to what the allocator hands out anyway, so that it is
		// counted.
		alone := &segment{bytes: slices.Grow([]byte(nil), size)}
		s.memory += int64(cap(alone.bytes))
		return alone
	}
	if s.newest == nil || cap(s.newest.bytes)-len(s.newest.bytes) < size {
		next := smallestSegment
		if s.newest != nil {
			// Doubled from segment to segment, so that a quiet topic stays
			// small and a busy one makes few.
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

// release says that the log holds a piece no more.
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

// fit moves a piece that is alone in its segment to one of its size.
func (s *segments) fit(p piece) piece {
	chunk := p.segment.bytes[p.start:p.end]
	fitting := &segment{bytes: append(slices.Grow([]byte(nil), len(chunk)), chunk...), pieces: 1, unread: p.segment.unread}
	s.memory += int64(cap(fitting.bytes))
	s.release(p)
	return fitting.piece(0)
}
