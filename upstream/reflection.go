package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// reflectionTimeout bounds one reading of a schema, excluding the wait for a connection.
const reflectionTimeout = 10 * time.Second

// errNoReflection names the remedy for a backend without reflection.
var errNoReflection = errors.New("have it serve reflection, or give the upstream schema: {descriptor_set: FILE} or schema: {proto: {files: [FILE]}}")

// ErrDescriptors is wrapped by the errors of a backend whose reflection returns unusable
// descriptors. It would return the same if it were asked again.
var ErrDescriptors = errors.New("the backend's descriptors cannot be used")

// reading is the result of reading a backend's schema once.
type reading struct {
	schema     *Schema
	generation uint64                  // of the connection that was used
	absent     []protoreflect.FullName // the wanted types that the backend does not know
	misfit     []string                // services whose files contradict those of others
}

// readSchema reads the backend's services and the wanted message types.
func (u *Upstream) readSchema(ctx context.Context, wanted []protoreflect.FullName) (r reading, err error) {
	wait, cancel := context.WithTimeout(ctx, u.params.OpenTimeout)
	slot, err := u.placeReading(wait)
	cancel()
	if err != nil {
		return r, u.unplaced(err)
	}
	defer slot.release()
	r.generation = slot.generation

	md, err := u.metadata(nil)
	if err != nil {
		return r, err
	}
	ctx, cancel = context.WithTimeout(metadata.NewOutgoingContext(ctx, md), cmp.Or(u.params.reflectionTimeout, reflectionTimeout))
	defer cancel()
	reader := u.newSchemaReader(ctx, slot)
	defer reader.close()
	defer func() {
		// protodesc checks descriptors before their use. Still, the backend sends them, and a
		// backend must not be able to end the bridge.
		if p := recover(); p != nil {
			err = reflectionError(fmt.Errorf("the backend's descriptors are broken: %v", p))
		}
	}()
	r.schema, r.absent, err = reader.read(wanted, u.schema.want)
	r.misfit = reader.misfit
	return r, reflectionError(err)
}

// placeReading finds a connection for an RPC that reads the schema.
func (u *Upstream) placeReading(ctx context.Context) (*slot, error) {
	if u.pool == nil {
		return &slot{cc: u.params.Conn}, nil
	}
	return u.pool.placeNewest(ctx)
}

// undescribed reports whether the backend answered, but cannot describe the requested name or
// describes it wrongly. Any other failure may be temporary: the reading fails and is retried, and
// the last schema stays. Otherwise its routes would answer 501.
func undescribed(err error) bool {
	if errors.Is(err, errReflectionLimit) {
		return false
	}
	code := status.Code(err)
	return !isOfRPC(err) || code == codes.NotFound || code == codes.Unimplemented
}

// fatal reports whether the whole reading has failed, not just the lookup of one name.
func fatal(err error) bool {
	if errors.Is(err, errReflectionLimit) {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		return true
	default:
		return false
	}
}

// reflectionError adds the meaning of an error of the reflection RPC.
func reflectionError(err error) error {
	switch {
	case err == nil:
		return nil
	case status.Code(err) == codes.Unimplemented:
		return &rpcError{status: status.New(codes.Unimplemented, "reflection is not served by the backend"), cause: errNoReflection}
	case status.Code(err) == codes.Unknown && !isOfRPC(err):
		return &rpcError{status: status.New(codes.Unavailable, "the backend's schema could not be read"), cause: descriptorsError{clip(err)}}
	case status.Code(err) == codes.Unknown:
		return &rpcError{status: status.New(codes.Unavailable, "the backend's schema could not be read by reflection"), cause: clip(err)}
	default:
		return &rpcError{
			status: status.New(status.Code(err), "the backend's schema could not be read by reflection"),
			cause:  clip(err),
		}
	}
}

// isOfRPC reports whether err is the end of an RPC or the backend's answer in it.
func isOfRPC(err error) bool {
	_, ok := status.FromError(err)
	return ok
}

// descriptorsError is the cause of an error about descriptors. It is ErrDescriptors.
type descriptorsError struct{ error }

func (descriptorsError) Is(target error) bool { return target == ErrDescriptors }

func (e descriptorsError) Unwrap() error { return e.error }

// guardedConn is the connection of a reflection client. The guard checks each response.
type guardedConn struct {
	upstream *Upstream
	slot     *slot
	guard    *reflectionGuard
	cancel   context.CancelFunc // ends the newest stream; nil before the first
}

// Invoke fails: reflection has no unary RPC.
func (*guardedConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.Unimplemented, "reflection has no unary RPC")
}

// NewStream opens a reflection stream.
func (c *guardedConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	opts = append(opts, grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(c.upstream.params.MaxMessageBytes))
	if c.guard.err != nil {
		return nil, c.guard.err
	}
	if known := c.guard.usage.method; known != "" && method != known {
		return nil, status.Error(codes.Unimplemented, "the backend has answered in the other version of reflection")
	}
	c.giveUp()
	ctx, c.cancel = context.WithCancel(ctx)
	stream, err := c.slot.cc.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &guardedStream{ClientStream: stream, upstream: c.upstream, slot: c.slot, guard: c.guard, method: method, endReason: endReason(ctx)}, nil
}

// giveUp ends the newest stream.
func (c *guardedConn) giveUp() {
	if c.cancel != nil {
		c.cancel()
	}
}

type guardedStream struct {
	grpc.ClientStream

	upstream   *Upstream
	slot       *slot
	guard      *reflectionGuard
	method     string
	endReason  func() error
	begun      bool // headers have arrived
	gotMessage bool // a response has arrived
}

// RecvMsg receives a response and lets the guard check it. The client acts on the code of an error:
// UNIMPLEMENTED makes it try the other version. So only the backend's own UNIMPLEMENTED may reach
// it.
func (s *guardedStream) RecvMsg(m any) error {
	if !s.begun {
		s.begun = true
		if header, err := s.Header(); err == nil && s.upstream.tooLarge(header) {
			return headersTooLarge()
		}
	}
	if err := s.ClientStream.RecvMsg(m); err != nil {
		e := s.upstream.ending(s.ClientStream, s.endReason())
		err = e.error(err)
		s.slot.note(e, err, s.gotMessage)
		s.guard.broke(err)
		return err
	}
	if !s.gotMessage {
		s.gotMessage = true
		s.slot.worked()
	}
	s.guard.usage.method = s.method
	return s.guard.admit(m)
}
