package transcode

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

func wantKind(tb testing.TB, err error, want Kind) {
	tb.Helper()

	e, ok := errors.AsType[*Error](err)
	if !ok {
		tb.Fatalf("%v, want an *Error of kind %s", err, want)
	}

	if e.Kind != want {
		tb.Fatalf("kind %s (%v), want %s", e.Kind, err, want)
	}
}

// recursive returns n Kinds messages nested in each other.
func recursive(n int) []byte {
	var wire []byte
	for range n - 1 {
		wire = protowire.AppendBytes(protowire.AppendTag(nil, 22, protowire.BytesType), wire)
	}
	return wire
}

// anyInAny returns n Any messages nested in each other; the innermost is empty.
func anyInAny(tb testing.TB, n int) []byte {
	tb.Helper()

	packed := &anypb.Any{}
	for range n - 1 {
		packed = mustAny(tb, packed)
	}
	return marshalWire(tb, packed)
}

func TestDepthIsBounded(t *testing.T) {
	for _, tc := range []struct{ max, depth int }{{0, 10_000}, {50_000, 10_000}, {1, 1}, {20, 20}} {
		plan := mustCompile(t, &testv1.Kinds{}, Options{MaxDepth: tc.max})

		got, err := plan.AppendJSON(nil, recursive(tc.depth))
		if err != nil || strings.Count(string(got), "{") != tc.depth {
			t.Errorf("limit %d, %d deep: %d levels, %v", tc.max, tc.depth, strings.Count(string(got), "{"), err)
		}

		_, err = plan.AppendJSON(nil, recursive(tc.depth+1))
		wantKind(t, err, KindTooDeep)
	}
}

// TestAnyCountsAsDepth checks that the limit includes the levels around an Any. The library restarts
// its count in each Any.
func TestAnyCountsAsDepth(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{MaxDepth: 10})
	inside := func(n int) []byte {
		return marshalWire(t, &testv1.Kinds{Any: &anypb.Any{TypeUrl: "x/ssebridge.test.v1.Kinds", Value: recursive(n)}})
	}

	// The message, the Any, and eight messages within it.
	if _, err := plan.AppendJSON(nil, inside(8)); err != nil {
		t.Error(err)
	}

	_, err := plan.AppendJSON(nil, inside(9))
	wantKind(t, err, KindTooDeep)

	plan = mustCompile(t, &testv1.Kinds{}, Options{MaxDepth: 2})
	_, err = plan.AppendJSON(nil, inside(1))
	wantKind(t, err, KindTooDeep)
}

func TestAnyNestingIsBounded(t *testing.T) {
	plan := mustCompile(t, &anypb.Any{}, Options{})

	if _, err := plan.AppendJSON(nil, anyInAny(t, maxAnyNesting+1)); err != nil {
		t.Error(err)
	}

	_, err := plan.AppendJSON(nil, anyInAny(t, maxAnyNesting+2))
	wantKind(t, err, KindTooDeep)
}

func TestSizeIsBounded(t *testing.T) {
	msg := &testv1.Note{Text: "0123456789"} // {"text":"0123456789"} is 21 bytes

	for _, limit := range []int{21, 1000, 0} {
		if got, err := mustCompile(t, msg, Options{MaxBytes: limit}).AppendJSON([]byte("before"), marshalWire(t, msg)); err != nil || len(got) != 27 {
			t.Errorf("limit %d: %d bytes, %v", limit, len(got), err)
		}
	}

	dst, err := mustCompile(t, msg, Options{MaxBytes: 20}).AppendJSON([]byte("before"), marshalWire(t, msg))
	wantKind(t, err, KindTooLarge)

	if string(dst) != "before" {
		t.Errorf("dst is %q after an error", dst)
	}

	// The survey does not count escapes, but the final check does.
	escaped := &testv1.Note{Text: strings.Repeat("\x01", 100)}
	_, err = mustCompile(t, msg, Options{MaxBytes: 500}).AppendJSON(nil, marshalWire(t, escaped))
	wantKind(t, err, KindTooLarge)
}

// TestDefaultsDoNotExplode sends 20,000 empty messages of two bytes that each print as a page of
// defaults: over 50 MB of JSON from 40 kB. The plan must refuse them before it prints them.
func TestDefaultsDoNotExplode(t *testing.T) {
	md := wideMessage(t)
	plan, err := Compile(md, Options{EmitDefaults: true, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}

	var wire []byte
	for range 20_000 {
		wire = protowire.AppendBytes(protowire.AppendTag(wire, 1, protowire.BytesType), nil)
	}

	dst := make([]byte, 0, 64)

	out, err := plan.AppendJSON(dst, wire)
	wantKind(t, err, KindTooLarge)

	if cap(out) != cap(dst) {
		t.Errorf("%d bytes were printed before the limit was checked", cap(out))
	}
}

// TestSurveyNeverOvercounts checks that the survey counts a lower bound: a message that fits exactly is
// not refused.
func TestSurveyNeverOvercounts(t *testing.T) {
	kinds := &testv1.Kinds{
		Struct: &structpb.Struct{Fields: map[string]*structpb.Value{
			"k": structpb.NewBoolValue(true), "n": structpb.NewNullValue(), "s": structpb.NewStringValue("x"),
			"l": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewNumberValue(1), structpb.NewNumberValue(2)}}),
		}},
		FieldMask: &fieldmaskpb.FieldMask{Paths: []string{"a_b_c", "d"}}, Duration: &durationpb.Duration{}, Timestamp: &timestamppb.Timestamp{},
		Any: mustAny(t, &timestamppb.Timestamp{}), AnyList: []*anypb.Any{{}, mustAny(t, &testv1.Note{}), mustAny(t, &structpb.Struct{})},
		BytesValue: []byte{1}, Color: testv1.Color_COLOR_RED, ColorList: []testv1.Color{0, 99}, BoolColorMap: map[bool]testv1.Color{true: 1},
		Int32NestedMap: map[int32]*testv1.Kinds_Nested{1: {}, 2: {Name: "x"}}, StringWrapperList: nil, Choice: &testv1.Kinds_ChoiceNull{},
		NullValue: structpb.NullValue_NULL_VALUE, Empty: nil, Recursive: &testv1.Kinds{Int64List: []int64{1, 2, 3}},
	}

	for _, opts := range jsonOptions() {
		want, err := referenceJSON(kinds, opts)
		if err != nil {
			t.Fatal(err)
		}

		opts.MaxBytes = len(want)
		if _, err := mustCompile(t, kinds, opts).AppendJSON(nil, marshalWire(t, kinds)); err != nil {
			t.Errorf("%s: %v", opts, err)
		}

		opts.MaxBytes--
		_, err = mustCompile(t, kinds, opts).AppendJSON(nil, marshalWire(t, kinds))
		wantKind(t, err, KindTooLarge)
	}
}

// TestPanicIsCaught sends bytes on which dynamicpb 1.36.12 panics: a map entry with a key, followed by
// a key of the wrong type.
func TestPanicIsCaught(t *testing.T) {
	opts := Options{Resolver: protoregistry.GlobalTypes}
	kinds := mustCompile(t, &testv1.Kinds{}, opts)

	// Odd entries for each map of Kinds: a key of another type, a key twice, a value alone.
	for number := protowire.Number(60); number <= 75; number++ {
		for _, entry := range []string{"0a0161", "0a01610801", "0801", "0d00000000", "12000a00"} {
			body, err := hex.DecodeString(entry)
			if err != nil {
				t.Fatal(err)
			}

			wire := protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), body)
			if err := sameVerdict(kinds, (&testv1.Kinds{}).ProtoReflect().Descriptor(), wire, opts); err != nil {
				t.Error(err)
			}
		}
	}

	// The first bytes found, for a map<string, int32> with field number 51.
	wire, err := hex.DecodeString("9a03050a01610801")
	if err != nil {
		t.Fatal(err)
	}

	plan, err := Compile(mapMessage(t), Options{Taps: Taps{ID: "id"}})
	if err != nil {
		t.Fatal(err)
	}

	dst, err := plan.AppendJSON([]byte("kept"), wire)
	wantKind(t, err, KindPanic)

	if string(dst) != "kept" {
		t.Errorf("dst is %q after a panic", dst)
	}
}

// TestErrorsKeepTheMessage checks that no kind and no text of an error reveals bytes of the message.
func TestErrorsKeepTheMessage(t *testing.T) {
	const secret = "S3CRET"

	plan := mustCompile(t, &testv1.Kinds{}, Options{Resolver: protoregistry.GlobalTypes, MaxBytes: 1 << 16})

	for _, tc := range []struct {
		name string
		wire []byte
		kind Kind
	}{
		{"cut", marshalWire(t, &testv1.Kinds{StringValue: secret})[:5], KindUndecodable},
		{"utf-8", protowire.AppendBytes(protowire.AppendTag(nil, 14, protowire.BytesType), []byte(secret+"\xff\n")), KindUndecodable},
		{"field number 0", []byte(secret + "\x00\x00"), KindUndecodable},
		{"any", marshalWire(t, &testv1.Kinds{Any: &anypb.Any{TypeUrl: secret + "\n\x1b[2J"}}), KindUnresolvable},
		{"any without a type", marshalWire(t, &testv1.Kinds{Any: &anypb.Any{Value: []byte(secret)}}), KindUnrepresentable},
		{"any with a broken value", marshalWire(t, &testv1.Kinds{Any: &anypb.Any{TypeUrl: "x/ssebridge.test.v1.Note", Value: []byte(secret)}}), KindUndecodable},
		{"field mask", marshalWire(t, &testv1.Kinds{FieldMask: &fieldmaskpb.FieldMask{Paths: []string{secret + "\n"}}}), KindUnrepresentable},
		{"timestamp", marshalWire(t, &testv1.Kinds{Timestamp: &timestamppb.Timestamp{Seconds: 1 << 60}}), KindUnrepresentable},
		{"duration", marshalWire(t, &testv1.Kinds{Duration: &durationpb.Duration{Seconds: 1 << 60}}), KindUnrepresentable},
		{"value", marshalWire(t, &testv1.Kinds{Value: &structpb.Value{}}), KindUnrepresentable},
		{"size", marshalWire(t, &testv1.Kinds{StringValue: strings.Repeat(secret, 1<<14)}), KindTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dst, err := plan.AppendJSON(nil, tc.wire)
			wantKind(t, err, tc.kind)

			for _, r := range err.Error() {
				if r < ' ' || r > '~' {
					t.Errorf("the text is not printable ASCII: %q", err)
				}
			}

			if strings.Contains(err.Error(), secret) || len(err.Error()) > 400 || errors.Unwrap(err) != nil || len(dst) > 0 {
				t.Errorf("%q reveals the message", err)
			}
		})
	}
}

// TestUnresolvableNamesTheType checks that the error names the type: the name is not secret, and
// operators need it in the log.
func TestUnresolvableNamesTheType(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{})
	_, err := plan.AppendJSON(nil, marshalWire(t, &testv1.Kinds{Any: &anypb.Any{TypeUrl: "example.com/acme.v1.Lost"}}))

	const want = "transcode ssebridge.test.v1.Kinds: unresolvable: the type of a google.protobuf.Any (acme.v1.Lost) is not known"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestTimestampID checks that an id without a text fails the message, whatever part of it is printed.
func TestTimestampID(t *testing.T) {
	event := &testv1.FeedEvent{At: &timestamppb.Timestamp{Seconds: 1 << 60}}
	plan := mustCompile(t, event, Options{Taps: Taps{ID: "at", Data: DataTap{Field: "seq"}}})

	var out Tapped

	dst, err := plan.AppendTapped([]byte("kept"), marshalWire(t, event), &out)
	wantKind(t, err, KindUnrepresentable)

	if string(dst) != "kept" || out.HasID {
		t.Errorf("dst %q, id %q", dst, out.ID)
	}
}

func TestRequiredFields(t *testing.T) {
	md := mapMessage(t)
	field := md.ParentFile().Messages().ByName("Required")

	plan, err := Compile(field, Options{})
	if err != nil {
		t.Fatal(err)
	}

	_, err = plan.AppendJSON(nil, nil)
	wantKind(t, err, KindUndecodable)

	if got, err := plan.AppendJSON(nil, []byte{0x08, 0x05}); err != nil || string(got) != `{"must":5}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestKindNames(t *testing.T) {
	for kind := KindUndecodable; kind <= KindPanic; kind++ {
		if s := kind.String(); s == "" || s == "unknown" {
			t.Errorf("kind %d has no name", kind)
		}
	}

	if Kind(0).String() != "unknown" || Kind(200).String() != "unknown" {
		t.Error("kinds that do not exist have names")
	}

	if got := (&Error{Kind: KindPanic, Message: "a.B"}).Error(); got != "transcode a.B: panic" {
		t.Error(got)
	}
}

// wideMessage returns a type with many fields, and so with long defaults, which no generated test
// message has.
func wideMessage(tb testing.TB) protoreflect.MessageDescriptor {
	tb.Helper()

	wide := &descriptorpb.DescriptorProto{Name: new("Wide")}
	wide.Field = append(wide.Field, &descriptorpb.FieldDescriptorProto{
		Name: new("children"), Number: new(int32(1)), Label: new(descriptorpb.FieldDescriptorProto_LABEL_REPEATED),
		Type: new(descriptorpb.FieldDescriptorProto_TYPE_MESSAGE), TypeName: new(".wide.Wide"),
	})

	for i := range int32(100) {
		wide.Field = append(wide.Field, &descriptorpb.FieldDescriptorProto{
			Name: new("a_field_with_a_long_name_" + strings.Repeat("x", int(i))), Number: new(i + 2),
			Label: new(descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL), Type: new(descriptorpb.FieldDescriptorProto_TYPE_INT32),
		})
	}
	return buildFile(tb, &descriptorpb.FileDescriptorProto{
		Name: new("wide.proto"), Package: new("wide"), Syntax: new("proto3"), MessageType: []*descriptorpb.DescriptorProto{wide},
	}).Messages().Get(0)
}

// mapMessage returns a proto2 type with the map of the panicking bytes and a required field.
func mapMessage(tb testing.TB) protoreflect.MessageDescriptor {
	tb.Helper()

	optional, repeated := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	int32Type, message := descriptorpb.FieldDescriptorProto_TYPE_INT32, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	return buildFile(tb, &descriptorpb.FileDescriptorProto{
		Name: new("old.proto"), Package: new("old"), Syntax: new("proto2"),
		MessageType: []*descriptorpb.DescriptorProto{
			{
				Name: new("Mapped"),
				Field: []*descriptorpb.FieldDescriptorProto{
					{Name: new("id"), Number: new(int32(1)), Label: &optional, Type: &int32Type},
					{Name: new("entries"), Number: new(int32(51)), Label: &repeated, Type: &message, TypeName: new(".old.Mapped.EntriesEntry")},
				},
				NestedType: []*descriptorpb.DescriptorProto{{
					Name: new("EntriesEntry"), Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
					Field: []*descriptorpb.FieldDescriptorProto{
						{
							Name: new("key"), Number: new(int32(1)), Label: &optional,
							Type: new(descriptorpb.FieldDescriptorProto_TYPE_STRING),
						},
						{Name: new("value"), Number: new(int32(2)), Label: &optional, Type: &int32Type},
					},
				}},
			},
			{
				Name: new("Required"),
				Field: []*descriptorpb.FieldDescriptorProto{
					{Name: new("must"), Number: new(int32(1)), Label: new(descriptorpb.FieldDescriptorProto_LABEL_REQUIRED), Type: &int32Type},
				},
			},
		},
	}).Messages().Get(0)
}

func buildFile(tb testing.TB, file *descriptorpb.FileDescriptorProto) protoreflect.FileDescriptor {
	tb.Helper()

	fd, err := protodesc.NewFile(proto.CloneOf(file), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return fd
}
