package route

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

func compileResume(tb testing.TB, spec ResumeSpec) *Resume {
	tb.Helper()

	r, err := CompileResume(spec, watchRequest(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestResumeErrors(t *testing.T) {
	t.Parallel()

	const needs = "; a cursor needs a field with a single string, bytes, integer or google.protobuf.Timestamp"

	field := func(path string) Spec { return Spec{Resume: &ResumeSpec{Field: path}} }
	set := func(path string, value any) Spec {
		return Spec{Resume: &ResumeSpec{Field: "after", Set: map[string]any{path: value}}}
	}
	offset := func(path string) Spec { return Spec{Resume: &ResumeSpec{Field: path, Offset: 1}} }

	for _, tt := range []struct {
		spec Spec
		want string
	}{
		{field(""), `resume.field: ssebridge.test.v1.WatchRequest has no field ""; it has topic, after, history, limit, kinds`},
		{field("aftr"), "resume.field: ssebridge.test.v1.WatchRequest has no field aftr; did you mean after?"},
		{field("kinds.nested.nam"), "resume.field: ssebridge.test.v1.Kinds.Nested has no field kinds.nested.nam; did you mean kinds.nested.name?"},
		{field("topic.x"), "resume.field: topic.x: topic has no fields to name"},
		{field("history"), "resume.field: history is a bool" + needs},
		{field("kinds.double_value"), "resume.field: kinds.double_value is a double" + needs},
		{field("kinds.color"), "resume.field: kinds.color is an enum" + needs},
		{field("kinds.nested"), "resume.field: kinds.nested is a ssebridge.test.v1.Kinds.Nested" + needs},
		{field("kinds.duration"), "resume.field: kinds.duration is a google.protobuf.Duration" + needs},
		{field("kinds.bool_wrapper"), "resume.field: kinds.bool_wrapper is a google.protobuf.BoolValue" + needs},
		{field("kinds.float_wrapper"), "resume.field: kinds.float_wrapper is a google.protobuf.FloatValue" + needs},
		{field("kinds.int64_list"), "resume.field: kinds.int64_list is repeated" + needs},
		{field("kinds.timestamp_list"), "resume.field: kinds.timestamp_list is repeated" + needs},
		{field("kinds.string_int64_map"), "resume.field: kinds.string_int64_map is a map" + needs},
		{field("kinds.string_int64_map.a"), "resume.field: kinds.string_int64_map.a is in a map" + needs},
		{field("kinds.int32_nested_map[1].name"), "resume.field: kinds.int32_nested_map[1].name is in a map" + needs},
		{field("kinds.nested_list.name"), "resume.field: kinds.nested_list.name: nested_list has no fields to name"},

		{offset("topic"), "resume.offset: only an integer takes an offset, and topic is a string"},
		{offset("kinds.bytes_wrapper"), "resume.offset: only an integer takes an offset, and kinds.bytes_wrapper is bytes"},
		{offset("kinds.timestamp"), "resume.offset: only an integer takes an offset, and kinds.timestamp is a google.protobuf.Timestamp"},

		{set("histroy", true), "resume.set.histroy: ssebridge.test.v1.WatchRequest has no field histroy; did you mean history?"},
		{set("history", 1), "resume.set.history: want true or false, got 1"},
		{set("kinds.color", "GREN"), `resume.set["kinds.color"]: want a name or number of ssebridge.test.v1.Color, got "GREN"`},
		{set("after", 1), "resume.set.after: after is bound by resume.field already"},
		{
			Spec{Resume: &ResumeSpec{Field: "kinds.choice_int64", Set: map[string]any{"kinds.choice_bool": true}}},
			`resume.set["kinds.choice_bool"]: choice_bool and choice_int64, which resume.field binds, are of the oneof choice: only one can be set`,
		},

		{
			Spec{Resume: &ResumeSpec{Field: "x", Set: map[string]any{"y": 1, "z.z": 1}}},
			"resume.field: ssebridge.test.v1.WatchRequest has no field x; it has topic, after, history, limit, kinds\nresume.set.y: ssebridge.test.v1.WatchRequest has no field y; it has topic, after, history, limit, kinds\n" +
				`resume.set["z.z"]: ssebridge.test.v1.WatchRequest has no field z.z; it has topic, after, history, limit, kinds`,
		},
	} {
		b, err := Compile(tt.spec, watchRequest(), nil)
		if got := text(err); got != tt.want || b != nil {
			t.Errorf("%+v %+v:\n got %s\nwant %s", tt.spec, *tt.spec.Resume, got, tt.want)
		}

		if _, ok := errors.AsType[*SpecError](err); !ok {
			t.Errorf("%+v: %v is not a *SpecError", tt.spec, err)
		}
	}

	if r, err := CompileResume(ResumeSpec{}, watchRequest(), nil); r != nil || err == nil {
		t.Errorf("got %v, %v", r, err)
	}

	if b := compile(t, openSpec); b.Resume() != nil {
		t.Error("a Spec without Resume compiles to a Resume")
	}
}

// TestResumeApply covers each kind of field, its bounds, and values beyond them.
func TestResumeApply(t *testing.T) {
	t.Parallel()

	const refused = "refused"

	for _, tt := range []struct {
		field  string
		offset int64
		cursor string
		want   string // the request's JSON, or refused
	}{
		{"topic", 0, "a b%~\n\x00", `{"topic":"a b%~\n\u0000"}`},
		{"topic", 0, "\xff", refused},
		{"kinds.optional_string", 0, "a", `{"kinds":{"optionalString":"a"}}`},
		{"kinds.string_wrapper", 0, "a", `{"kinds":{"stringWrapper":"a"}}`},
		{"kinds.recursive.nested.child.name", 0, "a", `{"kinds":{"recursive":{"nested":{"child":{"name":"a"}}}}}`},

		{"kinds.bytes_value", 0, "-_8", `{"kinds":{"bytesValue":"+/8="}}`},
		{"kinds.bytes_wrapper", 0, "AA", `{"kinds":{"bytesWrapper":"AA=="}}`},
		{"kinds.bytes_value", 0, "AA==", refused},
		{"kinds.bytes_value", 0, "+/8", refused},
		{"kinds.bytes_value", 0, "AB", refused}, // stray bits
		{"kinds.bytes_value", 0, "A\nA", refused},
		{"kinds.bytes_value", 0, "A", refused},

		{"kinds.timestamp", 0, "2026-01-31T12:00:00Z", `{"kinds":{"timestamp":"2026-01-31T12:00:00Z"}}`},
		{"kinds.timestamp", 0, "2026-01-31T12:00:00.000000001Z", `{"kinds":{"timestamp":"2026-01-31T12:00:00.000000001Z"}}`},
		{"kinds.timestamp", 0, "0001-01-01T00:00:00Z", `{"kinds":{"timestamp":"0001-01-01T00:00:00Z"}}`},
		{"kinds.timestamp", 0, "1970-01-01T00:00:00Z", `{"kinds":{"timestamp":"1970-01-01T00:00:00Z"}}`},
		{"kinds.timestamp", 0, "2026-01-31T12:00:00+01:00", refused},
		{"kinds.timestamp", 0, "2026-01-31T12:00:00.0Z", refused},
		{"kinds.timestamp", 0, "2026-01-31", refused},
		{"kinds.timestamp", 0, "10000-01-01T00:00:00Z", refused},
		{"kinds.timestamp", 0, `2026-01-31T12:00:00Z"`, refused},

		{"after", 0, "7", `{"after":"7"}`},
		{"after", 1, "7", `{"after":"8"}`},
		{"after", -8, "7", `{"after":"-1"}`},
		{"after", -7, "7", refused},
		{"after", 0, "9223372036854775807", `{"after":"9223372036854775807"}`},
		{"after", 0, "-9223372036854775808", `{"after":"-9223372036854775808"}`},
		{"after", 0, "9223372036854775808", refused},
		{"after", 0, "-9223372036854775809", refused},
		{"after", 1, "9223372036854775807", refused},
		{"after", -1, "-9223372036854775808", refused},
		{"after", -1, "9223372036854775808", `{"after":"9223372036854775807"}`}, // the cursor is wider than the field
		{"after", math.MinInt64, "18446744073709551615", `{"after":"9223372036854775807"}`},
		{"after", math.MaxInt64, "-9223372036854775808", `{"after":"-1"}`},
		{"after", 0, "99999999999999999999999", refused},
		{"after", 0, "", refused},
		{"after", 0, "+7", refused},
		{"after", 0, "-0", refused},
		{"after", 0, "07", refused},
		{"after", 0, "7.0", refused},
		{"after", 0, "7e0", refused},
		{"after", 0, " 7", refused},
		{"after", 0, "0x7", refused},
		{"after", 0, "1_000", refused},
		{"after", 0, "NaN", refused},

		{"limit", 0, "0", `{"limit":0}`}, // has presence
		{"limit", 1, "2147483646", `{"limit":2147483647}`},
		{"limit", 1, "2147483647", refused},
		{"kinds.int32_value", -1, "-2147483647", `{"kinds":{"int32Value":-2147483648}}`},
		{"kinds.int32_value", -1, "-2147483648", refused},
		{"kinds.sint32_value", 0, "-2147483648", `{"kinds":{"sint32Value":-2147483648}}`},
		{"kinds.sint32_value", 0, "-2147483649", refused},
		{"kinds.sint64_value", 0, "-9223372036854775808", `{"kinds":{"sint64Value":"-9223372036854775808"}}`},
		{"kinds.sint64_value", 1, "9223372036854775807", refused},
		{"kinds.sfixed32_value", 0, "2147483647", `{"kinds":{"sfixed32Value":2147483647}}`},
		{"kinds.sfixed32_value", 1, "2147483647", refused},
		{"kinds.sfixed64_value", 0, "-1", `{"kinds":{"sfixed64Value":"-1"}}`},
		{"kinds.sfixed64_value", -1, "-9223372036854775808", refused},
		{"kinds.uint32_value", 1, "4294967294", `{"kinds":{"uint32Value":4294967295}}`},
		{"kinds.uint32_value", 1, "4294967295", refused},
		{"kinds.uint32_value", 0, "-1", refused},
		{"kinds.uint64_value", 1, "18446744073709551614", `{"kinds":{"uint64Value":"18446744073709551615"}}`},
		{"kinds.uint64_value", 1, "18446744073709551615", refused},
		{"kinds.uint64_value", -1, "0", refused},
		{"kinds.fixed32_value", 0, "4294967295", `{"kinds":{"fixed32Value":4294967295}}`},
		{"kinds.fixed32_value", 0, "4294967296", refused},
		{"kinds.fixed64_value", 0, "18446744073709551615", `{"kinds":{"fixed64Value":"18446744073709551615"}}`},
		{"kinds.fixed64_value", 0, "18446744073709551616", refused},
		{"kinds.optional_uint64", 0, "0", `{"kinds":{"optionalUint64":"0"}}`},
		{"kinds.choice_int64", 0, "0", `{"kinds":{"choiceInt64":"0"}}`},
		{"kinds.int32_wrapper", 1, "1", `{"kinds":{"int32Wrapper":2}}`},
		{"kinds.int32_wrapper", 0, "2147483648", refused},
		{"kinds.int64_wrapper", 0, "0", `{"kinds":{"int64Wrapper":"0"}}`},
		{"kinds.uint32_wrapper", 0, "-1", refused},
		{"kinds.uint64_wrapper", 0, "18446744073709551615", `{"kinds":{"uint64Wrapper":"18446744073709551615"}}`},
	} {
		r := compileResume(t, ResumeSpec{Field: tt.field, Offset: tt.offset})

		wire, err := r.Apply(nil, []byte(tt.cursor))
		if tt.want == refused {
			if err == nil || len(wire) != 0 {
				t.Errorf("%s %q + %d: got %q, %v; want an error", tt.field, tt.cursor, tt.offset, wire, err)
			}
			continue
		}

		if err != nil {
			t.Errorf("%s %q + %d: %v", tt.field, tt.cursor, tt.offset, err)
			continue
		}

		want := &testv1.WatchRequest{}
		if err := protojson.Unmarshal([]byte(tt.want), want); err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(want, decode(t, Bound{Wire: wire}), protocmp.Transform()); diff != "" {
			t.Errorf("%s %q + %d: -want +got:\n%s", tt.field, tt.cursor, tt.offset, diff)
		}
	}
}

// TestResumeMerges resumes a request that also sets other fields of the same messages.
func TestResumeMerges(t *testing.T) {
	t.Parallel()

	b := compile(t, Spec{
		Resume: &ResumeSpec{Field: "kinds.nested.child.number", Offset: 1, Set: map[string]any{
			"kinds.color": "COLOR_GREEN", "kinds.string_int64_map.from": 1, "kinds.string_list": []any{"a", "b"}, "history": true,
		}},
		Params: []string{"topic"},
		Set:    map[string]any{"kinds.nested.child.name": "set"},
		Query:  Fields{All: true}, Body: Fields{All: true},
	})

	bound, err := request{
		params: map[string]string{"topic": "t"}, query: "kinds.nested.name=q",
		body: `{"kinds":{"nested":{"child":{"tags":["x"],"child":{"name":"deep"}}},"stringInt64Map":{"other":"2"}}}`,
	}.bind(b)
	if err != nil {
		t.Fatal(err)
	}

	plain := bytes.Clone(bound.Wire)
	first := decode(t, bound)

	if n := first.GetKinds(); n.GetNested().GetChild().GetNumber() != 0 || n.GetColor() != 0 || first.GetHistory() {
		t.Errorf("without a cursor: got %v", first)
	}

	wire, err := b.Resume().Apply(bound.Wire, []byte("41"))
	if err != nil {
		t.Fatal(err)
	}

	want := &testv1.WatchRequest{}
	if err := protojson.Unmarshal([]byte(`{"topic":"t","history":true,"kinds":{"color":"COLOR_GREEN","stringList":["a","b"],
		"stringInt64Map":{"from":"1","other":"2"},
		"nested":{"name":"q","child":{"name":"set","number":42,"tags":["x"],"child":{"name":"deep"}}}}}`), want); err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(want, decode(t, Bound{Wire: wire}), protocmp.Transform()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	again, err := b.Resume().Apply(bound.Wire, []byte("41"))
	if err != nil || !bytes.Equal(again, wire) {
		t.Errorf("applied twice: %q and %q, %v", wire, again, err)
	}

	if got, err := b.Resume().Apply(plain, []byte("x")); err == nil || got != nil {
		t.Errorf("an invalid cursor gives %q", got)
	}

	if !bytes.Equal(bound.Wire, plain) {
		t.Error("Apply changed the request")
	}

	if got, err := b.Resume().Apply([]byte("\xff"), []byte("41")); err == nil {
		t.Errorf("an invalid request gives %q", got)
	}
}

// TestResumeOverrides checks that the fields for resuming replace the values of every other source:
// defaults, lists, maps, messages and oneofs too.
func TestResumeOverrides(t *testing.T) {
	t.Parallel()

	resume := &ResumeSpec{Field: "after", Set: map[string]any{
		"history": false, "kinds.color": "COLOR_GREEN", "kinds.string_list": []any{"b"}, "kinds.nested": map[string]any{"number": 2},
		"kinds.string_int64_map": map[string]any{"b": 2}, "kinds.choice_int64": 7, "kinds.int32_nested_map[1].name": "b", "topic": "resumed",
	}}

	for name, source := range map[string]struct {
		spec Spec
		request
	}{
		"set": {spec: Spec{Set: map[string]any{
			"after": 3, "topic": "t", "history": true, "kinds.color": "COLOR_RED", "kinds.string_list": []any{"a"}, "kinds.nested": map[string]any{"name": "a"},
			"kinds.string_int64_map": map[string]any{"a": 1}, "kinds.choice_bool": true, "kinds.int32_nested_map[1]": map[string]any{"name": "a", "number": 1},
		}}},
		"path and headers": {
			spec: Spec{
				Params:  []string{"topic", "kinds.choice_bool"},
				Headers: map[string]string{"x-after": "after", "x-color": "kinds.color", "x-list": "kinds.string_list"},
				Set:     map[string]any{"kinds.int32_nested_map[1].number": 1},
			},
			request: request{
				params:  map[string]string{"topic": "t", "kinds.choice_bool": "true"},
				headers: []string{"x-after: 3", "x-color: COLOR_RED", "x-list: a"},
			},
		},
		"query": {
			spec:    Spec{Query: Fields{Paths: []string{"after", "topic", "kinds.color", "kinds.string_list", "kinds.choice_bool"}}, Set: map[string]any{"kinds.int32_nested_map[1].number": 1}},
			request: request{query: "after=3&topic=t&kinds.color=COLOR_RED&kinds.string_list=a&kinds.choice_bool=true"},
		},
		"body": {
			spec: Spec{Body: Fields{All: true, Paths: nil}},
			request: request{body: `{"topic":"t","history":true,"kinds":{"color":"COLOR_RED","stringList":["a"],"nested":{"name":"a"},
				"stringInt64Map":{"a":"1"},"choiceBool":true,"int32NestedMap":{"1":{"name":"a","number":1}}}}`},
		},
	} {
		source.spec.Resume = resume
		b := compile(t, source.spec)

		bound, err := source.bind(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}

		if got := decode(t, bound); got.GetTopic() != "t" || got.GetKinds().GetColor() != testv1.Color_COLOR_RED {
			t.Errorf("%s: without a cursor: %v", name, got)
		}

		wire, err := b.Resume().Apply(bound.Wire, []byte("41"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}

		want := &testv1.WatchRequest{}
		if err := protojson.Unmarshal([]byte(`{"topic":"resumed","after":"41","kinds":{"color":"COLOR_GREEN","stringList":["b"],"nested":{"number":2},
			"stringInt64Map":{"b":"2"},"choiceInt64":"7","int32NestedMap":{"1":{"name":"b","number":1}}}}`), want); err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(want, decode(t, Bound{Wire: wire}), protocmp.Transform()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// TestCursorFieldIsClosed checks that a client sets the cursor's field only if the query or the body
// lists it.
func TestCursorFieldIsClosed(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		query, body Fields
		open        bool
	}{
		{Fields{All: true}, Fields{All: true}, false},
		{Fields{Paths: []string{"after"}}, Fields{All: true}, true},
		{Fields{All: true}, Fields{Paths: []string{"after"}}, true},
	} {
		b := compile(t, Spec{Resume: &ResumeSpec{Field: "after", Set: map[string]any{"history": true}}, Query: tt.query, Body: tt.body})

		_, err := request{query: "after=1"}.bind(b)
		if (err == nil) != tt.open {
			t.Errorf("query %+v, body %+v: %v", tt.query, tt.body, err)
		}

		if _, err := (request{body: `{"history":false}`}).bind(b); (err == nil) != tt.body.All {
			t.Errorf("a body that sets history: %v; resume.set closes no field", err)
		}
	}
}

func TestResumeKinds(t *testing.T) {
	t.Parallel()

	for field, want := range map[string]CursorKind{
		"topic": CursorString, "kinds.string_wrapper": CursorString, "kinds.bytes_value": CursorBytes, "kinds.bytes_wrapper": CursorBytes,
		"after": CursorInteger, "kinds.fixed32_value": CursorInteger, "kinds.uint64_wrapper": CursorInteger, "kinds.timestamp": CursorTimestamp,
	} {
		r := compileResume(t, ResumeSpec{Field: field})
		if r.Kind() != want {
			t.Errorf("%s: got %v", field, r.Kind())
		}
	}

	if got := CursorKind(9).String(); got != "unknown" {
		t.Errorf("got %s", got)
	}
}

// TestResumeOfOtherMessages covers requests that are not an object of their fields, and required fields
// that only the request sets.
func TestResumeOfOtherMessages(t *testing.T) {
	t.Parallel()

	wrapped, err := CompileResume(ResumeSpec{Field: "value"}, (&wrapperspb.Int64Value{}).ProtoReflect().Descriptor(), nil)
	if err != nil {
		t.Fatal(err)
	}

	if wire, err := wrapped.Apply(nil, []byte("5")); err != nil || string(wire) != "\x08\x05" {
		t.Errorf("got %q, %v", wire, err)
	}

	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("old_resume.proto"), Package: new("old"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Request"), Field: []*descriptorpb.FieldDescriptorProto{
			{
				Name: new("must"), JsonName: new("must"), Number: new(int32(1)),
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum(),
			},
			{
				Name: new("after"), JsonName: new("after"), Number: new(int32(2)),
				Type: descriptorpb.FieldDescriptorProto_TYPE_UINT64.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			},
		}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}

	old := file.Messages().Get(0)

	r, err := CompileResume(ResumeSpec{Field: "after"}, old, nil)
	if err != nil {
		t.Fatal(err)
	}

	wire, err := r.Apply([]byte("\x0a\x01a"), []byte("0"))
	if err != nil {
		t.Fatal(err)
	}

	m := dynamicpb.NewMessage(old)
	if err := proto.Unmarshal(wire, m); err != nil || m.Get(old.Fields().ByName("must")).String() != "a" || !m.Has(old.Fields().ByName("after")) {
		t.Errorf("got %v, %v", m, err)
	}
}

// TestCursorErrorsAreSafeToLog checks that no raw part of an id reaches an error.
func TestCursorErrorsAreSafeToLog(t *testing.T) {
	t.Parallel()

	evil := "\xff\x1b[31m\r\nINJECTED \u202e" + strings.Repeat("9", 5000)

	for _, field := range []string{"topic", "after", "kinds.bytes_value", "kinds.timestamp"} {
		_, err := compileResume(t, ResumeSpec{Field: field}).Apply(nil, []byte(evil))
		if err == nil || len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\x1b\r\n\u202e") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

// FuzzResume checks that Apply accepts a cursor only in its canonical form: the field's value renders
// as the same text again, and no other field of the request changes.
func FuzzResume(f *testing.F) {
	fields := []string{"topic", "kinds.bytes_value", "after", "kinds.uint64_value", "kinds.int32_value", "kinds.timestamp"}
	resumes := make([]*Resume, len(fields))

	for i, field := range fields {
		resumes[i] = compileResume(f, ResumeSpec{Field: field})
	}

	for _, cursor := range []string{"", "0", "7", "-1", "18446744073709551615", "1e3", "AA", "-_8", "A\nA", "2026-01-31T12:00:00Z", "\xff"} {
		f.Add(cursor)
	}

	before := &testv1.WatchRequest{History: true, Kinds: &testv1.Kinds{StringValue: "kept"}}

	f.Fuzz(func(t *testing.T, cursor string) {
		for i, r := range resumes {
			prefix, err := proto.Marshal(before)
			if err != nil {
				t.Fatal(err)
			}

			wire, err := r.Apply(prefix, []byte(cursor))
			if err != nil {
				continue
			}

			got := decode(t, Bound{Wire: wire})
			if written := writtenCursor(t, got, r.place); written != cursor {
				t.Fatalf("%s: %q became %q", fields[i], cursor, written)
			}

			if !got.GetHistory() || got.GetKinds().GetStringValue() != "kept" {
				t.Fatalf("%s: %q changed %v", fields[i], cursor, got)
			}
		}
	})
}

// writtenCursor returns a field's value in the transcoder's form of an id.
func writtenCursor(t *testing.T, m proto.Message, p place) string {
	t.Helper()

	at := m.ProtoReflect()
	for _, s := range p.steps[:len(p.steps)-1] {
		at = at.Get(at.Descriptor().Fields().ByName(s.field.Name())).Message()
	}

	field := at.Descriptor().Fields().ByName(p.field().Name())
	v := at.Get(field)

	switch field.Kind() {
	case protoreflect.BytesKind:
		return base64.RawURLEncoding.EncodeToString(v.Bytes())
	case protoreflect.MessageKind:
		text, err := protojson.Marshal(v.Message().Interface())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Trim(string(text), `"`)
	default:
		return v.String()
	}
}
