package topic

import "context"

// Source opens the RPC of a topic. The pump is its only caller.
type Source interface {
	// Open returns when the RPC has its place on a connection. The context
	// ends the RPC, not only the opening.
	Open(ctx context.Context) (Stream, error)
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

// Renderer makes the frames of one log, in order, and knows their ids. The
// pump calls one method at a time. Frames are valid until the next call.
type Renderer interface {
	// Message renders one upstream message. An error says that it cannot be
	// shown; it has then not been counted.
	Message(ctx context.Context, wire []byte) (frame []byte, id string, err error)
	// Gap renders a stream-gap with a place of its own.
	Gap(reason string) (frame []byte, id string)
	// End renders the last frame: err is nil where the RPC ended with OK.
	End(err error) (frame []byte, id string)
}

// The reasons of gaps that the pump itself finds.
const (
	gapUpstream       = "upstream"
	gapUntranscodable = "untranscodable"
)

// Verdict says what the end of an RPC means to a topic.
type Verdict int

// The verdicts.
const (
	// Hold: before its first message, the RPC is opened again and clients
	// notice nothing; after it, as Retry.
	Hold Verdict = iota
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
