package replay

const (
	smallestSegment = 1 << 10
	largestSegment  = 64 << 10
)

// segment is a piece of memory that frames are laid into one after another.
// What is written is never written again, and the memory never moves, so that
// readers need no lock to use a slice of it.
type segment struct {
	bytes []byte
}

// segments is the memory of a log: only the newest segment is written to.
// A segment is given back to the collector when no frame and no reader is in
// it any more.
type segments struct {
	newest *segment
	bytes  int64 // of the frames held
}

// add lays the bytes of a frame down and says where.
func (s *segments) add(bytes []byte) (*segment, int) {
	if s.newest == nil || cap(s.newest.bytes)-len(s.newest.bytes) < len(bytes) {
		s.newest = &segment{bytes: make([]byte, 0, max(s.nextSize(), len(bytes)))}
	}
	start := len(s.newest.bytes)
	s.newest.bytes = append(s.newest.bytes, bytes...)
	s.bytes += int64(len(bytes))
	return s.newest, start
}

// nextSize doubles from segment to segment, so that a quiet topic stays small
// and a busy one makes few.
func (s *segments) nextSize() int {
	if s.newest == nil {
		return smallestSegment
	}
	return min(2*cap(s.newest.bytes), largestSegment)
}
