package route

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

func TestCompileErrors(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		spec Spec
		want string
	}{
		{
			Spec{Set: map[string]any{"histroy": true}},
			"request.set.histroy: ssebridge.test.v1.WatchRequest has no field histroy; did you mean history?",
		},
		{
			Spec{Params: []string{"kinds.nested.nam"}},
			"path: ssebridge.test.v1.Kinds.Nested has no field kinds.nested.nam; did you mean kinds.nested.name?",
		},
		{Spec{Params: []string{"room"}}, "path: ssebridge.test.v1.WatchRequest has no field room; it has topic, after, history, limit, kinds"},
		{Spec{Params: []string{"topic.x"}}, "path: topic.x: topic has no fields to name"},
		{Spec{Params: []string{"kinds"}}, "path: kinds is a ssebridge.test.v1.Kinds; a path variable needs a field with a single value"},
		{Spec{Params: []string{"kinds.int32_list"}}, "path: kinds.int32_list is repeated; a path variable needs a field with a single value"},
		{Spec{Params: []string{"kinds.string_string_map"}}, "path: kinds.string_string_map is a map; a path variable needs a field with a single value"},
		{Spec{Params: []string{"kinds.string_string_map.a"}}, "path: kinds.string_string_map.a is in a map; a path variable needs a field with a single value"},
		{Spec{Params: []string{"topic"}, Set: map[string]any{"topic": "a"}}, "path: topic is bound by request.set.topic already"},
		{
			Spec{Set: map[string]any{"kinds.nested.name": "a"}, Params: []string{"kinds.nested.name"}},
			`path: kinds.nested.name is bound by request.set["kinds.nested.name"] already`,
		},
		{
			Spec{Headers: map[string]string{"x-a": "kinds.int32Value", "x-b": "kinds.int32_value"}},
			"request.headers.x-b: kinds.int32_value is bound by request.headers.x-a already",
		},
		{
			Spec{Headers: map[string]string{"X-A": "kinds.int32_value", "x-a": "topic"}},
			"request.headers.x-a: the header is bound twice",
		},
		{
			Spec{Set: map[string]any{"kinds.choice_string": "a"}, Params: []string{"kinds.choice_nested.name"}},
			`path: choice_nested and choice_string, which request.set["kinds.choice_string"] binds, are of the oneof choice: only one can be set`,
		},
		{
			Spec{Set: map[string]any{"kinds.choice_string": "a"}, Query: Fields{Paths: []string{"kinds.choice_bool"}}},
			`request.query[0]: kinds.choice_bool is closed to clients by request.set["kinds.choice_string"]: the route sets choice_string of the oneof choice`,
		},
		{Spec{Params: []string{"topic"}, Body: Fields{Paths: []string{"limit", "topic"}}}, "request.body[1]: topic is closed to clients by path: it is set by the route"},
		{Spec{Query: Fields{Paths: []string{"limt"}}}, "request.query[0]: ssebridge.test.v1.WatchRequest has no field limt; did you mean limit?"},
		{Spec{Query: Fields{Paths: []string{"kinds", "kinds.nested"}}}, "request.query[1]: kinds.nested is listed twice, itself or with what is beneath it"},
		{Spec{Query: Fields{Paths: []string{"kinds.int64_string_map[x]"}}}, `request.query[0]: kinds.int64_string_map[x]: the key "x" is not a 64-bit integer`},

		{Spec{Set: map[string]any{"history": "true"}}, `request.set.history: want true or false, got the string "true"`},
		{Spec{Set: map[string]any{"history": 1}}, "request.set.history: want true or false, got 1"},
		{Spec{Set: map[string]any{"topic": 5}}, "request.set.topic: want a string, got 5"},
		{Spec{Set: map[string]any{"topic": nil}}, "request.set.topic: must not be null; leave the key out"},
		{Spec{Set: map[string]any{"topic": []any{"a"}}}, "request.set.topic: want a string, got a list"},
		{Spec{Set: map[string]any{"topic": map[string]any{}}}, "request.set.topic: want a string, got a mapping"},
		{Spec{Set: map[string]any{"limit": int64(math.MaxInt32 + 1)}}, `request.set.limit: want a 32-bit integer, got "2147483648"`},
		{Spec{Set: map[string]any{"limit": 1.5}}, `request.set.limit: want a 32-bit integer, got "1.5"`},
		{Spec{Set: map[string]any{"limit": true}}, "request.set.limit: want a 32-bit integer, got true"},
		{Spec{Set: map[string]any{"kinds": "a"}}, `request.set.kinds: want an object, got "a"`},
		{Spec{Set: map[string]any{"kinds": map[string]any{"nested": map[string]any{"nam": 1}}}}, "request.set.kinds: nested.nam: unknown field; did you mean nested.name?"},
		{Spec{Set: map[string]any{"kinds.nested": map[string]any{"name": 5}}}, `request.set["kinds.nested"]: name: want a string, got 5`},
		{Spec{Set: map[string]any{"kinds.nested": map[string]any{"tags": []any{"a", nil}}}}, `request.set["kinds.nested"]: tags[1]: want a string, got null`},
		{Spec{Set: map[string]any{"kinds.nested_list": map[string]any{}}}, `request.set["kinds.nested_list"]: want a list, got a mapping`},
		{Spec{Set: map[string]any{"kinds.nested_list": []any{map[string]any{}, 1}}}, `request.set["kinds.nested_list"]: [1]: want an object, got 1`},
		{Spec{Set: map[string]any{"kinds.int64_string_map": map[string]any{"x": "a"}}}, `request.set["kinds.int64_string_map"]: the key "x" is not a 64-bit integer`},
		{Spec{Set: map[string]any{"kinds.empty": map[string]any{"a": 1}}}, `request.set["kinds.empty"]: a: unknown field`},
		{Spec{Set: map[string]any{"kinds.empty": nil}}, `request.set["kinds.empty"]: must not be null; leave the key out`},
		{Spec{Set: map[string]any{"kinds.any": map[string]any{"@type": "x/no.Such"}}}, `request.set["kinds.any"]: unable to resolve "x/no.Such": "not found"`},
		{Spec{Set: map[string]any{"kinds.struct": map[string]any{"a": make(chan int)}}}, `request.set["kinds.struct"]: a: want a string, a number, true, false, null, or a list or a mapping of them`},
		{Spec{Set: map[string]any{"kinds.choice_nested": map[string]any{}, "kinds.choice_string": "a"}}, `request.set["kinds.choice_string"]: choice_string and choice_nested, which request.set["kinds.choice_nested"] binds, are of the oneof choice: only one can be set`},
		{Spec{Set: map[string]any{"kinds.nested": map[string]any{}}, Params: []string{"kinds.nested.name"}}, `path: kinds.nested.name is bound by request.set["kinds.nested"] already`},
		{Spec{Set: map[string]any{"kinds.int32_list": 1}}, `request.set["kinds.int32_list"]: want a list, got 1`},
		{Spec{Set: map[string]any{"kinds.int32_list": []any{1, "x"}}}, `request.set["kinds.int32_list"]: element 1: want a 32-bit integer, got "x"`},
		{Spec{Set: map[string]any{"kinds.timestamp": 5}}, `request.set["kinds.timestamp"]: want an RFC 3339 time such as 2026-01-31T12:00:00Z, got 5`},
		{Spec{Set: map[string]any{"kinds.color": "COLOR_GREN"}}, `request.set["kinds.color"]: want a name or number of ssebridge.test.v1.Color, got "COLOR_GREN"; did you mean COLOR_GREEN?`},

		{Spec{Metadata: []Metadata{{Name: "a"}, {Name: "A"}}}, "request.metadata[1]: a is listed twice"},
		{Spec{Metadata: []Metadata{{Name: ""}}}, `request.metadata[0]: "" is no name of metadata`},
		{Spec{Metadata: []Metadata{{Name: ":path"}}}, `request.metadata[0]: ":path" is no name of metadata`},
		{Spec{Metadata: []Metadata{{Name: "Grpc-Timeout"}}}, "request.metadata[0]: grpc-timeout belongs to the transport and cannot be forwarded"},
		{Spec{Metadata: []Metadata{{Name: "Host"}}}, "request.metadata[0]: host belongs to the transport and cannot be forwarded"},
		{
			Spec{Params: []string{"x"}, Set: map[string]any{"y": 1}},
			"request.set.y: ssebridge.test.v1.WatchRequest has no field y; it has topic, after, history, limit, kinds\npath: ssebridge.test.v1.WatchRequest has no field x; it has topic, after, history, limit, kinds",
		},
	} {
		b, err := Compile(tt.spec, watchRequest(), nil)
		if got := text(err); got != tt.want || b != nil {
			t.Errorf("%+v:\n got %s\nwant %s", tt.spec, got, tt.want)
		}

		if _, ok := errors.AsType[*SpecError](err); !ok {
			t.Errorf("%+v: %v is not a *SpecError", tt.spec, err)
		}
	}
}

// TestConstants compares constants with their proto3 JSON.
func TestConstants(t *testing.T) {
	t.Parallel()

	b := compile(t, Spec{Set: map[string]any{
		"topic": "5", "after": "7", "limit": uint64(0), "history": false,
		"kinds.double_value": 1, "kinds.float_value": float32(0.1), "kinds.optional_double": math.Inf(1), "kinds.optional_float": math.Inf(-1),
		"kinds.int32_value": 5.0, "kinds.int64_value": int64(math.MinInt64), "kinds.uint64_value": uint64(math.MaxUint64),
		"kinds.sfixed64_value": json.Number("1e3"), "kinds.bytes_value": "-_8", "kinds.color": 7, "kinds.optional_color": "COLOR_RED",
		"kinds.color_list": []any{"COLOR_RED", 2}, "kinds.timestamp": "2026-01-31T12:00:00Z", "kinds.duration": "3s",
		"kinds.bool_wrapper": true, "kinds.int64_wrapper": 3, "kinds.double_wrapper": math.NaN(), "kinds.string_wrapper": "a",
		"kinds.timestamp_list": []any{"2026-01-31T12:00:00Z"}, "kinds.string_int64_map[a.b]": 1, "kinds.int32_nested_map.1.name": "n",
		"kinds.string_list": []any{},
		"kinds.nested":      map[string]any{"name": "n", "child": map[string]any{"tags": []any{"a", "b"}}}, "kinds.empty": map[string]any{},
		"kinds.nested_list": []any{map[string]any{}, map[string]any{"color": "COLOR_RED"}}, "kinds.choice_nested": map[string]any{},
		"kinds.bool_color_map": map[string]any{"true": 1}, "kinds.struct": map[string]any{"a": []any{1.5, nil, true, "x"}},
		"kinds.value": nil, "kinds.list_value": []any{map[string]any{}}, "kinds.value_list": []any{nil, 1},
		"kinds.any":       map[string]any{"@type": "type.googleapis.com/ssebridge.test.v1.Note", "text": "a"},
		"kinds.recursive": map[string]any{"doubleValue": math.Inf(1), "int64Value": uint64(math.MaxInt64)},
	}})

	want := &testv1.WatchRequest{}
	if err := protojson.Unmarshal([]byte(`{"topic":"5","after":7,"limit":0,"kinds":{"doubleValue":1,"floatValue":0.1,
		"optionalDouble":"Infinity","optionalFloat":"-Infinity","int32Value":5,"int64Value":"-9223372036854775808",
		"uint64Value":"18446744073709551615","sfixed64Value":1000,"bytesValue":"+/8=","color":"COLOR_BLUE","optionalColor":"COLOR_RED",
		"colorList":["COLOR_RED","COLOR_GREEN"],"timestamp":"2026-01-31T12:00:00Z","duration":"3s","boolWrapper":true,"int64Wrapper":3,
		"doubleWrapper":"NaN","stringWrapper":"a","timestampList":["2026-01-31T12:00:00Z"],"stringInt64Map":{"a.b":1},
		"int32NestedMap":{"1":{"name":"n"}},"nested":{"name":"n","child":{"tags":["a","b"]}},"empty":{},"nestedList":[{},{"color":1}],
		"choiceNested":{},"boolColorMap":{"true":1},"struct":{"a":[1.5,null,true,"x"]},"value":null,"listValue":[{}],"valueList":[null,1],
		"any":{"@type":"type.googleapis.com/ssebridge.test.v1.Note","text":"a"},
		"recursive":{"doubleValue":"Infinity","int64Value":"9223372036854775807"}}}`), want); err != nil {
		t.Fatal(err)
	}

	for range 2 {
		bound, err := request{}.bind(b)
		if err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(want, decode(t, bound), protocmp.Transform(), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// TestOpaqueRequests covers messages whose JSON is not an object of their fields.
func TestOpaqueRequests(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		input   protoreflect.ProtoMessage
		request request
		want    string
	}{
		{&wrapperspb.StringValue{}, request{body: `"a"`}, "\x0a\x01a"},
		{&wrapperspb.StringValue{}, request{query: "value=a"}, "\x0a\x01a"},
		{&wrapperspb.StringValue{}, request{query: "value=a", body: `"b"`}, "400 value: it is given in the query, but the body is the whole request"},
		{&wrapperspb.StringValue{}, request{body: `5`}, `400 : the body is no google.protobuf.StringValue: invalid value for string field value: 5`},
		{&timestamppb.Timestamp{}, request{body: `"1970-01-01T00:00:01Z"`}, "\x08\x01"},
		{&structpb.Struct{}, request{body: `{}`}, ""},
		{&emptypb.Empty{}, request{}, ""},
		{&emptypb.Empty{}, request{body: `{}`}, ""},
		{&emptypb.Empty{}, request{body: `{"a":1}`}, "400 a: unknown field"},
		{&emptypb.Empty{}, request{query: "a=1"}, "400 a: unknown field (for the operator: the route's request.ignore lists names to ignore)"},
	} {
		b, err := Compile(openSpec, tt.input.ProtoReflect().Descriptor(), nil)
		if err != nil {
			t.Fatal(err)
		}

		bound, err := tt.request.bind(b)

		got := string(bound.Wire)
		if err != nil {
			got = outcome(err)
		}

		if got != tt.want {
			t.Errorf("%T %+v: got %q; want %q", tt.input, tt.request, got, tt.want)
		}
	}

	_, err := Compile(Spec{Set: map[string]any{"value": "a"}, Body: Fields{All: true}}, (&wrapperspb.StringValue{}).ProtoReflect().Descriptor(), nil)

	want := "request.body: the JSON of google.protobuf.StringValue is its whole value, so nothing else may set its fields, as request.set.value does"
	if got := text(err); got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}

// An error cuts a long list of query fields, so that a typo does not produce a page of names.
func TestLongListOfNamesIsCut(t *testing.T) {
	names := strings.Split("a b c d e f g h i j k l m n", " ")
	if got, want := listed(names), "a, b, c, d, e, f, g, h, i, j, k, l, …"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := listed(names[:12]), "a, b, c, d, e, f, g, h, i, j, k, l"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
