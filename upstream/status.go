package upstream

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ErrMessageTooLarge is what an RPC ends with when its next message is larger
// than Params.MaxMessageBytes. A backend's own RESOURCE_EXHAUSTED is not it.
var ErrMessageTooLarge = errors.New("the message is larger than the transport's limit")

// ErrMoved is what an RPC ends with, if Call.Movable allows, so that it is opened
// again at an address with fewer RPCs. Its status is CANCELLED, since it was
// ended on this side.
var ErrMoved = status.Error(codes.Canceled, "the RPC is moved to another address of the backend")

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

// ErrForeign is wrapped by the end of an RPC that the backend did not speak
// itself: something answered that is no gRPC server, such as an ingress with a
// page, or the answer was cut off. Its status is UNAVAILABLE. What came instead
// is in Error, for the operator.
var ErrForeign = errors.New("not the backend's own answer")

// ErrAnswered is wrapped by the end of an RPC whose status the backend has sent. Other
// ends are this side's: a backend that is not reached, a deadline, a limit.
var ErrAnswered = errors.New("the backend's own answer")

// answeredError is a status that the backend has sent.
type answeredError struct{ status *status.Status }

func (e *answeredError) Error() string { return e.status.Err().Error() }

// Is reports whether target is ErrAnswered, or a status that equals this one.
func (e *answeredError) Is(target error) bool {
	return target == ErrAnswered || errors.Is(e.status.Err(), target)
}

// GRPCStatus is what the backend has sent.
func (e *answeredError) GRPCStatus() *status.Status { return e.status }

// ErrHeadersTooLarge is what an RPC ends with when its response headers or its
// trailers are larger than 256 KiB.
var ErrHeadersTooLarge = errors.New("the response's headers are larger than the transport's limit")

// foreignError is the cause of an end that the backend did not speak.
type foreignError struct{ error }

func (foreignError) Is(target error) bool { return target == ErrForeign }

func (e foreignError) Unwrap() error { return e.error }

// foreign is an end that the backend did not speak. The words are for
// clients, the cause is for the operator.
func foreign(words string, cause error) error {
	return &rpcError{status: status.New(codes.Unavailable, words), cause: foreignError{clip(cause)}}
}

// The messages of statuses that the backend did not send. They may be read by clients.
const (
	notGRPC    = "the backend was not reached: something answered that is not gRPC"
	proxySpoke = "the backend was not reached: a proxy answered in its place"
	cutOff     = "the backend's answer was cut off"
)

// ending is what is known of an RPC that grpc-go has ended.
type ending struct {
	// read says that the connection has an answerConn; http2 that it is
	// grpc-go's own.
	read, http2 bool
	// mark is answerField in the trailers.
	mark string
	// headers says that the response had some, of gRPC.
	headers bool
	// trailer is what came with the end. In an answer of trailers only the
	// headers are in it.
	trailer metadata.MD
	// over is why the RPC was given up on this side; nil if it was not.
	over error
	// maxBytes is the limit for a message.
	maxBytes int
}

// error turns what grpc-go ends an RPC with into what Next and Accepted return.
//
// Only the trailers tell a backend's status from one that grpc-go made up. Where
// an answerConn has read them they are marked, and the texts of grpc-go do not
// matter. On a ClientConn of the embedder's own, the headers and those texts
// are all there is. In other connections nothing stands between.
func (e ending) error(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	st, ok := status.FromError(err)
	if !ok { // a connection of the embedder's own
		return &rpcError{status: status.New(codes.Unknown, "the RPC failed"), cause: clip(err)}
	}
	if saidByProxy(e.trailer, st) {
		return foreign(proxySpoke, err)
	}
	// An end that grpc-go has put to an RPC itself, such as that for a message
	// that is too large, may come when the trailers have arrived already. A message
	// that is cut off is INTERNAL to it.
	arrived := e.mark != "" && (st.Code() == codes.Unavailable || st.Code() == codes.Internal)
	switch {
	case e.mark == answerOwn+strconv.Itoa(int(int32(st.Code()))): //nolint:gosec // the wire's own int32
		return &answeredError{st}
	case e.mark == answerTooLarge && arrived:
		return headersTooLarge()
	case arrived && !strings.HasPrefix(e.mark, answerOwn):
		if e.over != nil {
			return status.FromContextError(e.over).Err()
		}
		return foreign(cutOff, fmt.Errorf("%s: %w", e.mark, err))
	}
	switch {
	case connectionLost(st):
		return &rpcError{status: status.New(st.Code(), "the connection to the backend was lost"), cause: clip(err)}
	case e.over != nil, !e.http2:
		return e.local(st)
	case streamCut(st) && (!e.read || !e.headers):
		return foreign(cutOff, err)
	case !e.headers:
		return foreign(notGRPC, err)
	case e.read && st.Code() == codes.Unavailable: // in words that are new
		return &rpcError{status: status.New(st.Code(), "the connection to the backend was lost"), cause: clip(err)}
	default:
		return e.local(st)
	}
}

// saidByProxy reports whether a proxy of a service mesh has refused an RPC itself.
// Such a proxy speaks gRPC, so that only what it adds tells its refusal from one of
// the backend's. It refuses while its configuration is being rolled out, and a refusal
// that is taken for the backend's stops a browser for good.
//
// Linkerd names its own errors. Envoy, and so Istio, adds how long the backend took to
// each answer of the backend. A route that Envoy does not have is UNIMPLEMENTED without
// words; its policy for roles has words of its own. What else it says, such as of a
// token that has expired, is about the caller and stays as it is.
func saidByProxy(trailer metadata.MD, st *status.Status) bool {
	if len(trailer.Get("content-type")) == 0 {
		return false // the answer has begun with headers
	}
	if len(trailer.Get("l5d-proxy-error")) > 0 {
		return true
	}
	server := trailer.Get("server")
	if len(server) == 0 || !strings.HasSuffix(server[0], "envoy") || len(trailer.Get("x-envoy-upstream-service-time")) > 0 {
		return false
	}
	switch st.Code() {
	case codes.Unimplemented:
		return st.Message() == ""
	case codes.PermissionDenied:
		return strings.HasPrefix(st.Message(), "RBAC: access denied")
	default:
		return false
	}
}

// local is an end that grpc-go has put to an RPC, or that cannot be told from
// one that the backend has put.
func (e ending) local(st *status.Status) error {
	if st.Code() == codes.ResourceExhausted && (e.read && e.headers && e.over == nil || tooLarge(st.Message(), e.maxBytes)) {
		return &rpcError{status: st, cause: ErrMessageTooLarge}
	}
	if !e.read && e.over == nil {
		return &answeredError{st} // on a connection of the embedder's own
	}
	return st.Err()
}

func headersTooLarge() error {
	st := status.Newf(codes.ResourceExhausted, "the response's headers are larger than %d KiB", maxHeaderBytes>>10)
	return &rpcError{status: st, cause: ErrHeadersTooLarge}
}

// streamCut recognises the statuses that grpc-go makes itself when a stream ends
// without trailers.
func streamCut(st *status.Status) bool {
	return hasAnyPrefix(st.Message(), "stream terminated by RST_STREAM with error code: ", "server closed the stream without sending trailers")
}

// connectionLost recognises the statuses that grpc-go makes itself when a
// connection breaks, and when an RPC's context ends while grpc-go waits for
// another. They name addresses, which are not
// for clients.
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

// tooLarge recognises the statuses that grpc-go makes itself for a message above
// the limit, where only their words tell. A backend that passes on the same
// complaint of a client of its own names other numbers, unless its limit happens
// to be the very same.
func tooLarge(message string, maxBytes int) bool {
	var length, limit int
	n, err := fmt.Sscanf(message, "grpc: received message larger than max (%d vs. %d)", &length, &limit)
	if err == nil && n == 2 && limit == maxBytes && length > limit {
		return true
	}
	return message == fmt.Sprintf("grpc: received message after decompression larger than max %d", maxBytes)
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

// printable makes a text one line of printable characters, and cuts after
// maxErrorLen bytes. A line break is a space: a page or a list of errors stays
// readable.
func printable(s string) string {
	cut := len(s) > maxErrorLen
	if cut {
		s = s[:maxErrorLen]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return '?'
		default:
			return r
		}
	}, s)
	if cut {
		s += "…"
	}
	return s
}
