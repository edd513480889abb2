package transcode

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// absent marks HasID or HasName as false in the tables.
const absent = "(none)"

func tapped(t *testing.T, msg proto.Message, taps Taps) (*Tapped, string) {
	t.Helper()

	plan := mustCompile(t, msg, Options{Taps: taps})

	var out Tapped

	got, err := plan.AppendTapped([]byte("head "), marshalWire(t, msg), &out)
	if err != nil {
		t.Fatal(err)
	}

	data, ok := strings.CutPrefix(string(got), "head ")
	if !ok || data != string(out.Data) {
		t.Fatalf("dst is %q, Data is %q", got, out.Data)
	}
	return &out, data
}

func TestIDTap(t *testing.T) {
	event := sampleEvent(t)
	all := &testv1.Kinds{
		Int32Value: -3, Int64Value: math.MinInt64, Uint32Value: 5, Uint64Value: math.MaxUint64, Sint32Value: -7,
		Sint64Value: -8, Fixed32Value: 9, Fixed64Value: 10, Sfixed32Value: -11, Sfixed64Value: -12, StringValue: "ünï %~\n",
		Int64List: []int64{1, 2, 3}, StringList: []string{"a", "b"}, BytesList: [][]byte{{1}, {0xff}},
		TimestampList: []*timestamppb.Timestamp{{Seconds: 1}, {Seconds: 2}},
		Int64Wrapper:  wrapperspb.Int64(6), Recursive: &testv1.Kinds{Recursive: &testv1.Kinds{Uint32Value: 77}},
		NestedList:    []*testv1.Kinds_Nested{{Name: "x"}, {Tags: []string{"t1", "t2"}}},
		OptionalInt32: new(int32(0)), OptionalString: new(""), Choice: &testv1.Kinds_ChoiceInt64{ChoiceInt64: 0},
	}

	for _, tc := range []struct {
		msg        proto.Message
		path, want string
	}{
		{event, "seq", "41"},
		{event, "cursor", "c-41"},
		{event, "token", "-_8A"},
		{event, "at", "2023-11-14T22:13:20.000005Z"},
		{event, "at.seconds", "1700000000"},
		{event, "note.text", "line\none, \"two\" , \u2028 three"},
		{event, "alarm.level", absent},
		{event, "notes.text", "last"},
		{&testv1.FeedEvent{At: &timestamppb.Timestamp{}}, "at", "1970-01-01T00:00:00Z"},
		{&testv1.FeedEvent{}, "seq", absent},
		{&testv1.FeedEvent{}, "cursor", absent},
		{&testv1.FeedEvent{}, "token", absent},
		{&testv1.FeedEvent{}, "at", absent},
		{&testv1.FeedEvent{}, "notes.text", absent},
		{&testv1.FeedEvent{}, "error", absent},
		{&testv1.FeedEvent{Body: &testv1.FeedEvent_Error{Error: ""}}, "error", absent},
		{&testv1.FeedEvent{Notes: []*testv1.Note{{Text: "x"}, {}}}, "notes.text", absent},
		{all, "int32_value", "-3"},
		{all, "int32Value", "-3"}, // the JSON name
		{all, "int64_value", "-9223372036854775808"},
		{all, "uint32_value", "5"},
		{all, "uint64_value", "18446744073709551615"},
		{all, "sint32_value", "-7"},
		{all, "sint64_value", "-8"},
		{all, "fixed32_value", "9"},
		{all, "fixed64_value", "10"},
		{all, "sfixed32_value", "-11"},
		{all, "sfixed64_value", "-12"},
		{all, "string_value", "ünï %~\n"},
		{all, "int64_list", "3"},
		{all, "string_list", "b"},
		{all, "bytes_list", "_w"},
		{all, "timestamp_list", "1970-01-01T00:00:02Z"},
		{all, "int64_wrapper.value", "6"},
		{all, "recursive.recursive.uint32_value", "77"},
		{all, "nested_list.tags", "t2"},
		{all, "nested_list.name", absent}, // the last element has none
		{all, "optional_int32", "0"},      // present
		{all, "optional_string", absent},  // present, but an empty id is none
		{all, "choice_int64", "0"},        // a oneof's member has presence
		{all, "optional_int64", absent},   // not set
		{all, "recursive.nested.number", absent},
	} {
		out, _ := tapped(t, tc.msg, Taps{ID: tc.path})

		got := absent
		if out.HasID {
			got = string(out.ID)
		}

		if got != tc.want {
			t.Errorf("id %s: %q, want %q", tc.path, got, tc.want)
		}

		if !out.HasID && len(out.ID) != 0 {
			t.Errorf("id %s: absent, but %q", tc.path, out.ID)
		}
	}
}

func TestNameTap(t *testing.T) {
	event := sampleEvent(t)

	for _, tc := range []struct {
		msg  proto.Message
		tap  NameTap
		want string
	}{
		{event, NameTap{Oneof: "body"}, "note"},
		{&testv1.FeedEvent{Body: &testv1.FeedEvent_Error{}}, NameTap{Oneof: "body"}, "error"},
		{&testv1.FeedEvent{}, NameTap{Oneof: "body"}, absent},
		{event, NameTap{Field: "kind"}, "note.added"},
		{event, NameTap{Field: "level"}, "LEVEL_WARNING"},
		{&testv1.FeedEvent{Level: 99}, NameTap{Field: "level"}, "99"},
		{&testv1.FeedEvent{}, NameTap{Field: "level"}, "LEVEL_UNSPECIFIED"},
		{&testv1.FeedEvent{}, NameTap{Field: "kind"}, absent},
		{&testv1.FeedEvent{}, NameTap{Field: "seq"}, "0"},
		{&testv1.FeedEvent{Kind: "stream-\r\nend"}, NameTap{Field: "kind"}, "stream-\r\nend"},
		{event, NameTap{Field: "notes.text"}, "last"},
		{event, NameTap{Field: "alarm.text"}, absent},
		{&testv1.Kinds{}, NameTap{Field: "bool_value"}, "false"},
		{&testv1.Kinds{BoolValue: true}, NameTap{Field: "boolValue"}, "true"},
		{&testv1.Kinds{}, NameTap{Field: "optional_bool"}, absent},
		{&testv1.Kinds{OptionalBool: new(false)}, NameTap{Field: "optional_bool"}, "false"},
		{&testv1.Kinds{OptionalColor: new(testv1.Color_COLOR_UNSPECIFIED)}, NameTap{Field: "optional_color"}, "COLOR_UNSPECIFIED"},
		{&testv1.Kinds{Uint64Value: math.MaxUint64}, NameTap{Field: "uint64_value"}, "18446744073709551615"},
		{&testv1.Kinds{Recursive: &testv1.Kinds{Choice: &testv1.Kinds_ChoiceBool{}}}, NameTap{Oneof: "recursive.choice"}, "choice_bool"},
		{&testv1.Kinds{}, NameTap{Oneof: "recursive.choice"}, absent},
	} {
		out, _ := tapped(t, tc.msg, Taps{Name: tc.tap})

		got := absent
		if out.HasName {
			got = string(out.Name)
		}

		if got != tc.want {
			t.Errorf("name %+v: %q, want %q", tc.tap, got, tc.want)
		}
	}
}

func TestNameConstants(t *testing.T) {
	for _, tc := range []struct {
		msg  proto.Message
		tap  NameTap
		want []string
	}{
		{&testv1.FeedEvent{}, NameTap{}, nil},
		{&testv1.FeedEvent{}, NameTap{Field: "kind"}, nil},
		{&testv1.FeedEvent{}, NameTap{Oneof: "body"}, []string{"note", "alarm", "error"}},
		{&testv1.FeedEvent{}, NameTap{Field: "level"}, []string{"LEVEL_UNSPECIFIED", "LEVEL_INFO", "LEVEL_WARNING", "LEVEL_CRITICAL"}},
		{&testv1.Kinds{}, NameTap{Field: "bool_value"}, []string{"false", "true"}},
	} {
		if got := mustCompile(t, tc.msg, Options{Taps: Taps{Name: tc.tap}}).NameConstants(); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.tap, got, tc.want)
		}
	}
}

func TestDataTap(t *testing.T) {
	event := sampleEvent(t)
	kinds := &testv1.Kinds{
		StringStringMap: map[string]string{"b": "2, 3", "a": "1"}, Int32List: []int32{1, 2}, Int64Value: 5,
		Int32NestedMap: map[int32]*testv1.Kinds_Nested{7: {Name: "n"}}, Renamed: "r", Timestamp: &timestamppb.Timestamp{},
		Struct: &structpb.Struct{Fields: map[string]*structpb.Value{"k": structpb.NewBoolValue(true)}}, OptionalInt32: new(int32(0)),
		Choice: &testv1.Kinds_ChoiceNull{}, Color: testv1.Color_COLOR_RED, Value: structpb.NewNullValue(),
	}

	for _, tc := range []struct {
		msg  proto.Message
		tap  DataTap
		want string
	}{
		{event, DataTap{Oneof: "body"}, `{"text":"line\none, \"two\" , ` + "\u2028" + ` three"}`},
		{&testv1.FeedEvent{}, DataTap{Oneof: "body"}, `null`},
		{&testv1.FeedEvent{Body: &testv1.FeedEvent_Error{Error: "e"}}, DataTap{Oneof: "body"}, `"e"`},
		{&testv1.FeedEvent{Body: &testv1.FeedEvent_Error{}}, DataTap{Oneof: "body"}, `""`},
		{event, DataTap{Field: "seq"}, `"41"`},
		{event, DataTap{Field: "token"}, `"+/8A"`},
		{event, DataTap{Field: "level"}, `"LEVEL_WARNING"`},
		{event, DataTap{Field: "notes"}, `[{"text":"first"},{"text":"last"}]`},
		{event, DataTap{Field: "notes.text"}, `"last"`},
		{event, DataTap{Field: "alarm"}, `null`},
		{event, DataTap{Field: "alarm.level"}, `null`},
		{event, DataTap{Field: "at"}, `"2023-11-14T22:13:20.000005Z"`},
		{&testv1.FeedEvent{}, DataTap{Field: "seq"}, `"0"`},
		{&testv1.FeedEvent{}, DataTap{Field: "level"}, `"LEVEL_UNSPECIFIED"`},
		{&testv1.FeedEvent{}, DataTap{Field: "notes"}, `[]`},
		{&testv1.FeedEvent{}, DataTap{Field: "at"}, `null`},
		{kinds, DataTap{Field: "string_string_map"}, `{"a":"1","b":"2, 3"}`},
		{kinds, DataTap{Field: "int32_nested_map"}, `{"7":{"name":"n"}}`},
		{kinds, DataTap{Field: "string_int64_map"}, `{}`},
		{kinds, DataTap{Field: "int32_list"}, `[1,2]`},
		{kinds, DataTap{Field: "renamed"}, `"r"`},
		{kinds, DataTap{Field: "@renamed"}, `"r"`},
		{kinds, DataTap{Field: "struct"}, `{"k":true}`},
		{kinds, DataTap{Field: "value"}, `null`},
		{kinds, DataTap{Field: "optional_int32"}, `0`},
		{kinds, DataTap{Field: "optional_int64"}, `null`},
		{kinds, DataTap{Field: "null_value"}, `null`},
		{kinds, DataTap{Oneof: "choice"}, `null`},
		{kinds, DataTap{Field: "color"}, `"COLOR_RED"`},
		{kinds, DataTap{Field: "double_value"}, `0`},
	} {
		if _, got := tapped(t, tc.msg, Taps{Data: tc.tap}); got != tc.want {
			t.Errorf("data %+v: %s, want %s", tc.tap, got, tc.want)
		}
	}
}

// TestDataTapOptions checks that a part prints under the options of the whole message, without the
// defaults around it.
func TestDataTapOptions(t *testing.T) {
	msg := &testv1.Kinds{NestedList: []*testv1.Kinds_Nested{{Color: testv1.Color_COLOR_RED}}, Color: testv1.Color_COLOR_BLUE}

	for field, want := range map[string]string{
		"nested_list": `[{"name":"","number":0,"color":1,"tags":[]}]`, "color": `7`, "bool_list": `[]`, "string_value": `""`,
	} {
		plan := mustCompile(t, msg, Options{EmitDefaults: true, EnumNumbers: true, Taps: Taps{Data: DataTap{Field: field}}})

		var out Tapped
		if got, err := plan.AppendTapped(nil, marshalWire(t, msg), &out); err != nil || string(got) != want {
			t.Errorf("%s: %s, want %s, %v", field, got, want, err)
		}
	}
}

// TestDataTapAny taps a part whose type only the resolver knows.
func TestDataTapAny(t *testing.T) {
	plan := mustCompile(t, sampleEvent(t), Options{Taps: Taps{Data: DataTap{Field: "extra"}}})

	var out Tapped

	got, err := plan.AppendTapped(nil, marshalWire(t, sampleEvent(t)), &out)
	if want := `{"@type":"type.googleapis.com/ssebridge.test.v1.Alarm","text":"inside","level":3}`; err != nil || string(got) != want {
		t.Errorf("%s, want %s, %v", got, want, err)
	}
}

// TestTapsSurviveErrors checks that a message that cannot be printed still yields its id.
func TestTapsSurviveErrors(t *testing.T) {
	event := sampleEvent(t)
	event.Extra.TypeUrl = "type.googleapis.com/no.such.Type"
	wire := marshalWire(t, event)
	plan := mustCompile(t, event, Options{Taps: Taps{ID: "seq", Name: NameTap{Oneof: "body"}}})

	var out Tapped

	dst, err := plan.AppendTapped([]byte("kept"), wire, &out)
	wantKind(t, err, KindUnresolvable)

	if string(dst) != "kept" || out.Data != nil || string(out.ID) != "41" || !out.HasID || string(out.Name) != "note" {
		t.Errorf("dst %q, data %q, id %q, name %q", dst, out.Data, out.ID, out.Name)
	}

	if err := plan.ReadTaps(wire, &out); err != nil || string(out.ID) != "41" {
		t.Errorf("ReadTaps: id %q, %v", out.ID, err)
	}

	if err := plan.ReadTaps([]byte{0xff}, &out); err == nil || out.HasID || out.HasName || len(out.ID) > 0 {
		t.Errorf("after an invalid message the taps still have %q, %v", out.ID, err)
	}
}

// TestScratchIsBounded checks that a huge id does not stay in memory.
func TestScratchIsBounded(t *testing.T) {
	plan := mustCompile(t, &testv1.FeedEvent{}, Options{Taps: Taps{ID: "cursor", Name: NameTap{Field: "kind"}}})
	huge := strings.Repeat("x", 2*scratchKept)

	var out Tapped
	if _, err := plan.AppendTapped(nil, marshalWire(t, &testv1.FeedEvent{Cursor: huge, Kind: huge}), &out); err != nil {
		t.Fatal(err)
	}

	if _, err := plan.AppendTapped(nil, nil, &out); err != nil || cap(out.id) > scratchKept || cap(out.name) > scratchKept {
		t.Errorf("kept %d and %d bytes, %v", cap(out.id), cap(out.name), err)
	}
}

func TestTapErrors(t *testing.T) {
	const (
		feed  = "ssebridge.test.v1.FeedEvent"
		kinds = "ssebridge.test.v1.Kinds"
	)

	for _, tc := range []struct {
		msg       proto.Message
		taps      Taps
		tap, want string
	}{
		{&testv1.FeedEvent{}, Taps{ID: "sec"}, "id", feed + ` has no field "sec"; did you mean "seq"?`},
		{&testv1.FeedEvent{}, Taps{ID: "zzzzzz"}, "id", feed + ` has no field "zzzzzz"; it has seq, cursor, token, at, kind, note, alarm, error, extra, payload, notes, level`},
		{&testv1.FeedEvent{}, Taps{ID: "note.txt"}, "id", `ssebridge.test.v1.Note has no field "txt" (in "note.txt"); did you mean "text"?`},
		{&testv1.FeedEvent{}, Taps{ID: "note."}, "id", `"note." has an empty segment; a path is field names joined by dots`},
		{&testv1.FeedEvent{}, Taps{ID: "seq.x"}, "id", `"seq.x" passes through "seq", which is a int64 and has no fields`},
		{&testv1.FeedEvent{}, Taps{ID: "level"}, "id", `"level" in ` + feed + ` is an enum; an id is a string, bytes, an integer or a google.protobuf.Timestamp`},
		{&testv1.FeedEvent{}, Taps{ID: "note"}, "id", `"note" in ` + feed + ` is a message ssebridge.test.v1.Note; an id is a string, bytes, an integer or a google.protobuf.Timestamp`},
		{&testv1.Kinds{}, Taps{ID: "string_string_map"}, "id", `"string_string_map" in ` + kinds + ` is a map; an id is a string, bytes, an integer or a google.protobuf.Timestamp`},
		{&testv1.Kinds{}, Taps{ID: "int32_nested_map.value.name"}, "id", `"int32_nested_map.value.name" passes through the map "int32_nested_map"; a path cannot`},
		{&testv1.Kinds{}, Taps{ID: "double_value"}, "id", `"double_value" in ` + kinds + ` is a double; an id is a string, bytes, an integer or a google.protobuf.Timestamp`},
		{&testv1.Kinds{}, Taps{ID: "bool_value"}, "id", `"bool_value" in ` + kinds + ` is a bool; an id is a string, bytes, an integer or a google.protobuf.Timestamp`},
		{&testv1.Kinds{}, Taps{ID: "duration"}, "id", `"duration" in ` + kinds + ` is a message google.protobuf.Duration; an id is a string, bytes, an integer or a google.protobuf.Timestamp`},
		{&testv1.FeedEvent{}, Taps{Name: NameTap{Oneof: "bdy"}}, "name", feed + ` has no oneof "bdy"; did you mean "body"?`},
		{&testv1.FeedEvent{}, Taps{Name: NameTap{Oneof: "note"}}, "name", `"note" in ` + feed + ` is a field, not a oneof; it is a member of "body"`},
		{&testv1.Kinds{}, Taps{Name: NameTap{Oneof: "_optional_int32"}}, "name", kinds + ` has no oneof "_optional_int32"; it has choice`},
		{&testv1.FeedEvent{}, Taps{Name: NameTap{Field: "notes"}}, "name", `"notes" in ` + feed + ` is a list; a name is a string, an enum, a bool or an integer`},
		{&testv1.FeedEvent{}, Taps{Name: NameTap{Field: "token"}}, "name", `"token" in ` + feed + ` is a bytes; a name is a string, an enum, a bool or an integer`},
		{&testv1.FeedEvent{}, Taps{Name: NameTap{Field: "kind", Oneof: "body"}}, "name", `field and oneof exclude each other`},
		{&testv1.FeedEvent{}, Taps{Data: DataTap{Field: "kind", Oneof: "body"}}, "data", `field and oneof exclude each other`},
		{&testv1.FeedEvent{}, Taps{Data: DataTap{Field: "nots"}}, "data", feed + ` has no field "nots"; did you mean "note"?`},
		{&testv1.FeedEvent{}, Taps{Data: DataTap{Field: "at.seconds"}}, "data", `"seconds" is inside a google.protobuf.Timestamp, which can be taken only as a whole`},
		{&testv1.Kinds{}, Taps{Data: DataTap{Oneof: "value.kind"}}, "data", `"kind" is inside a google.protobuf.Value, which can be taken only as a whole`},
	} {
		_, err := Compile(tc.msg.ProtoReflect().Descriptor(), Options{Taps: tc.taps})

		tap, ok := errors.AsType[*TapError](err)
		if !ok {
			t.Errorf("%+v: %v", tc.taps, err)
			continue
		}

		if tap.Tap != tc.tap || tap.Message != tc.want || err.Error() != tc.tap+": "+tc.want {
			t.Errorf("%+v:\n got %s: %s\nwant %s: %s", tc.taps, tap.Tap, tap.Message, tc.tap, tc.want)
		}
	}
}

// TestReadTapsPassesEmptyPackedParts checks that an empty part after the elements of a packed list does
// not change the id, whatever the size of its length.
func TestReadTapsPassesEmptyPackedParts(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{Taps: Taps{ID: "int32_list"}})

	const tag = 32

	for name, empty := range map[string][]byte{"one byte": {0}, "two bytes": {0x80, 0}, "three bytes": {0x80, 0x80, 0}} {
		wire := field(tag, []byte{1, 2, 7})
		wire = append(protowire.AppendTag(wire, tag, protowire.BytesType), empty...)

		var out Tapped
		if err := plan.ReadTaps(wire, &out); err != nil || string(out.ID) != "7" {
			t.Errorf("a length of %s: id %q, %v", name, out.ID, err)
		}
	}
}
