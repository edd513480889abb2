package sse

import (
	"bytes"
	"slices"
	"strconv"
)

// Numbering gives the frames of one log their ids, in order. It belongs to the log's writer and is not safe
// for concurrent use.
//
// The rules are in docs/resuming.md. An id is a position with the epoch only as long as no complete cursor
// precedes it; after that, frames are counted from the last message with the last complete cursor. A cursor
// is complete when no more messages can carry it.
type Numbering struct {
	mode  Mode
	epoch string
	// repeats is set if several messages may carry one cursor. A cursor is then complete only when a
	// different one follows.
	repeats bool
	// own is set if a client without an id gets an RPC of its own. Until that RPC has delivered
	// something, its client has no id: a new RPC is as good.
	own   bool
	seq   uint64
	fresh bool // nothing has been counted since the log began or since the last Break

	// For the mode Cursors only. Both cursors are maintained even without repeats, since Repeat may
	// be called later.
	complete      []byte // the last cursor that a different one has followed; may be empty
	sinceComplete uint64 // frames after the last message with it
	newest        []byte // the newest cursor
	sinceNewest   uint64 // frames after the last message with it
}

// NumberingParams describe the ids of a log.
type NumberingParams struct {
	Mode  Mode
	Epoch string
	// Repeats is set if several messages may carry the same cursor.
	Repeats bool
	// Own is set if a client without an id gets an RPC of its own. The position before that RPC's
	// first message is then NoID.
	Own bool
	// After is the cursor right after which the log begins; it may be empty.
	After []byte
}

// NewNumbering starts the ids of a log.
func NewNumbering(p NumberingParams) *Numbering {
	return &Numbering{mode: p.Mode, epoch: p.Epoch, repeats: p.Repeats, own: p.Own, fresh: true, complete: slices.Clone(p.After)}
}

// Message counts a message. cursor is empty if the message has none.
func (n *Numbering) Message(cursor []byte) {
	n.seq++
	n.fresh = false
	if n.mode != Cursors {
		return
	}
	n.sinceComplete++
	n.sinceNewest++
	if len(cursor) == 0 {
		return
	}
	if len(n.newest) > 0 && !bytes.Equal(cursor, n.newest) {
		n.complete, n.sinceComplete = append(n.complete[:0], n.newest...), n.sinceNewest
	}
	n.newest, n.sinceNewest = append(n.newest[:0], cursor...), 0
}

// Repeat sets that several messages may carry one cursor, if that is found after the log has begun. From
// then on ids do not rely on a cursor before a different one has followed.
func (n *Numbering) Repeat() { n.repeats = true }

// last returns the last complete cursor, and the number of frames after the last message with it.
func (n *Numbering) last() (cursor []byte, since uint64) {
	if !n.repeats && len(n.newest) > 0 {
		return n.newest, n.sinceNewest
	}
	return n.complete, n.sinceComplete
}

// Break counts a gap after which the backend's messages may continue anywhere: no cursor is complete until
// another one comes. The gap has a number like a frame. A gap in place of a single message is counted by
// Message.
func (n *Numbering) Break() {
	n.seq++
	n.fresh = true
	n.complete, n.sinceComplete = n.complete[:0], 0
	n.newest, n.sinceNewest = n.newest[:0], 0
}

// Resume returns the cursor at which the RPC can be reopened, valid until the next call. since is the number
// of frames after it that the log already has, which the backend will send again. ok is false if there is no
// such cursor.
func (n *Numbering) Resume() (cursor []byte, since uint64, ok bool) {
	cursor, since = n.last()
	return cursor, since, len(cursor) > 0
}

// AppendID appends the id of the last frame counted, or of the log's start before the first frame. On a
// route without ids it appends nothing.
func (n *Numbering) AppendID(dst []byte) []byte {
	cursor, since := n.last()
	switch {
	case n.mode == None:
		return dst
	case n.mode == Positions:
		return AppendPosition(dst, n.epoch, n.seq)
	case len(cursor) == 0 && n.own && n.fresh:
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

// AppendFinal appends the id of the stream's end, see FinalID. Routes without ids have one too.
func (n *Numbering) AppendFinal(dst []byte) []byte {
	return append(dst, FinalID(string(n.AppendID(nil)))...)
}
