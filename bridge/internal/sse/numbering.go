package sse

import (
	"bytes"
	"slices"
	"strconv"
)

// Numbering gives the frames of one log their ids, in order. It is used by the
// log's one writer, and is not safe for concurrent use.
//
// The rules are those of docs/resuming.md: a position is written with the
// epoch only while no complete cursor precedes it, and frames are counted from
// the last message that carried the last complete cursor.
type Numbering struct {
	mode  Mode
	epoch string
	// repeats is set where several messages may carry one cursor: it is
	// complete only when another one comes.
	repeats bool
	// own is set where a client without an id has an RPC of its own: as long
	// as that has delivered nothing, opening it anew is the same.
	own  bool
	seq  uint64
	bare bool // nothing has been counted since the log, or a new RPC, began

	// Cursors only. All of it is kept on either kind of route: one whose cursors
	// differ may be found to repeat them.
	complete []byte // the last cursor that another has followed; empty: none
	since    uint64 // frames since the last message that carried it
	open     []byte // the newest cursor, which may come again
	opened   uint64 // frames since the last message that carried that one
}

// NumberingParams say what the ids of a log are.
type NumberingParams struct {
	Mode  Mode
	Epoch string
	// Repeats: several messages may carry the same cursor.
	Repeats bool
	// Own: a client without an id has an RPC of its own, so that a position
	// before the RPC's first message is no id.
	Own bool
	// After is the cursor that the log begins right after, if any.
	After []byte
}

// NewNumbering starts the ids of a log.
func NewNumbering(p NumberingParams) *Numbering {
	return &Numbering{mode: p.Mode, epoch: p.Epoch, repeats: p.Repeats, own: p.Own, bare: true, complete: slices.Clone(p.After)}
}

// Message counts a message with the given cursor; an empty one is none.
func (n *Numbering) Message(cursor []byte) {
	n.seq++
	n.bare = false
	if n.mode != Cursors {
		return
	}
	n.since++
	n.opened++
	if len(cursor) == 0 {
		return
	}
	if len(n.open) > 0 && !bytes.Equal(cursor, n.open) {
		n.complete, n.since = append(n.complete[:0], n.open...), n.opened
	}
	n.open, n.opened = append(n.open[:0], cursor...), 0
}

// Repeat says that several messages may carry one cursor, though that was not known
// when the log began. The ids of frames to come do not say that a cursor is
// complete before another one comes.
func (n *Numbering) Repeat() { n.repeats = true }

// last returns the last complete cursor, and how many frames have come since the
// last message that carried it.
func (n *Numbering) last() (cursor []byte, since uint64) {
	if !n.repeats && len(n.open) > 0 {
		return n.open, n.opened
	}
	return n.complete, n.since
}

// Break counts a gap after which the backend's messages may go on anywhere:
// there is no complete cursor until one comes. A gap takes a place of its own.
// One that stands for a single message is counted by Message.
func (n *Numbering) Break() {
	n.seq++
	n.bare = true
	n.complete, n.since = n.complete[:0], 0
	n.open, n.opened = n.open[:0], 0
}

// Resume returns where an RPC that breaks now can be opened again: at the last
// complete cursor, valid until the next call, with so many frames of what the
// backend then sends already in the log. ok is false where there is none.
func (n *Numbering) Resume() (cursor []byte, since uint64, ok bool) {
	cursor, since = n.last()
	return cursor, since, len(cursor) > 0
}

// AppendID appends the id of the last frame counted; before the first one,
// the log's starting position. It appends nothing on a route without ids.
func (n *Numbering) AppendID(dst []byte) []byte {
	cursor, since := n.last()
	switch {
	case n.mode == None:
		return dst
	case n.mode == Positions:
		return AppendPosition(dst, n.epoch, n.seq)
	case len(cursor) == 0 && n.own && n.bare:
		return append(dst, noID...)
	case len(cursor) == 0:
		return AppendPosition(append(dst, '~'), n.epoch, n.seq)
	}
	dst = AppendCursor(dst, cursor)
	if since > 0 {
		dst = strconv.AppendUint(append(dst, '~'), since, 10)
	}
	return dst
}

// AppendFinal appends the id of the stream's end: a GET with it is answered
// 204, which stops an EventSource. Routes without ids have one too.
func (n *Numbering) AppendFinal(dst []byte) []byte {
	return append(dst, FinalID(string(n.AppendID(nil)))...)
}
