package upstream

import (
	"errors"
	"fmt"
	"io"
	"slices"
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

// prefixedError is an error with a status, and words before both its text and
// its status's message. What fmt.Errorf wraps has the whole text for a message.
type prefixedError struct {
	prefix string
	err    error
}

func (e *prefixedError) Error() string { return e.prefix + ": " + e.err.Error() }

// Unwrap is the error without the words.
func (e *prefixedError) Unwrap() error { return e.err }

// GRPCStatus is what anybody may read.
func (e *prefixedError) GRPCStatus() *status.Status {
	st := status.Convert(e.err)
	return status.New(st.Code(), e.prefix+": "+st.Message())
}

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
	st, ok := status.FromError(err)
	if !ok { // a connection of the embedder's own
		return &rpcError{status: status.New(codes.Unknown, "the RPC failed"), cause: clip(err)}
	}
	if st.Code() == codes.ResourceExhausted && tooLarge(st.Message(), maxBytes) {
		return &rpcError{status: st, cause: ErrMessageTooLarge}
	}
	if connectionLost(st) {
		return &rpcError{status: status.New(st.Code(), "the connection to the backend was lost"), cause: clip(err)}
	}
	return st.Err()
}

// connectionLost recognises the statuses that grpc-go makes itself when a
// connection breaks, and when an RPC's context ends while grpc-go waits for
// another. They name addresses, which are not for everybody.
func connectionLost(st *status.Status) bool {
	switch st.Code() {
	case codes.Unavailable:
		return hasAnyPrefix(st.Message(),
			"error reading from server", "error reading server preface", "closing transport", "closing connection",
			"connection error: ", "transport: ", "transport is closing", "the connection is draining")
	case codes.Canceled, codes.DeadlineExceeded:
		return strings.HasPrefix(st.Message(), "latest balancer error: ")
	default:
		return false
	}
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(s, prefix) })
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
