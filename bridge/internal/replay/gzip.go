package replay

import (
	"sync"

	"github.com/ssebridge/ssebridge/bridge/internal/deflate"
)

const (
	// chainLength is the number of frames in a chain. The first frame of a chain is compressed without a
	// dictionary, and a small event hardly compresses without one. A client that joins within a chain
	// gets such frames until the next chain begins, so longer chains are better for clients that stay,
	// and shorter ones for new clients. BenchmarkGzipChunks: 37 % of the bytes with 16 frames, 34 % with
	// 32, 32 % with 64.
	chainLength = 32
	// workLimit is the number of plain bytes after which a call stops compressing. The log is locked
	// meanwhile: for less than 1 ms with any text, and for 0.7 ms with events of 300 bytes.
	workLimit = 16 << 10
)

// GzipChunks is Chunks for a client whose output is a gzip stream (package deflate): each frame is
// returned as deflate blocks in a chunk. sum is the checksum of the plain frames. limit counts
// compressed bytes, with their chunks.
//
// Most frames are compressed with the earlier frames of their chain as dictionary. A client can decode
// such a frame only if its output has all of these, with nothing between them. unbroken is the position
// since which the client's output is exactly the frames of this log: for a chain that began before it,
// the client gets frames that need no dictionary. After a block of the client's own, a skipped frame or a
// move to another log, unbroken is the client's position at that time. An empty block (deflate.Heartbeat)
// does not change it.
//
// Each form of a frame is made when a client first needs it, with the log locked, and is dropped with
// the frame.
func (l *Log) GzipChunks(position, unbroken uint64, limit int) (bytes []byte, next uint64, sum deflate.Sum, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.readable(position); err != nil {
		return nil, position, deflate.Sum{}, err
	}
	var run run
	next = position
	work := workLimit
	for head := l.frames.head(); next < head && (work > 0 || next == position); next++ {
		if !run.add(l.compressed(next+1, unbroken, &work, deflate.AppendBlocks), limit) {
			break
		}
		sum = sum.Then(l.frames.at(next + 1).forms.sum)
	}
	l.reportMemory()
	return run.bytes(), next, sum, nil
}

// ReadGzip is Read for a gzip stream: it appends the deflate blocks of each frame to into, without
// chunks. limit counts compressed bytes. See GzipChunks for the rest.
//
// The goroutine of one client calls ReadGzip, and its stack stays small: frames are compressed on
// another. The callers of GzipChunks serve many clients each.
func (l *Log) ReadGzip(position, unbroken uint64, limit int, into [][]byte) ([][]byte, uint64, deflate.Sum, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum deflate.Sum
	if err := l.readable(position); err != nil {
		return into, position, sum, err
	}
	next := position
	work := workLimit
	for head := l.frames.head(); next < head && (work > 0 || next == position); next++ {
		content := l.compressed(next+1, unbroken, &work, deflate.AppendBlocksApart).content()
		if limit -= len(content); limit < 0 && next > position {
			break
		}
		if len(content) > 0 {
			into = append(into, content)
		}
		sum = sum.Then(l.frames.at(next + 1).forms.sum)
	}
	l.reportMemory()
	return into, next, sum, nil
}

// forms are the compressed forms of one frame. A form is empty until a client needs it.
type forms struct {
	chained    piece       // needs the earlier frames of the chain
	standalone piece       // needs nothing before it
	sum        deflate.Sum // of the plain bytes
}

func (l *Log) releaseForms(f *frame) {
	if f.forms != nil {
		l.chained.release(f.forms.chained)
		l.standalone.release(f.forms.standalone)
		f.forms = nil
	}
}

// compressed returns the form of a frame for a client whose output is unbroken since a position. If the
// form does not exist yet, compressed makes it with appendBlocks and subtracts the frame's length from
// work.
func (l *Log) compressed(number, unbroken uint64, work *int, appendBlocks func(dst, plain, dict []byte) []byte) piece {
	f := l.frames.at(number)
	if f.forms == nil {
		f.forms = &forms{sum: deflate.SumOf(f.plain.content())}
	}
	begin := number - (number-1)%chainLength
	after := max(begin-1, l.frames.floor) // the dictionary is the frames after this position
	// The first frame of a chain has one form for all clients. A frame that is not compressed yet gets
	// the standalone form for all, too, if the earlier frames of its chain have left the log.
	form, memory := &f.forms.chained, &l.chained
	if number != begin && (unbroken >= begin || (form.segment == nil && after+1 == number)) {
		form, memory = &f.forms.standalone, &l.standalone
		after = number - 1
	}
	if form.segment != nil || f.plain.segment == nil {
		return *form
	}
	buffers, ok := scratchPool.Get().(*scratch)
	if !ok {
		buffers = newScratch()
	}
	defer buffers.putBack()
	dict := l.dictionary(buffers.dict[:0], after, number, deflate.Window)
	buffers.dict = dict
	buffers.out = appendBlocks(buffers.out[:0], f.plain.content(), dict)
	*form = memory.store(buffers.out, l.segmentLimit())
	if l.params.Retain && number > l.released {
		l.pinPiece(*form)
	}
	*work -= f.length()
	return *form
}

// dictionary appends the last bytes, at most limit, of the frames after the position after and before
// number.
func (l *Log) dictionary(dst []byte, after, number uint64, limit int) []byte {
	first, skip := number, 0 // skip is how many bytes of the first frame exceed the limit
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

// scratch is the memory that compressing a frame needs.
type scratch struct {
	dict []byte
	out  []byte
}

//nolint:gochecknoglobals // a pool is shared by nature.
var scratchPool sync.Pool

func newScratch() *scratch { return &scratch{dict: make([]byte, 0, deflate.Window)} }

// putBack returns scratch to the pool, without the output of a large frame.
func (d *scratch) putBack() {
	if cap(d.out) > largestSegment {
		d.out = nil
	}
	scratchPool.Put(d)
}
