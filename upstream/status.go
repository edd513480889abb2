package upstream

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrMessageTooLarge is what an RPC ends with when its next message is larger
// than Params.MaxMessageBytes. A backend's own RESOURCE_EXHAUSTED is not it.
var ErrMessageTooLarge = errors.New("the message is larger than the transport's limit")

// errClosed is what calls end with after Close.
var errClosed = status.Error(codes.Canceled, "the upstream is closed")

// waitError says what an RPC waits for in vain.
type waitError struct {
	what  string
	cause error // may be nil
}

func (e *waitError) Error() string {
	if e.cause == nil {
		return e.what
	}
	return e.what + ": " + e.cause.Error()
}

func (e *waitError) Unwrap() error { return e.cause }

// rpcError is a status with something that only its operator should read.
type rpcError struct {
	status *status.Status
	cause  error
}

func (e *rpcError) Error() string { return e.status.Err().Error() + ": " + e.cause.Error() }

// Unwrap is the cause.
func (e *rpcError) Unwrap() error { return e.cause }

// GRPCStatus is what anybody may read: neither addresses nor paths are in it.
func (e *rpcError) GRPCStatus() *status.Status { return e.status }

// unplaced is the error of an RPC that found no place within the open timeout.
func (u *Upstream) unplaced(err error) error {
	var wait *waitError
	if !errors.As(err, &wait) {
		return err
	}
	st := status.Newf(codes.Unavailable, "upstream %s: %s within %v", u.params.Name, wait.what, u.params.OpenTimeout)
	if wait.cause == nil {
		return st.Err()
	}
	return &rpcError{status: st, cause: wait.cause}
}

// ended turns what grpc-go ends an RPC with into what Next and Accepted return.
// maxBytes is the RPC's limit for a message.
func ended(err error, maxBytes int) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	st := status.Convert(err)
	if st.Code() == codes.ResourceExhausted && tooLarge(st.Message(), maxBytes) {
		return &rpcError{status: st, cause: ErrMessageTooLarge}
	}
	if st.Code() == codes.Unavailable && connectionLost(st.Message()) {
		return &rpcError{status: status.New(codes.Unavailable, "the connection to the backend was lost"), cause: clip(err)}
	}
	return st.Err()
}

// connectionLost recognises the statuses that grpc-go makes itself when a
// connection breaks. They name addresses, which are not for everybody.
func connectionLost(message string) bool {
	for _, begin := range []string{
		"error reading from server", "closing transport", "connection error: ", "transport: ", "transport is closing", "the connection is draining",
	} {
		if strings.HasPrefix(message, begin) {
			return true
		}
	}
	return false
}

// tooLarge recognises the status that grpc-go makes itself for a message above
// the limit. grpc-go has no sentinel for it. A backend that passes on the same
// complaint of a client of its own names other numbers, unless its limit happens
// to be the very same.
func tooLarge(message string, maxBytes int) bool {
	var length, limit int
	n, err := fmt.Sscanf(message, "grpc: received message larger than max (%d vs. %d)", &length, &limit)
	return err == nil && n == 2 && limit == maxBytes && length > limit
}

// clip makes an error that may carry bytes of a backend's fit for a log: one
// printable line of bounded length.
func clip(err error) error { return &clipped{err} }

type clipped struct{ err error }

// maxErrorLen is the most that is kept of an error's text.
const maxErrorLen = 512

func (e *clipped) Error() string {
	return printable(e.err.Error())
}

func (e *clipped) Unwrap() error { return e.err }

// printable replaces what is no printable character, and cuts after maxErrorLen
// bytes.
func printable(s string) string {
	cut := len(s) > maxErrorLen
	if cut {
		s = s[:maxErrorLen]
	}
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if cut {
		s += "…"
	}
	return s
}
