package upstream

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/internal/printable"
)

// Call describes an RPC to make.
type Call struct {
	// Method is "package.Service/Method", with or without a slash before it.
	Method string
	// Request is the request message's bytes. They are not copied and must not change while the RPC
	// runs. Calls may share them.
	Request []byte
	// Base is the request without the parts that change each time the RPC is opened, such as a
	// cursor. If nil, it is Request. RPCs with the same Method and Base count as one when they
	// break connections or fail at an address.
	Base []byte
	// Metadata is sent with the call, in addition to Params.Metadata.
	Metadata metadata.MD
	// Impatient makes the call fail with UNAVAILABLE as soon as no connection is up and an attempt
	// to connect to each address has failed since the call began. Otherwise the call waits for
	// Params.OpenTimeout.
	Impatient bool
	// Replay says that the backend will send many messages at once. The RPC then gets a slot on a
	// separate connection for such RPCs, so that other RPCs' messages do not wait behind its own.
	// It shares a normal connection if Params.Connections is set, or if the backend accepts no
	// further connection.
	Replay bool
	// Movable reports whether the RPC may end with ErrMoved, so that the caller opens it again at
	// an address with fewer RPCs. If nil, it may not. It is called from any goroutine while the RPC
	// runs, if Params.Balance moves RPCs.
	Movable func() bool
}

// Reply is the answer to a unary RPC.
type Reply struct {
	// Wire is the response message's bytes. The caller owns them.
	Wire []byte
	// Header and Trailer are the response's metadata.
	Header, Trailer metadata.MD
}

// Open starts a server-streaming RPC and returns once it has a slot on a connection. The backend's
// response comes later (Stream.Accepted). Open fails with UNAVAILABLE if there is no slot within
// Params.OpenTimeout, with INVALID_ARGUMENT for metadata that cannot be sent, and with the error of
// ctx.
//
// ctx governs the whole RPC: its end cancels the RPC, and its deadline is sent to the backend. The
// caller must close the stream.
func (u *Upstream) Open(ctx context.Context, call Call) (*Stream, error) {
	return u.open(ctx, call, &grpc.StreamDesc{ServerStreams: true})
}

// Invoke makes a unary RPC. If it fails, Reply holds the header and the trailer that arrived.
func (u *Upstream) Invoke(ctx context.Context, call Call) (Reply, error) {
	s, err := u.open(ctx, call, &grpc.StreamDesc{})
	if err != nil {
		return Reply{}, err
	}
	defer s.Close()
	err = s.Accepted()
	if err == nil && !s.pending {
		err = s.receive()
	}
	reply := Reply{Header: s.header, Trailer: s.Trailer()}
	if err != nil {
		return reply, err
	}
	reply.Wire = s.frame.take()
	// grpc-go reads to the end of the RPC before it returns the message.
	reply.Trailer = trailer(s.stream)
	return reply, nil
}

func (u *Upstream) open(ctx context.Context, call Call, desc *grpc.StreamDesc) (*Stream, error) {
	md, err := u.metadata(call.Metadata)
	if err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, u.params.OpenTimeout)
	defer cancel()
	s, err := u.openWithin(ctx, wait, call, md, desc)
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	default:
		return nil, u.unplaced(err)
	}
}

// errLost reports that a connection was lost before an RPC had its stream.
var errLost = errors.New("the connection was lost")

// openWithin opens an RPC that lives as long as ctx. It gives up when wait ends.
func (u *Upstream) openWithin(ctx, wait context.Context, call Call, md metadata.MD, desc *grpc.StreamDesc) (*Stream, error) {
	select {
	case u.opening <- struct{}{}:
		defer func() { <-u.opening }()
	case <-wait.Done():
		return nil, &waitError{what: "no turn, since too many RPCs wait for a place already,"}
	case <-u.closed:
		return nil, errClosed
	}
	for {
		slot, err := u.place(wait, call)
		if err != nil {
			return nil, err
		}
		s, err := u.openAt(ctx, wait, slot, call, md, desc)
		if !errors.Is(err, errLost) {
			return s, err
		}
	}
}

// openAt opens an RPC on its slot's connection. The error is errLost if the connection is lost
// meanwhile.
func (u *Upstream) openAt(ctx, wait context.Context, slot *slot, call Call, md metadata.MD, desc *grpc.StreamDesc) (*Stream, error) {
	rpc, cancel := context.WithCancel(metadata.NewOutgoingContext(ctx, md))
	s := &Stream{upstream: u, cancel: cancel, endReason: endReason(rpc), slot: slot, movable: call.Movable}
	if !u.adopt(s) {
		s.Close()
		return nil, errClosed
	}
	// The transport may still have to wait: for a connection that was just lost, or for a stream
	// whose end the backend has not seen yet.
	disarm := context.AfterFunc(wait, cancel)
	slot.start(cancel)
	var err error
	s.stream, err = slot.cc.NewStream(rpc, desc, "/"+strings.TrimPrefix(call.Method, "/"), u.callOptions()...)
	kept := slot.started()
	switch inTime := disarm(); {
	case !inTime:
		s.Close()
		return nil, &waitError{what: "no stream", cause: err}
	case !kept:
		s.Close()
		return nil, errLost
	}
	if err == nil {
		err = s.send(call.Request)
	}
	if err != nil {
		s.Close()
		e := u.unopened()
		e.headers = true // nothing has answered
		return nil, e.error(err)
	}
	slot.opened(s)
	return s, nil
}

// metadata joins a call's metadata and the upstream's own, which takes precedence.
func (u *Upstream) metadata(call metadata.MD) (metadata.MD, error) {
	md := make(metadata.MD, len(call)+len(u.params.Metadata))
	for key, values := range call {
		key = strings.ToLower(key)
		for _, value := range values {
			if !sendable(key, value) {
				return nil, status.Errorf(codes.InvalidArgument, "metadata %q cannot be sent", printable.Line(key, maxErrorLen))
			}
		}
		md[key] = append(md[key], values...)
	}
	for key, value := range u.params.Metadata {
		if value != "" {
			md.Set(key, value)
		}
	}
	return md, nil
}

// sendable reports whether a pair is valid metadata: the key has only characters that gRPC permits,
// and the value is printable ASCII unless the key is a binary one.
func sendable(key, value string) bool {
	if key == "" {
		return false
	}
	for _, c := range []byte(key) {
		lower, digit := 'a' <= c && c <= 'z', '0' <= c && c <= '9'
		if !lower && !digit && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	if strings.HasSuffix(key, "-bin") {
		return true
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
