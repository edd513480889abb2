package replay

import (
	"sync"

	"github.com/ssebridge/ssebridge/bridge/internal/deflate"
)

const (
	// chainLength is how many frames a chain has. The first of each is compressed
	// without a dictionary, to four fifths and not to a third, and a client that
	// has not had all of the chain gets all frames so until the next begins: a
	// longer chain is better for clients that stay, a shorter one for new ones.
	// BenchmarkGzipChunks measures it: 32 % of the bytes with 16 frames, 29 % with
	// 32, 28 % with 64.
	chainLength = 32
	// workLimit is after how many plain bytes that had to be compressed a call
	// returns: the log is locked meanwhile, for half a millisecond to a whole
	// one, and two with a text made to take long.
	workLimit = 16 << 10
)

// GzipChunks returns the frames after a position as Chunks does, but each
// frame as deflate blocks, for a client whose output is a gzip stream
// (package deflate); sum is that of the frames before they were compressed.
// limit is of compressed bytes, in chunks.
//
// Frames are compressed in chains: most take the plain bytes of their chain's
// earlier frames as dictionary. whole is the position since which the client's
// output is exactly this log's frames, in order and with nothing between. A
// client gets frames of a chain whose beginning came before that in another
// form, which needs nothing before it. A client that is sent something of its
// own, or not sent a frame, or changes logs, is whole from where it then
// stands; an empty block (deflate.Heartbeat) leaves it as whole as it was.
//
// Both forms are made when they are first asked for, while the log is locked,
// and go with the frame.
func (l *Log) GzipChunks(position, whole uint64, limit int) (bytes []byte, next uint64, sum deflate.Sum, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.readable(position); err != nil {
		return nil, position, deflate.Sum{}, err
	}
	var run run
	next = position
	work := workLimit
	for head := l.frames.head(); next < head && (work > 0 || next == position); next++ {
		if !run.add(l.compressed(next+1, whole, &work), limit) {
			break
		}
		sum = sum.Then(l.frames.at(next + 1).forms.sum)
	}
	l.account()
	return run.bytes(), next, sum, nil
}

// ReadGzip is to GzipChunks as Read is to Chunks: it appends to into the
// deflate blocks of the frames, without the chunks around them. limit is of
// compressed bytes.
func (l *Log) ReadGzip(position, whole uint64, limit int, into [][]byte) ([][]byte, uint64, deflate.Sum, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum deflate.Sum
	if err := l.readable(position); err != nil {
		return into, position, sum, err
	}
	next := position
	work := workLimit
	for head := l.frames.head(); next < head && (work > 0 || next == position); next++ {
		content := l.compressed(next+1, whole, &work).content()
		if limit -= len(content); limit < 0 && next > position {
			break
		}
		if len(content) > 0 {
			into = append(into, content)
		}
		sum = sum.Then(l.frames.at(next + 1).forms.sum)
	}
	l.account()
	return into, next, sum, nil
}

// forms are those of a frame for clients that take it compressed.
type forms struct {
	chained piece       // to follow its chain's earlier frames; none until it is asked for
	alone   piece       // to follow anything; none until it is asked for
	sum     deflate.Sum // of the frame's bytes
}

func (l *Log) releaseForms(f *frame) {
	if f.forms != nil {
		l.chained.release(f.forms.chained)
		l.alone.release(f.forms.alone)
		f.forms = nil
	}
}

// compressed returns a frame in the form for a client that is whole since a
// position, and makes it if need be. It takes what it compresses from work.
func (l *Log) compressed(number, whole uint64, work *int) piece {
	f := l.frames.at(number)
	if f.forms == nil {
		f.forms = &forms{sum: deflate.SumOf(f.plain.content())}
	}
	begin := number - (number-1)%chainLength
	after := max(begin-1, l.frames.floor) // frames behind it can be the dictionary
	// The first of a chain has one form for all clients. Where the dictionary has
	// left the log, the form without one is right too.
	form, memory := &f.forms.chained, &l.chained
	if number != begin && (whole >= begin || (form.segment == nil && after+1 == number)) {
		form, memory = &f.forms.alone, &l.alone
		after = number - 1
	}
	if form.segment != nil || f.plain.segment == nil {
		return *form
	}
	desk, ok := desks.Get().(*desk)
	if !ok {
		desk = newDesk()
	}
	defer desk.putBack()
	dict := l.dictionary(desk.dict[:0], after, number, deflate.Window)
	desk.dict = dict
	desk.out = deflate.AppendBlocks(desk.out[:0], f.plain.content(), dict)
	*form = memory.lay(desk.out, l.largestSegment())
	if l.params.Hold && number > l.released {
		l.pinPiece(*form)
	}
	*work -= f.length()
	return *form
}

// dictionary appends the last bytes of the frames after a position and before
// a number, limit at most.
func (l *Log) dictionary(dst []byte, after, number uint64, limit int) []byte {
	first, skip := number, 0 // of the first frame, so many bytes are too many
	for size := 0; first-1 > after && size < limit; {
		first--
		size += l.frames.at(first).length()
		skip = max(0, size-limit)
	}
	for ; first < number; first++ {
		dst = append(dst, l.frames.at(first).plain.content()[skip:]...)
		skip = 0
	}
	return dst
}

// desk is what is needed while a frame is compressed.
type desk struct {
	dict []byte
	out  []byte
}

//nolint:gochecknoglobals // a pool is shared by nature.
var desks sync.Pool

func newDesk() *desk { return &desk{dict: make([]byte, 0, deflate.Window)} }

// putBack keeps the desk for the next frame, without a large one's bytes.
func (d *desk) putBack() {
	if cap(d.out) > largestSegment {
		d.out = nil
	}
	desks.Put(d)
}
