package sse

import "strconv"

// Numbering gives the frames of one log their ids, in order. It is used by the
// log's one writer, and is not safe for concurrent use.
//
// The rules are those of docs/resuming: a position is written with the
// epoch only while no cursor precedes it, and frames without a cursor are
// counted from the last message that carried one.
type Numbering struct {
	mode  Mode
	epoch string
	seq   uint64

	// Cursors only: the last complete cursor, escaped, and how many frames
	// have come since the last message that carried it.
	cursor []byte
	since  uint64
}

// NewNumbering starts the ids of the log with the given epoch.
func NewNumbering(mode Mode, epoch string) *Numbering {
	return &Numbering{mode: mode, epoch: epoch}
}

// Message counts a message with the given cursor; an empty one is none.
func (n *Numbering) Message(cursor []byte) {
	n.seq++
	if n.mode != Cursors {
		return
	}
	if len(cursor) == 0 {
		n.since++
		return
	}
	n.cursor = AppendCursor(n.cursor[:0], cursor)
	n.since = 0
}

// Break counts a gap after which the backend's messages may go on anywhere:
// there is no complete cursor until one comes. A gap takes a place of its own.
// One that stands for a single message is counted by Message.
func (n *Numbering) Break() {
	n.seq++
	n.cursor, n.since = n.cursor[:0], 0
}

// AppendID appends the id of the last frame counted; before the first one,
// the log's starting position. It appends nothing on a route without ids.
func (n *Numbering) AppendID(dst []byte) []byte {
	switch {
	case n.mode == None:
		return dst
	case n.mode == Positions:
		return AppendPosition(dst, n.epoch, n.seq)
	case len(n.cursor) == 0:
		return AppendPosition(append(dst, '~'), n.epoch, n.seq)
	}
	dst = append(dst, n.cursor...)
	if n.since > 0 {
		dst = strconv.AppendUint(append(dst, '~'), n.since, 10)
	}
	return dst
}

// AppendFinal appends the id of the stream's end: a GET with it is answered
// 204, which stops an EventSource. Routes without ids have one too.
func (n *Numbering) AppendFinal(dst []byte) []byte {
	return append(n.AppendID(dst), finalMark...)
}

// Seq returns the number of frames counted.
func (n *Numbering) Seq() uint64 { return n.seq }
