package upstream

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Call is an RPC to make.
type Call struct {
	// Method is "package.Service/Method", with or without a slash before it.
	Method string
	// Request is the request message's bytes. They are not copied and must
	// not be changed as long as the RPC runs; calls may share them.
	Request []byte
	// Base is Request as it is each time that the RPC is opened, without such as a
	// cursor; nil: Request. RPCs with one Method and Base count as one where they
	// break their connections or fail at an address.
	Base []byte
	// Metadata goes with the call, beside Params.Metadata.
	Metadata metadata.MD
	// Impatient has the call fail with UNAVAILABLE as soon as no connection is
	// up and an attempt to connect to each address has failed since it began.
	// Else it waits for Params.OpenTimeout.
	Impatient bool
	// Replay says that the backend has many messages for the RPC at once. It gets its place on a
	// connection for such RPCs, so that the messages of others do not wait behind
	// its own; unless Params.Connections is set, or the backend takes no further connection.
	Replay bool
	// Movable reports whether the RPC may end with ErrMoved, to be opened again
	// where fewer RPCs are; nil: it may not. It is called from any goroutine
	// while the RPC runs, if Params.Balance has RPCs moved.
	Movable func() bool
}

// Reply is what a unary RPC answers.
type Reply struct {
	// Wire is the response message's bytes. They are the caller's.
	Wire []byte
	// Header and Trailer are what came around it.
	Header, Trailer metadata.MD
}

// Open starts a server-streaming RPC and returns when it has its place on a
// connection; what the backend says to it comes later (Stream.Accepted). It
// fails with UNAVAILABLE when there is no place within Params.OpenTimeout, with
// INVALID_ARGUMENT for metadata that cannot be sent, and as ctx does.
//
// ctx governs the whole RPC: its end cancels the RPC, and its deadline is told
// to the backend. The stream must be closed.
func (u *Upstream) Open(ctx context.Context, call Call) (*Stream, error) {
	return u.open(ctx, call, &grpc.StreamDesc{ServerStreams: true})
}

// Invoke makes a unary RPC. On failure, Reply holds the header and the trailer
// as far as they came.
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
	// grpc-go has read to the end of the RPC before it gave out the message.
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

// errLost says that a connection was lost before an RPC had its stream.
var errLost = errors.New("the connection was lost")

// openWithin opens an RPC that lives as long as ctx, if that works out before
// wait ends.
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

// openAt opens an RPC where it is placed. The error is errLost if the connection
// is lost meanwhile.
func (u *Upstream) openAt(ctx, wait context.Context, slot *slot, call Call, md metadata.MD, desc *grpc.StreamDesc) (*Stream, error) {
	rpc, cancel := context.WithCancel(metadata.NewOutgoingContext(ctx, md))
	s := &Stream{upstream: u, cancel: cancel, givenUp: whyOver(rpc), slot: slot, movable: call.Movable}
	if !u.adopt(s) {
		s.Close()
		return nil, errClosed
	}
	// The transport may still have to wait: for a connection that was lost
	// just now, or for a stream that the backend has not seen end yet.
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
		e.headers = true // in any case, nothing has answered
		return nil, e.error(err)
	}
	slot.opened(s)
	return s, nil
}

// metadata joins a call's metadata and the upstream's own, which wins.
func (u *Upstream) metadata(call metadata.MD) (metadata.MD, error) {
	md := make(metadata.MD, len(call)+len(u.params.Metadata))
	for key, values := range call {
		key = strings.ToLower(key)
		for _, value := range values {
			if !sendable(key, value) {
				return nil, status.Errorf(codes.InvalidArgument, "metadata %q cannot be sent", printable(key))
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

// sendable says whether a pair is valid metadata: a key of the characters that
// gRPC has for keys, a value of printable ASCII unless it is a binary one.
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
