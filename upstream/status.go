package upstream

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/internal/printable"
)

// ErrMessageTooLarge is wrapped by the error of an RPC whose next message is larger than
// Params.MaxMessageBytes. A backend's own RESOURCE_EXHAUSTED does not wrap it.
var ErrMessageTooLarge = errors.New("the message is larger than the transport's limit")

// ErrMoved ends an RPC so that the caller opens it again at an address with fewer RPCs, if
// Call.Movable allows. Its status is CANCELLED, since this side ended the RPC.
var ErrMoved = status.Error(codes.Canceled, "the RPC is moved to another address of the backend")

// errClosed is the error of calls after Close.
var errClosed = status.Error(codes.Canceled, "the upstream is closed")

// waitError reports what an RPC waited for without success.
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

// rpcError is a status with a cause that only the operator should read.
type rpcError struct {
	status *status.Status
	cause  error
}

func (e *rpcError) Error() string { return e.status.Err().Error() + ": " + e.cause.Error() }

// Unwrap returns the cause.
func (e *rpcError) Unwrap() error { return e.cause }

// GRPCStatus returns the public status, without addresses and paths.
func (e *rpcError) GRPCStatus() *status.Status { return e.status }

// prefixedError adds a prefix to an error's text and to its status message. An error that
// fmt.Errorf wraps has its whole text as the status message.
type prefixedError struct {
	prefix string
	err    error
}

func (e *prefixedError) Error() string { return e.prefix + ": " + e.err.Error() }

// Unwrap returns the error without the prefix.
func (e *prefixedError) Unwrap() error { return e.err }

// GRPCStatus returns the public status.
func (e *prefixedError) GRPCStatus() *status.Status {
	st := status.Convert(e.err)
	return status.New(st.Code(), e.prefix+": "+st.Message())
}

// unplaced returns the error of an RPC that found no slot within the open timeout.
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

// ErrForeign is wrapped by the error of an RPC that the backend did not answer itself: an ingress
// answered with a page, for example, or the answer was cut off. Its status is UNAVAILABLE. Error()
// describes the answer for the operator.
var ErrForeign = errors.New("not the backend's own answer")

// ErrAnswered is wrapped by the error of an RPC whose status the backend has sent. Other errors
// come from this side: the backend was not reached, a deadline passed, or a limit was exceeded.
var ErrAnswered = errors.New("the backend's own answer")

// answeredError is a status that the backend has sent. It is ErrAnswered.
type answeredError struct{ status *status.Status }

func (e *answeredError) Error() string { return e.status.Err().Error() }

// Is reports whether target is ErrAnswered, or a status that equals this one.
func (e *answeredError) Is(target error) bool {
	return target == ErrAnswered || errors.Is(e.status.Err(), target)
}

// GRPCStatus returns the backend's status.
func (e *answeredError) GRPCStatus() *status.Status { return e.status }

// ErrHeadersTooLarge is wrapped by the error of an RPC whose response headers or trailers are
// larger than 256 KiB.
var ErrHeadersTooLarge = errors.New("the response's headers are larger than the transport's limit")

// foreignError is the cause of an error that wraps ErrForeign.
type foreignError struct{ error }

func (foreignError) Is(target error) bool { return target == ErrForeign }

func (e foreignError) Unwrap() error { return e.error }

// foreign returns an error that wraps ErrForeign. words are for clients, cause is for the operator.
func foreign(words string, cause error) error {
	return &rpcError{status: status.New(codes.Unavailable, words), cause: foreignError{clip(cause)}}
}

// The messages of statuses that the backend did not send. Clients may read them.
const (
	notGRPC       = "the backend was not reached: something answered that is not gRPC"
	proxyAnswered = "the backend was not reached: a proxy answered in its place"
	cutOff        = "the backend's answer was cut off"
)

// ending describes an RPC that grpc-go has ended.
type ending struct {
	// read is set if the connection has an answerConn, http2 if it is grpc-go's own.
	read, http2 bool
	// mark is the value of answerField in the trailers.
	mark string
	// headers is set if the response had gRPC headers.
	headers bool
	// trailer is the metadata of the end. In a trailers-only answer it includes the headers.
	trailer metadata.MD
	// localEnd is the reason why this side ended the RPC; nil if it did not.
	localEnd error
	// maxBytes is the limit of a message.
	maxBytes int
}

// error turns grpc-go's error into the error that Next and Accepted return.
//
// Only the trailers distinguish a backend's status from one that grpc-go made up. If an answerConn
// has read them they carry a mark, and grpc-go's texts do not matter. On a ClientConn of the
// embedder, only the headers and those texts are available. Other connections, such as in-process
// ones, bypass HTTP/2: every status is the backend's.
func (e ending) error(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	st, ok := status.FromError(err)
	if !ok { // a connection of the embedder's own
		return &rpcError{status: status.New(codes.Unknown, "the RPC failed"), cause: clip(err)}
	}
	if refusedByProxy(e.trailer, st) {
		return foreign(proxyAnswered, err)
	}
	// grpc-go may end an RPC itself, because of a too large message for example, after the trailers
	// have already arrived. For a truncated message it makes up INTERNAL.
	arrived := e.mark != "" && (st.Code() == codes.Unavailable || st.Code() == codes.Internal)
	switch {
	case e.mark == answerOwn+strconv.Itoa(int(int32(st.Code()))): //nolint:gosec // the wire's own int32
		return &answeredError{st}
	case e.mark == answerTooLarge && arrived:
		return headersTooLarge()
	case arrived && !strings.HasPrefix(e.mark, answerOwn):
		if e.localEnd != nil {
			return status.FromContextError(e.localEnd).Err()
		}
		return foreign(cutOff, fmt.Errorf("%s: %w", e.mark, err))
	}
	switch {
	case connectionLost(st):
		return &rpcError{status: status.New(st.Code(), "the connection to the backend was lost"), cause: clip(err)}
	case e.localEnd != nil, !e.http2:
		return e.local(st)
	case streamCut(st) && (!e.read || !e.headers):
		return foreign(cutOff, err)
	case !e.headers:
		return foreign(notGRPC, err)
	case e.read && st.Code() == codes.Unavailable: // an unknown text of grpc-go's
		return &rpcError{status: status.New(st.Code(), "the connection to the backend was lost"), cause: clip(err)}
	default:
		return e.local(st)
	}
}

// refusedByProxy reports whether a proxy of a service mesh has refused an RPC itself. Such a proxy
// speaks gRPC, so only the metadata that it adds distinguishes its refusal from the backend's. It
// refuses while its configuration is being rolled out, and a refusal that the bridge takes for the
// backend's stops a browser permanently.
//
// Linkerd marks its own errors. Envoy, and so Istio, adds the backend's response time to each
// answer of the backend. Envoy's answer to an unknown route is UNIMPLEMENTED without a message, and
// its RBAC policy has a message of its own. Its other refusals, such as that of an expired token,
// concern the caller and pass unchanged.
func refusedByProxy(trailer metadata.MD, st *status.Status) bool {
	if len(trailer.Get("content-type")) == 0 {
		return false // the answer began with headers
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

// local returns the error of an RPC that grpc-go ended, or whose end may be either grpc-go's or the
// backend's.
func (e ending) local(st *status.Status) error {
	if st.Code() == codes.ResourceExhausted && (e.read && e.headers && e.localEnd == nil || tooLarge(st.Message(), e.maxBytes)) {
		return &rpcError{status: st, cause: ErrMessageTooLarge}
	}
	if !e.read && e.localEnd == nil {
		return &answeredError{st} // on a connection of the embedder's own
	}
	return st.Err()
}

func headersTooLarge() error {
	st := status.Newf(codes.ResourceExhausted, "the response's headers are larger than %d KiB", maxHeaderBytes>>10)
	return &rpcError{status: st, cause: ErrHeadersTooLarge}
}

// streamCut recognises the statuses that grpc-go makes up when a stream ends without trailers.
func streamCut(st *status.Status) bool {
	return hasAnyPrefix(st.Message(), "stream terminated by RST_STREAM with error code: ", "server closed the stream without sending trailers")
}

// connectionLost recognises the statuses that grpc-go makes up when a connection breaks, and when
// an RPC's context ends while grpc-go waits for another connection. They name addresses, which
// clients must not learn.
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

// tooLarge recognises by their text the statuses that grpc-go makes up for a message above the
// limit. A backend that passes on the same complaint of its own client names other numbers, unless
// its limit is the very same.
func tooLarge(message string, maxBytes int) bool {
	var length, limit int
	n, err := fmt.Sscanf(message, "grpc: received message larger than max (%d vs. %d)", &length, &limit)
	if err == nil && n == 2 && limit == maxBytes && length > limit {
		return true
	}
	return message == fmt.Sprintf("grpc: received message after decompression larger than max %d", maxBytes)
}

// clip makes an error that may carry a backend's bytes fit for a log: one printable line of bounded
// length.
func clip(err error) error { return &clipped{err} }

type clipped struct{ err error }

// maxErrorLen is the most that clip keeps of an error's text.
const maxErrorLen = 512

func (e *clipped) Error() string {
	return printable.Line(e.err.Error(), maxErrorLen)
}

func (e *clipped) Unwrap() error { return e.err }
