package transcode

import (
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// TestStats checks that each message is counted once under its path, and that the direct path is not
// counted.
func TestStats(t *testing.T) {
	for _, tc := range []struct {
		name      string
		wire      []byte
		reordered uint64
		library   []string
	}{
		{"in order", marshalWire(t, &testv1.Kinds{Int32Value: 1, Int64Value: 2}), 0, nil},
		{"out of order in a loose type", []byte{0x20, 0x02, 0x18, 0x01}, 0, nil},
		{"out of order in a nested message", field(recursiveNumber, []byte{0x18, 0x02, 0x18, 0x01}), 1, nil},
		{"repeated", []byte{0x18, 0x02, 0x18, 0x01}, 1, nil},
		{"cut", []byte{0x18}, 0, []string{"malformed"}},
		{"text", field(14, []byte{0xff}), 0, []string{"utf8"}},
		{"value without a kind", marshalWire(t, &testv1.Kinds{Value: &structpb.Value{}}), 0, []string{"unrepresentable"}},
		{"unknown type", field(anyNumber, field(1, []byte("x/no.Type"))), 0, []string{"unresolvable"}},
		{"a key that changes its type", field(stringMapNumber, []byte("\x0a\x01a\x08\x01")), 0, []string{"odd_entry"}},
		{"limits are the plan's own", recursive(10_001), 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plan := mustCompile(t, &testv1.Kinds{}, Options{Resolver: protoregistry.GlobalTypes})

			for range 2 {
				_, _ = plan.AppendJSON(nil, tc.wire) // only the counts matter
			}

			stats := plan.Stats()
			if stats.Reordered != 2*tc.reordered || !slices.Equal(slices.Sorted(maps.Keys(stats.Library)), tc.library) {
				t.Errorf("%+v", stats)
			}

			for reason, n := range stats.Library {
				if n != 2 {
					t.Errorf("%s: %d", reason, n)
				}
			}
		})
	}
}

// TestLooseTypes checks which types are printed in wire order and rearranged; the others must not pay
// for it.
func TestLooseTypes(t *testing.T) {
	for _, tc := range []struct {
		msg   proto.Message
		loose bool
	}{
		{&testv1.Alarm{}, false},
		{&testv1.BenchTick{}, false},
		{&testv1.BenchChat{}, false},
		{&testv1.FeedEvent{}, true}, // has fields after a oneof
		{&testv1.BenchEvent{}, true},
	} {
		plan := mustCompile(t, tc.msg, Options{})
		if plan.root.loose != tc.loose {
			t.Errorf("%s: %t", plan.name, plan.root.loose)
		}
	}

	alarm := mustCompile(t, &testv1.Alarm{}, Options{})

	got, err := alarm.AppendJSON(nil, []byte{0x10, 0x02, 0x0a, 0x01, 'x'})
	if err != nil || string(got) != `{"text":"x","level":2}` || alarm.Stats().Reordered != 1 {
		t.Errorf("%s, %v, %+v", got, err, alarm.Stats())
	}
}

// TestReasonsHaveNames checks that each failure has a metric's label.
func TestReasonsHaveNames(t *testing.T) {
	for f := disorder; f <= oddEntry; f++ {
		if f.reason() == noFailure.reason() {
			t.Errorf("failure %d has no name", f)
		}
	}
}

// TestForeignTypes checks that the library prints a type that shares only its name with a well-known
// type.
func TestForeignTypes(t *testing.T) {
	for _, name := range []string{"Timestamp", "Duration", "Any", "Struct", "Value", "ListValue", "FieldMask", "BoolValue"} {
		md := impostor(t, name)
		opts := Options{Resolver: new(protoregistry.Types)}

		plan, err := Compile(md, opts)
		if err != nil {
			t.Fatal(err)
		}

		for _, wire := range [][]byte{nil, {0x0a, 0x01, 'x'}, {0x08, 0x01}, {0x0a, 0x00, 0x10, 0x01}} {
			if err := sameVerdict(plan, md, wire, opts); err != nil {
				t.Error(err)
			}
		}
	}
}
