package topic

import (
	"context"

	"github.com/ssebridge/ssebridge/bridge/internal/reason"
)

// Source opens the RPC of a topic. The pump is its only caller.
type Source interface {
	// Open returns when the RPC has its place on a connection. The RPC begins at a cursor or, with
	// none, where the request says. The context ends the RPC, not only the opening.
	Open(ctx context.Context, cursor []byte) (Stream, error)
}

// Stream is an RPC that was opened. The pump calls one method at a time.
type Stream interface {
	// Accepted waits until the backend has answered with headers, or returns the error with which
	// the RPC ended, io.EOF for OK.
	Accepted() error
	// Next waits for a message and calls the function with its bytes, which are valid during the
	// call. It returns io.EOF when the RPC ended with OK, the RPC's error, or the function's.
	Next(message func(wire []byte) error) error
	// Close ends the RPC.
	Close()
}

// Renderer makes the frames of one log, in order, and knows their ids. The pump
// calls one method at a time. Results are valid until the next call.
//
//nolint:interfacebloat // one type fills it, and no caller needs a part of it
type Renderer interface {
	// Read reads a message. An error says that it has no JSON. Nothing is counted yet.
	Read(ctx context.Context, wire []byte) (Message, error)
	// Event counts the message that was read and renders it.
	Event() (frame []byte, id string)
	// Gap renders a stream-gap, which has a position of its own. A gap for a message that has no
	// JSON takes that message's position; after any other gap there is no cursor to resume at.
	Gap(why reason.Gap) (frame []byte, id string)
	// End renders the last frame; err is nil if the RPC ended with OK.
	End(err error) (frame []byte, id string)
	// Release says that the message that was read, and what was returned for it, are not used any
	// more. It follows each Read.
	Release()
	// Resume returns the cursor at which an RPC that breaks now can be reopened, and how many of
	// the messages that follow the cursor are in the log already. ok is false if there is none.
	Resume() (cursor []byte, since uint64, ok bool)
}

// Message is what the pump needs to know of a message.
type Message struct {
	// Cursor is the message's cursor; empty: it has none.
	Cursor []byte
	// Expired: the message is no event but says that the cursor is too old. It counts only before
	// the first message with a cursor.
	Expired bool
}

// Cursors are the rules of a route whose RPCs can be opened at a cursor.
type Cursors struct {
	// Inclusive: the backend sends the cursor's own message again.
	Inclusive bool
	// Repeats: several messages may carry one cursor.
	Repeats bool
	// Repeating reports whether messages with one cursor were seen although Repeats is false; nil
	// reports false.
	Repeating func() bool
	// NotAfter reports whether a cursor does not come after another; nil: cursors have no order. It
	// is not called where RPCs differ in their order.
	NotAfter func(cursor, other []byte) bool
	// Expired reports whether the error of an RPC that was opened at a cursor, and has sent no
	// message with one, says that the cursor is too old.
	Expired func(error) bool
}

// Verdict says what the end of an RPC means to a topic.
type Verdict int

// The verdicts.
const (
	// Hold: the RPC is reopened. Clients notice nothing, or a gap.
	Hold Verdict = iota
	// Again: as Hold, but at once, and not a failure: the bridge ended the RPC to open it
	// elsewhere.
	Again
	// Retry: clients are asked to reconnect.
	Retry
	// Flaky: as Retry, but Fatal after flakyOpens failed openings in a row.
	Flaky
	// Fatal: the stream has failed forever.
	Fatal
)

// flakyOpens is how many openings in a row may fail with an error that may be a bug of the backend
// or a transient fault.
const flakyOpens = 5
