package transcode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// jsonOptions returns all eight combinations of the JSON options.
func jsonOptions() []Options {
	var all []Options

	for i := range 8 {
		all = append(all, Options{
			EmitDefaults: i&1 != 0, ProtoNames: i&2 != 0, EnumNumbers: i&4 != 0, Resolver: protoregistry.GlobalTypes,
		})
	}
	return all
}

func (o Options) String() string {
	return fmt.Sprintf("defaults=%t,proto_names=%t,enum_numbers=%t", o.EmitDefaults, o.ProtoNames, o.EnumNumbers)
}

// reference is the plan's reference: plain dynamicpb and protojson, compacted by encoding/json.
func reference(md protoreflect.MessageDescriptor, wire []byte, opts Options) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()

	msg := dynamicpb.NewMessage(md)
	if err := (proto.UnmarshalOptions{Resolver: opts.Resolver}).Unmarshal(wire, msg); err != nil {
		return nil, err
	}
	return referenceJSON(msg, opts)
}

func referenceJSON(msg proto.Message, opts Options) ([]byte, error) {
	spaced, err := protojson.MarshalOptions{
		UseProtoNames: opts.ProtoNames, UseEnumNumbers: opts.EnumNumbers, EmitDefaultValues: opts.EmitDefaults,
		Resolver: opts.Resolver,
	}.Marshal(msg)
	if err != nil {
		return nil, err
	}

	var out bytes.Buffer
	if err := json.Compact(&out, spaced); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func marshalWire(tb testing.TB, msg proto.Message) []byte {
	tb.Helper()

	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		tb.Fatal(err)
	}
	return wire
}

func mustCompile(tb testing.TB, msg proto.Message, opts Options) *Plan {
	tb.Helper()

	plan, err := Compile(msg.ProtoReflect().Descriptor(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

func mustAny(tb testing.TB, msg proto.Message) *anypb.Any {
	tb.Helper()

	packed, err := anypb.New(msg)
	if err != nil {
		tb.Fatal(err)
	}
	return packed
}

// sampleEvent returns a message with every field that the tests tap.
func sampleEvent(tb testing.TB) *testv1.FeedEvent {
	tb.Helper()
	return &testv1.FeedEvent{
		Seq: 41, Cursor: "c-41", Token: []byte{0xfb, 0xff, 0}, At: &timestamppb.Timestamp{Seconds: 1_700_000_000, Nanos: 5000},
		Kind: "note.added", Body: &testv1.FeedEvent_Note{Note: &testv1.Note{Text: "line\none, \"two\" , \u2028 three"}},
		Extra:   mustAny(tb, &testv1.Alarm{Text: "inside", Level: 3}),
		Payload: []byte("payload"), Notes: []*testv1.Note{{Text: "first"}, {Text: "last"}}, Level: testv1.Level_LEVEL_WARNING,
	}
}

// filler fills messages of any type with random valid values by reflection, so that new fields of the
// test messages are covered automatically.
type filler struct {
	*rand.Rand
	any *anypb.Any
}

func (f filler) message(msg protoreflect.Message, depth int) {
	fields := msg.Descriptor().Fields()

	switch msg.Descriptor().FullName() {
	case timestampName, durationName:
		msg.Set(fields.ByNumber(1), protoreflect.ValueOfInt64(f.Int64N(1<<31)))
		msg.Set(fields.ByNumber(2), protoreflect.ValueOfInt32(f.Int32N(1e9)))
		return
	case fieldMaskName:
		msg.Mutable(fields.ByNumber(1)).List().Append(protoreflect.ValueOfString("seq_no.text"))
		return
	case valueName:
		msg.Set(fields.ByName("string_value"), protoreflect.ValueOfString(f.text()))
		return
	case anyName:
		msg.Set(fields.ByNumber(1), protoreflect.ValueOfString(f.any.GetTypeUrl()))
		msg.Set(fields.ByNumber(2), protoreflect.ValueOfBytes(f.any.GetValue()))
		return
	}

	for i := range fields.Len() {
		if fd := fields.Get(i); f.IntN(3) == 0 {
			f.field(msg, fd, depth)
		}
	}
}

func (f filler) field(msg protoreflect.Message, fd protoreflect.FieldDescriptor, depth int) {
	if fd.Message() != nil && depth == 0 {
		return
	}

	switch {
	case fd.IsMap():
		for range f.IntN(4) {
			value := msg.Mutable(fd).Map().NewValue()
			if fd.MapValue().Message() != nil {
				f.message(value.Message(), depth-1)
			} else {
				value = f.scalar(fd.MapValue())
			}

			msg.Mutable(fd).Map().Set(f.scalar(fd.MapKey()).MapKey(), value)
		}
	case fd.IsList():
		for range f.IntN(4) {
			value := msg.Mutable(fd).List().NewElement()
			if fd.Message() != nil {
				f.message(value.Message(), depth-1)
			} else {
				value = f.scalar(fd)
			}

			msg.Mutable(fd).List().Append(value)
		}
	case fd.Message() != nil:
		f.message(msg.Mutable(fd).Message(), depth-1)
	default:
		msg.Set(fd, f.scalar(fd))
	}
}

func (f filler) text() string {
	return []string{"", "plain", "a, b: {\"c\"}", "back\\slash \" ,", "\n\r\t\x00\x1f", "ünïcödé \u2028\u2029 🚀"}[f.IntN(6)]
}

func (f filler) float() float64 {
	return []float64{0, math.Copysign(0, -1), 1.5, -1e-7, 1e21, math.NaN(), math.Inf(-1), math.MaxFloat32, 1.0 / 3}[f.IntN(9)]
}

func (f filler) integer() int64 {
	return []int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt32, f.Int64()}[f.IntN(7)]
}

func (f filler) scalar(fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(f.IntN(2) == 0)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(f.text())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(f.text()))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(f.IntN(10) - 2))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(f.float()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(f.float())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(f.integer()))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(f.integer()))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(f.integer()))
	default:
		return protoreflect.ValueOfInt64(f.integer())
	}
}
