package transcode

import (
	"bytes"
	"encoding/hex"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// The time limit for a hostile message: generous for a slow machine under the race detector, and far
// below a quadratic cost.
const (
	hostileTime   = 20 * time.Second
	hostileMemory = 1 << 30
	hostileLimit  = hostileSize / 4
)

// bounded runs a plan on a hostile message and checks the time and the memory used.
func bounded(t *testing.T, plan *Plan, wire []byte) error {
	t.Helper()

	var before, after runtime.MemStats

	runtime.GC()
	runtime.ReadMemStats(&before)

	start := spentTime(t)
	_, err := plan.AppendJSON(nil, wire)
	spent := spentTime(t) - start

	runtime.ReadMemStats(&after)

	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d bytes: %v, %d MiB allocated, %v", len(wire), spent.Round(time.Millisecond), allocated>>20, err)

	if spent > hostileTime || allocated > hostileMemory {
		t.Errorf("the message took %v and %d bytes of memory", spent, allocated)
	}
	return err
}

// field encodes a length-delimited field.
func field(number protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), body)
}

// Field numbers of Kinds.
const (
	recursiveNumber  = 22
	nestedListNumber = 46
	stringMapNumber  = 60
	structNumber     = 83
	anyNumber        = 87
)

func TestHostileNesting(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{MaxBytes: hostileLimit, Resolver: protoregistry.GlobalTypes})

	// The buffer is filled from the innermost message outwards; lengths grow from one byte to four.
	deep := make([]byte, hostileSize)
	at, size := len(deep), 0

	for {
		head := protowire.AppendVarint(protowire.AppendTag(nil, recursiveNumber, protowire.BytesType), uint64(size))
		if at < len(head) {
			break
		}

		at -= len(head)
		copy(deep[at:], head)

		size += len(head)
	}

	wantKind(t, bounded(t, plan, deep[at:]), KindTooDeep)
	wantKind(t, bounded(t, plan, recursive(10_001)), KindTooDeep)

	if err := bounded(t, plan, recursive(10_000)); err != nil {
		t.Error(err)
	}
}

func TestHostileGroups(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{MaxBytes: hostileLimit})

	// Unknown groups inside unknown groups, with and without end tags.
	open := bytes.Repeat(protowire.AppendTag(nil, 1000, protowire.StartGroupType), 20_000)
	closed := append(bytes.Clone(open[:len(open)/4]), bytes.Repeat(protowire.AppendTag(nil, 1000, protowire.EndGroupType), 5_000)...)

	wantKind(t, bounded(t, plan, open), KindUndecodable)

	if err := bounded(t, plan, closed); err != nil {
		t.Error(err)
	}

	// Each level of nested known groups is scanned for its end tag.
	types, resolver := groupSchema(t)
	groups, err := Compile(types, Options{Resolver: resolver, MaxBytes: hostileLimit})
	if err != nil {
		t.Fatal(err)
	}

	const levels = 5_000

	inside := bytes.Repeat([]byte{0x10, 0x01}, 1<<20) // a number, a million times
	wire := append(bytes.Repeat([]byte{0x0b}, levels), inside...)
	wire = append(wire, bytes.Repeat([]byte{0x0c}, levels)...)
	wantKind(t, bounded(t, groups, wire), KindTooLarge)
}

func TestHostileEmpties(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{MaxBytes: hostileLimit})
	unlimited := mustCompile(t, &testv1.Kinds{}, Options{})
	empties := bytes.Repeat(field(nestedListNumber, nil), hostileSize/3)

	wantKind(t, bounded(t, plan, empties), KindTooLarge)

	if err := bounded(t, unlimited, empties); err != nil {
		t.Error(err)
	}

	// The same with a truncated end. The library must not see it, since it would use gigabytes.
	wantKind(t, bounded(t, unlimited, append(empties, 0xf2)), KindUndecodable)

	if stats := unlimited.Stats(); len(stats.Library) > 0 {
		t.Errorf("the library saw the message: %v", stats.Library)
	}
}

// TestHostileForTheLibrary sends messages that only the library can print, and messages for which it
// would need gigabytes.
func TestHostileForTheLibrary(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{MaxBytes: hostileLimit, Resolver: protoregistry.GlobalTypes})
	odd := field(stringMapNumber, []byte("\x0a\x01a\x08\x01\x0a\x01b")) // the key comes back

	if got, err := plan.AppendJSON(nil, odd); err != nil || string(got) != `{"stringStringMap":{"b":""}}` {
		t.Errorf("%s, %v", got, err)
	}

	empties := bytes.Repeat(field(nestedListNumber, nil), 1<<20+1)
	packed := field(anyNumber, append(field(1, []byte("x/ssebridge.test.v1.Kinds")), field(2, empties)...))

	wantKind(t, bounded(t, plan, append(bytes.Clone(odd), empties...)), KindTooLarge)
	wantKind(t, bounded(t, plan, append(bytes.Clone(odd), packed...)), KindTooLarge)
}

// TestHostileDisorder sends messages with the maximum of pieces out of order, on every level.
func TestHostileDisorder(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{MaxBytes: hostileLimit})

	// Two numbers alternate; each is a scalar, so only their last values count.
	alternating := bytes.Repeat([]byte{0x28, 0x01, 0x18, 0x01}, hostileSize/4)
	wantKind(t, bounded(t, plan, alternating), KindTooLarge)

	few := alternating[:4*1000]
	if err := bounded(t, plan, few); err != nil {
		t.Error(err)
	}

	// A message in two parts, one of them again in two parts, and so on; the innermost is large.
	wire := field(14, bytes.Repeat([]byte("x"), 1<<20))
	for range 100 {
		wire = append(field(recursiveNumber, wire), field(recursiveNumber, nil)...)
	}

	wantKind(t, bounded(t, plan, wire), KindTooLarge)

	// The first field comes last on every level. Nothing moves, so the depth does not matter.
	wire = field(14, bytes.Repeat([]byte("x"), 1<<20))
	for range 100 {
		wire = append(field(recursiveNumber, wire), 0x18, 0x01)
	}

	if err := bounded(t, plan, wire); err != nil {
		t.Error(err)
	}
}

// lateMessage returns a recursive type with a field after a oneof. Go's serializer writes the oneof
// last, so on each level the late field comes first and is printed last.
func lateMessage(tb testing.TB) protoreflect.MessageDescriptor {
	tb.Helper()

	optional := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
	text, message := descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	return buildFile(tb, &descriptorpb.FileDescriptorProto{
		Name: new("late.proto"), Package: new("late"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name:      new("Tree"),
			OneofDecl: []*descriptorpb.OneofDescriptorProto{{Name: new("kind")}},
			Field: []*descriptorpb.FieldDescriptorProto{
				{Name: new("leaf"), Number: new(int32(1)), Label: &optional, Type: &text, OneofIndex: new(int32(0))},
				{Name: new("tree"), Number: new(int32(2)), Label: &optional, Type: &message, TypeName: new(".late.Tree"), OneofIndex: new(int32(0))},
				{Name: new("note"), Number: new(int32(3)), Label: &optional, Type: &text},
			},
		}},
	}).Messages().Get(0)
}

// TestDeepMessagesAsGoSerializesThem checks that valid messages of a recursive type with a field after
// a oneof print like protojson's at any depth and size within the limits.
func TestDeepMessagesAsGoSerializesThem(t *testing.T) {
	typ := dynamicpb.NewMessageType(lateMessage(t))

	plan, err := Compile(typ.Descriptor(), Options{})
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct{ depth, size int }{{40, 255 << 10}, {64, 63 << 10}, {165, 15 << 10}, {90, 4 << 20}, {2_000, 64 << 10}} {
		wire := field(1, bytes.Repeat([]byte("x"), c.size))
		for range c.depth {
			wire = append(field(3, []byte("late")), field(2, wire)...)
		}

		msg := typ.New().Interface()
		if err := (proto.UnmarshalOptions{RecursionLimit: 10_000}).Unmarshal(wire, msg); err != nil {
			t.Fatal(err)
		}

		got, err := plan.AppendJSON(nil, wire)
		if err != nil {
			t.Errorf("%d levels, %d bytes: %v", c.depth, c.size, err)
			continue
		}

		want, err := protojson.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}

		if !bytes.Equal(got, compact(want, 0)) {
			t.Errorf("%d levels, %d bytes: the JSON differs from protojson's", c.depth, c.size)
		}
	}

	if stats := plan.Stats(); len(stats.Library) > 0 {
		t.Errorf("the library saw the message: %v", stats.Library)
	}
}

func TestHostileMaps(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{MaxBytes: hostileLimit, Resolver: protoregistry.GlobalTypes})

	// Falling keys, the worst case for insertion in order, and one key a million times.
	var falling, same []byte
	for i := range 80_000 {
		falling = append(falling, field(stringMapNumber, field(1, []byte(strings.Repeat("k", 8)+string(rune('z'-i%26))+hexNumber(80_000-i))))...)
		same = append(same, field(stringMapNumber, nil)...)
	}

	for _, wire := range [][]byte{falling, same} {
		if err := bounded(t, plan, wire); err != nil {
			t.Error(err)
		}
	}

	wantKind(t, bounded(t, plan, bytes.Repeat(field(stringMapNumber, nil), hostileSize/3)), KindTooLarge)

	// An entry with a value in many parts, each of which is merged with all parts before it.
	wire := field(64, bytes.Repeat(field(2, bytes.Repeat([]byte{0x10, 0x01}, 16)), 30_000))
	wantKind(t, bounded(t, plan, wire), KindTooLarge)

	// Structs inside structs, with falling keys at every level.
	wire = field(3, []byte("leaf"))
	for range 2_000 {
		inner := field(5, append(field(1, append(field(1, []byte("b")), field(2, wire)...)),
			field(1, append(field(1, []byte("a")), field(2, []byte{0x20, 0x01})...))...))
		wire = inner
	}

	wire = field(structNumber, field(1, append(field(1, []byte("k")), field(2, wire)...)))
	if err := bounded(t, plan, wire); err != nil {
		t.Error(err)
	}
}

func TestHostileAny(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{MaxBytes: hostileLimit, Resolver: protoregistry.GlobalTypes})

	// Any inside Any around a large text: a decoder would copy each level.
	wire := field(14, bytes.Repeat([]byte("x"), 1<<20))
	url := field(1, []byte("x/ssebridge.test.v1.Kinds"))

	for range maxAnyNesting - 1 {
		wire = field(anyNumber, append(bytes.Clone(url), field(2, wire)...))
	}

	if err := bounded(t, plan, wire); err != nil {
		t.Error(err)
	}

	// Each message has another URL: the cache of URLs is bounded.
	for i := range 4 * maxKnownURLs {
		wire := field(anyNumber, field(1, []byte(hexNumber(i)+"/ssebridge.test.v1.Note")))
		if _, err := plan.AppendJSON(nil, wire); err != nil {
			t.Fatal(err)
		}
	}

	if n := len(*plan.anys.byURL.Load()); n != maxKnownURLs {
		t.Errorf("%d URLs are cached", n)
	}
}

// TestHostileVarints compares every place of a varint with the library's limits: ten bytes, and 64
// bits.
func TestHostileVarints(t *testing.T) {
	opts := Options{Resolver: protoregistry.GlobalTypes}
	md := (&testv1.Kinds{}).ProtoReflect().Descriptor()
	plan := mustCompile(t, &testv1.Kinds{}, opts)

	for length := 1; length <= 12; length++ {
		for _, last := range []byte{0, 1, 2, 0x7f} {
			v := append(bytes.Repeat([]byte{0x80}, length-1), last)
			ones := append(bytes.Repeat([]byte{0xff}, length-1), last)

			for _, number := range [][]byte{v, ones} {
				for _, wire := range [][]byte{
					number,                          // a tag
					append([]byte{0x18}, number...), // an int32
					append([]byte{0x20}, number...), // an int64
					append([]byte{0x72}, number...), // a length
					field(32, number),               // in a packed list
					append(append([]byte{0x9a, 0x05, 2}, number...), 'x'), // an entry's length
				} {
					if err := sameVerdict(plan, md, wire, opts); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}
}

// TestCrashers sends bytes on which libraries have crashed: dynamicpb 1.36.12 by a map entry, hyperpb
// 0.1.3 by a field number beyond its tables.
func TestCrashers(t *testing.T) {
	opts := Options{Resolver: protoregistry.GlobalTypes}

	for _, text := range []string{"9a03050a01610801", "f203027878fa0300"} {
		wire, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}

		for _, msg := range everyMessage() {
			if err := sameVerdict(mustCompile(t, msg, opts), msg.ProtoReflect().Descriptor(), wire, opts); err != nil {
				t.Error(err)
			}
		}
	}
}

func hexNumber(i int) string { return hex.EncodeToString([]byte{byte(i >> 16), byte(i >> 8), byte(i)}) }
