package ssetest

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Mode selects the rules for a route's stream.
type Mode struct {
	// IDs is true for a route with ids: the first block is stream-open or stream-gap, and each message
	// has an id.
	IDs bool
	// Literals are data values that are not JSON, such as "[DONE]".
	Literals []string
	// OnHeartbeat, if set, is called for each heartbeat comment by the reading goroutine.
	OnHeartbeat func()
}

// Reader reads a stream by the standard and checks it against ssebridge's wire contract. One goroutine
// may use it.
type Reader struct {
	parser   *Parser
	contract *contract
	err      error // the error that Next returns again
}

// NewReader returns a reader of one response body.
func NewReader(r io.Reader, mode Mode) *Reader {
	reader := &Reader{parser: NewParser(r), contract: &contract{mode: mode}}
	reader.parser.check = reader.contract.line
	return reader
}

// LastEventID returns the Last-Event-ID of a client whose connection is lost now.
func (r *Reader) LastEventID() string { return r.parser.LastEventID() }

// ReconnectionTime returns the newest retry, and whether there was one.
func (r *Reader) ReconnectionTime() (time.Duration, bool) { return r.parser.ReconnectionTime() }

// Next returns the next event. Once it has returned an error it returns the same error again: io.EOF
// after a clean end that the contract allows; io.ErrUnexpectedEOF, wrapped with the cause, after a cut;
// a [*Violation] at the first violation.
func (r *Reader) Next() (Event, error) {
	if r.err != nil {
		return Event{}, r.err
	}

	event, err := r.parser.Next()
	if err == nil {
		err = r.contract.agrees(event)
	}

	if err != nil {
		r.err = r.ending(err)
		return Event{}, r.err
	}
	return event, nil
}

// ending distinguishes the ways in which a stream ends.
func (r *Reader) ending(err error) error {
	if _, ok := errors.AsType[*Violation](err); ok || errors.Is(err, errLongLine) {
		return err
	}

	switch {
	case err == io.EOF: //nolint:errorlint // exactly io.EOF is the clean end; a reader that wraps it means something else
		return r.contract.end()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("ssetest: the stream was cut: %w", err)
	default:
		return fmt.Errorf("ssetest: the stream was cut: %w: %w", io.ErrUnexpectedEOF, err)
	}
}
