package topic

import (
	"context"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// Source opens the RPC of a topic. The pump is its only caller.
type Source interface {
	// Open returns when the RPC has its place on a connection: at a cursor of
	// the backend's, or, with none, where the request itself says. The context
	// ends the RPC, not only the opening.
	Open(ctx context.Context, cursor []byte) (Stream, error)
}

// Stream is an RPC under way. The pump calls one method at a time.
type Stream interface {
	// Accepted waits until the backend has answered with headers, or returns
	// the error that the RPC ended with, io.EOF for OK.
	Accepted() error
	// Next waits for a message and hands its bytes over, borrowed for the
	// call. It returns io.EOF when the RPC ended with OK, the RPC's error, or
	// the one of the function.
	Next(message func(wire []byte) error) error
	// Close ends the RPC.
	Close()
}

// Renderer makes the frames of one log, in order, and knows their ids. The pump
// calls one method at a time. Results are valid until the next call.
//
//nolint:interfacebloat // one type fills it, and no caller needs a part of it
type Renderer interface {
	// Read reads an upstream message. An error says that it cannot be shown.
	// Nothing is counted yet.
	Read(ctx context.Context, wire []byte) (Message, error)
	// Event counts the message that was read and renders it.
	Event() (frame []byte, id string)
	// Gap renders a stream-gap with a place of its own. One for a message that
	// cannot be shown counts in that message's place; after any other, there
	// is no cursor to resume at.
	Gap(why reason.Gap) (frame []byte, id string)
	// End renders the last frame: err is nil where the RPC ended with OK.
	End(err error) (frame []byte, id string)
	// Release says that the message that was read is done with, and what was
	// returned for it too. It follows each Read.
	Release()
	// Resume returns the cursor at which an RPC that breaks now can be opened
	// again, and how many of the messages that then come are in the log
	// already. ok is false where there is none.
	Resume() (cursor []byte, since uint64, ok bool)
}

// Message is what the pump needs to know of a message.
type Message struct {
	// Cursor is where the message stands; empty: it carries none.
	Cursor []byte
	// Expired says that the message is no event but the backend's word that
	// the cursor is too old. It counts up to the first message with a cursor.
	Expired bool
}

// Cursors are the rules of a route whose RPCs can be opened at a cursor.
type Cursors struct {
	// Inclusive: the backend sends the cursor's own message again.
	Inclusive bool
	// Repeats: several messages may carry one cursor.
	Repeats bool
	// Repeating reports whether messages have been found to do so where Repeats is
	// false; nil: that is not looked for.
	Repeating func() bool
	// NotAfter reports whether a cursor does not come after another, for
	// cursors that have an order of their own; nil for others. It is not asked
	// where RPCs differ in their order.
	NotAfter func(cursor, other []byte) bool
	// Expired reports whether the error of an RPC that was opened at a cursor, and
	// has sent none, says that it is too old.
	Expired func(error) bool
}

// Verdict says what the end of an RPC means to a topic.
type Verdict int

// The verdicts.
const (
	// Hold: the RPC is opened again and clients notice nothing, or a gap.
	Hold Verdict = iota
	// Again: as Hold, at once, and no failure: the RPC was ended on this side to
	// be opened elsewhere.
	Again
	// Retry: clients are told to come back.
	Retry
	// Flaky: as Retry, but after flakyOpens failed openings in a row, Fatal.
	Flaky
	// Fatal: the stream has failed for good.
	Fatal
)

// flakyOpens is how many openings in a row may fail with an error that may be
// the backend's bug as well as a passing fault.
const flakyOpens = 5
