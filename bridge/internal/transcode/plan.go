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

	root     *table // the message type
	hooked   *table // the same with hooks for the taps
	nothing  string // what the data tap's field prints as when unset
	anys     anyTypes
	counters counters
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

	plan.anys.compiler = newCompiler(&opts)
	plan.root = plan.anys.compiler.message(md)
	plan.hookTaps()

	return plan, nil
}

// AppendJSON appends the message's canonical proto3 JSON to dst: compact, and one line. wire is only read, and not kept.
// On an error, an [*Error], dst is returned as it was.
func (p *Plan) AppendJSON(dst, wire []byte) ([]byte, error) {
	var r run

	r.start(p, len(dst), wire)

	if out := r.whole(dst, wire, p.root); out != nil {
		r.release()

		return out, nil
	}

	if r.again(len(wire)); r.failure == noFailure {
		if out := r.whole(dst, wire, p.root); out != nil {
			r.release()
			p.counters.reordered.Add(1)

			return out, nil
		}
	}

	r.release()

	if !p.asks(&r, wire, false) {
		return dst, r.verdict()
	}

	p.counters.library[r.failure].Add(1)

	return p.askJSON(dst, wire)
}

// AppendTapped appends the JSON of the tapped data (the whole message without a data tap) to dst and reads the taps
// into out. On an error, an [*Error], dst is returned as it was and out.Data is nil, while the id and the name are still
// there if they could be read: a message that has to be left out is passed over by its id.
func (p *Plan) AppendTapped(dst, wire []byte, out *Tapped) ([]byte, error) {
	out.reset()

	r := run{tapped: out}
	r.start(p, len(dst), wire)

	printed := r.tappedMessage(dst, wire)
	if printed == nil {
		if r.again(len(wire)); r.failure == noFailure {
			if printed = r.tappedMessage(dst, wire); printed != nil {
				out.Path = Reordered
				p.counters.reordered.Add(1)
			}
		}
	}

	r.release()
	out.forget()

	switch {
	case printed != nil:
		out.Data = slices.Clip(printed[len(dst):])

		return printed, nil
	case !p.asks(&r, wire, p.data != nil):
		if r.failure.isLimit() {
			// That the taps cannot be read either is no news.
			_ = p.ReadTaps(wire, out)
		}

		return dst, r.verdict()
	}

	p.counters.library[r.failure].Add(1)
	out.reset()
	out.Path = Library

	return p.askTapped(dst, wire, out)
}

// ReadTaps reads the id and the name into out and prints nothing: for a message that is too large to be sent, but whose
// id moves the stream on. Only what the taps' paths lead through is looked at.
func (p *Plan) ReadTaps(wire []byte, out *Tapped) error {
	out.reset()

	r := run{tapped: out, plan: p, effort: effortFor(len(wire))}
	if p.hooked.enter != nil {
		out.enter(p.hooked.enter)

		if !out.walk(&r, wire, p.hooked) || !r.readTaken(out) {
			out.reset()
		}
	}

	r.release()
	out.forget()

	switch {
	case r.failure == noFailure:
		return nil
	case r.failure.isError():
		return r.verdict()
	default:
		return p.askTaps(wire, out)
	}
}

// IDField returns the field that the id is read from, nil without an id tap.
func (p *Plan) IDField() protoreflect.FieldDescriptor {
	if p.id == nil {
		return nil
	}

	return p.id.field
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
