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

// Plan is a message type compiled once. It is immutable and safe for concurrent use.
type Plan struct {
	name     protoreflect.FullName
	typ      protoreflect.MessageType
	shape    shape
	maxDepth int // never 0
	maxBytes int // 0 is unlimited

	decode  proto.UnmarshalOptions
	marshal protojson.MarshalOptions
	types   Resolver

	id    *idTap   // nil without an id tap
	event *nameTap // nil without a name tap
	data  *dataTap // nil prints the whole message

	root      *table // the message type
	hooked    *table // root with hooks for the taps
	unsetData string // the JSON of the data tap's unset field
	anys      anyTypes
	counters  counters
}

// Compile checks a message type and its taps and prepares [Plan.AppendJSON] and [Plan.AppendTapped]. A
// tap that does not fit is a [*TapError].
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

	// The plan checks required fields once, after decoding, and only if the type can have any. The
	// library would walk each message twice for them.
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

// AppendJSON appends the message's canonical proto3 JSON to dst, compact and on one line. It only reads
// wire and does not retain it. On error, an [*Error], it returns dst unchanged.
func (p *Plan) AppendJSON(dst, wire []byte) ([]byte, error) {
	var r run

	r.start(p, len(dst), wire)

	if out := r.whole(dst, wire, p.root); out != nil {
		r.release()
		return out, nil
	}

	if r.restart(len(wire)); r.failure == noFailure {
		if out := r.whole(dst, wire, p.root); out != nil {
			r.release()
			p.counters.reordered.Add(1)
			return out, nil
		}
	}

	r.release()

	if !p.usesLibrary(&r, wire, false) {
		return dst, r.verdict()
	}

	p.counters.library[r.failure].Add(1)
	return p.libraryJSON(dst, wire)
}

// AppendTapped appends the JSON of the tapped data (the whole message without a data tap) to dst and
// reads the taps into out. On error, an [*Error], it returns dst unchanged and out.Data is nil, but out
// keeps the id and the name if they are readable: the stream skips a bad message by its id.
func (p *Plan) AppendTapped(dst, wire []byte, out *Tapped) ([]byte, error) {
	out.reset()

	r := run{tapped: out}
	r.start(p, len(dst), wire)

	printed := r.tappedMessage(dst, wire)
	if printed == nil {
		if r.restart(len(wire)); r.failure == noFailure {
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
	case !p.usesLibrary(&r, wire, p.data != nil):
		if r.failure.leavesTaps() {
			// If the taps are unreadable too, the first error is the one to report.
			_ = p.ReadTaps(wire, out)
		}
		return dst, r.verdict()
	}

	p.counters.library[r.failure].Add(1)
	out.reset()
	out.Path = Library
	return p.libraryTapped(dst, wire, out)
}

// ReadTaps reads the id and the name into out and prints nothing. The bridge uses it for a message that
// is too large to send but whose id advances the stream. ReadTaps decodes only the messages on the
// taps' paths.
func (p *Plan) ReadTaps(wire []byte, out *Tapped) error {
	out.reset()

	r := run{tapped: out, plan: p, effort: effortFor(len(wire))}
	if p.hooked.enter != nil {
		out.enter(p.hooked.enter)

		if !out.walk(&r, wire, p.hooked) || !r.readCaptured(out) {
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
		return p.libraryTaps(wire, out)
	}
}

// IDField returns the field of the id, or nil without an id tap.
func (p *Plan) IDField() protoreflect.FieldDescriptor {
	if p.id == nil {
		return nil
	}
	return p.id.field
}

// NameConstants returns the event names that the type alone determines: the members of the tapped
// oneof, the values of the tapped enum, or true and false. It returns nil if names are strings or
// numbers, or without a name tap.
func (p *Plan) NameConstants() []string {
	if p.event == nil {
		return nil
	}
	return p.event.constants()
}

func (p *Plan) failure(kind Kind, detail string) *Error {
	return &Error{Kind: kind, Message: p.name, Detail: detail}
}
