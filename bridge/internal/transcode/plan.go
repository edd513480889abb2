package transcode

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Plan is a message type compiled once. It is immutable and may be used by any number of goroutines at once.
type Plan struct {
	name     protoreflect.FullName
	typ      protoreflect.MessageType
	shape    shape
	maxDepth int // never 0
	maxBytes int // 0 is unlimited

	decode  proto.UnmarshalOptions
	marshal protojson.MarshalOptions
	types   Resolver

	id    *idTap   // nil: no id
	event *nameTap // nil: no name
	data  *dataTap // nil: the whole message
}

// Compile checks a message type and its taps and prepares what [Plan.AppendJSON] and [Plan.AppendTapped] need. A tap
// that does not fit is a [*TapError].
func Compile(md protoreflect.MessageDescriptor, opts Options) (*Plan, error) {
	switch {
	case md == nil:
		return nil, errors.New("transcode: no message type")
	case md.IsPlaceholder():
		return nil, fmt.Errorf("transcode: the definition of message %s is missing", md.FullName())
	case opts.MaxDepth < 0 || opts.MaxBytes < 0:
		return nil, fmt.Errorf("transcode: limits must not be negative (depth %d, bytes %d)", opts.MaxDepth, opts.MaxBytes)
	}

	types := opts.Resolver
	if types == nil {
		var err error
		if types, err = closureTypes(md.ParentFile()); err != nil {
			return nil, fmt.Errorf("transcode: message %s: %w", md.FullName(), err)
		}
	}

	plan := &Plan{
		name:     md.FullName(),
		typ:      dynamicpb.NewMessageType(md),
		shape:    shapeOf(md, &opts),
		maxDepth: protowire.DefaultRecursionLimit,
		maxBytes: opts.MaxBytes,
		types:    types,
	}
	if opts.MaxDepth > 0 {
		plan.maxDepth = min(plan.maxDepth, opts.MaxDepth)
	}

	// Required fields are looked for once, after decoding, and only where the type can have any. The library would
	// walk each message twice for them.
	plan.decode = proto.UnmarshalOptions{
		AllowPartial: true, DiscardUnknown: true, Resolver: types, RecursionLimit: plan.maxDepth,
	}
	plan.marshal = protojson.MarshalOptions{
		AllowPartial: true, Resolver: types,
		UseProtoNames: opts.ProtoNames, UseEnumNumbers: opts.EnumNumbers, EmitDefaultValues: opts.EmitDefaults,
	}

	if err := plan.compileTaps(md, &opts.Taps); err != nil {
		return nil, err
	}

	return plan, nil
}

// AppendJSON appends the message's canonical proto3 JSON to dst: compact, and one line. wire is only read, and not kept.
// On an error, an [*Error], dst is returned as it was.
func (p *Plan) AppendJSON(dst, wire []byte) ([]byte, error) {
	msg, err := p.decodeMessage(wire)
	if err != nil {
		return dst, err
	}

	out, err := p.appendMessage(dst, msg, len(wire))
	if err != nil {
		return dst, err
	}

	return out, nil
}

// AppendTapped appends the JSON of the tapped data (the whole message without a data tap) to dst and reads the taps
// into out. On an error, an [*Error], dst is returned as it was and out.Data is nil, while the id and the name are still
// there if they could be read: a message that has to be left out is passed over by its id.
func (p *Plan) AppendTapped(dst, wire []byte, out *Tapped) ([]byte, error) {
	out.reset()

	msg, err := p.decodeMessage(wire)
	if err != nil {
		return dst, err
	}

	if err = p.readTaps(msg, out); err != nil {
		return dst, err
	}

	var printed []byte
	if p.data == nil {
		printed, err = p.appendMessage(dst, msg, len(wire))
	} else {
		printed, err = p.appendPart(dst, msg, len(wire))
	}

	if err != nil {
		return dst, err
	}

	out.Data = slices.Clip(printed[len(dst):])

	return printed, nil
}

// ReadTaps reads the id and the name into out and prints nothing: for a message that is too large to be sent, but whose
// id moves the stream on.
func (p *Plan) ReadTaps(wire []byte, out *Tapped) error {
	out.reset()

	msg, err := p.decodeMessage(wire)
	if err != nil {
		return err
	}

	return p.readTaps(msg, out)
}

// NameConstants lists the event names that are known from the type alone: the members of the tapped oneof, the values of
// the tapped enum, true and false; nil where names come from strings or numbers, or where there are none.
func (p *Plan) NameConstants() []string {
	if p.event == nil {
		return nil
	}

	return p.event.constants()
}

func (p *Plan) failure(kind Kind, detail string) *Error {
	return &Error{Kind: kind, Message: p.name, Detail: detail}
}
