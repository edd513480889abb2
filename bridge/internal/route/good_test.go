package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// TestGoodRequests compares the bound message with one in proto3 JSON.
func TestGoodRequests(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name    string
		spec    Spec
		request request
		want    string
	}{
		{"nothing", openSpec, request{}, `{}`},
		{"empty pairs", openSpec, request{query: "&&topic=a&"}, `{"topic":"a"}`},
		{"reserved names", openSpec, request{query: "last_event_id=a&lastEventId=b&topic=c"}, `{"topic":"c"}`},
		{"a semicolon is no separator", openSpec, request{query: "topic=a;limit=2"}, `{"topic":"a;limit=2"}`},
		{"escapes", openSpec, request{query: "to%70ic=a+b%20c%26d%3D"}, `{"topic":"a b c&d="}`},
		{"an equals sign in a value", openSpec, request{query: "topic=a=b"}, `{"topic":"a=b"}`},
		{"no value", openSpec, request{query: "topic"}, `{}`},
		{"presence of zero", openSpec, request{query: "limit=0"}, `{"limit":0}`},
		{"JSON names", openSpec, request{query: "kinds.int32Value=1&kinds.nested.child.name=a"}, `{"kinds":{"int32Value":1,"nested":{"child":{"name":"a"}}}}`},
		{"proto names", openSpec, request{query: "kinds.int32_value=1"}, `{"kinds":{"int32Value":1}}`},
		{"both, by segment", openSpec, request{query: "kinds.choiceNested.child.number=1"}, `{"kinds":{"choiceNested":{"child":{"number":1}}}}`},
		{"a JSON name of its own", openSpec, request{query: "kinds.@renamed=a"}, `{"kinds":{"renamed":"a"}}`},
		{"recursion", openSpec, request{query: "kinds.recursive.recursive.bool_value=true"}, `{"kinds":{"recursive":{"recursive":{"boolValue":true}}}}`},
		{
			"integers", openSpec,
			request{query: "kinds.int32_value=-2147483648&kinds.int64_value=-9223372036854775808&kinds.uint32_value=4294967295" +
				"&kinds.uint64_value=18446744073709551615&kinds.sint32_value=-1&kinds.sint64_value=-2&kinds.fixed32_value=3" +
				"&kinds.fixed64_value=4&kinds.sfixed32_value=-5&kinds.sfixed64_value=1e3&after=123456789&limit=2147483647"},
			`{"after":"123456789","limit":2147483647,"kinds":{"int32Value":-2147483648,"int64Value":"-9223372036854775808",
				"uint32Value":4294967295,"uint64Value":"18446744073709551615","sint32Value":-1,"sint64Value":"-2",
				"fixed32Value":3,"fixed64Value":"4","sfixed32Value":-5,"sfixed64Value":"1000"}}`,
		},
		{
			"floats", openSpec,
			request{query: "kinds.double_value=-1.5e300&kinds.float_value=NaN&kinds.optional_double=Infinity&kinds.optional_float=-Infinity"},
			`{"kinds":{"doubleValue":-1.5e300,"floatValue":"NaN","optionalDouble":"Infinity","optionalFloat":"-Infinity"}}`,
		},
		{"bool", openSpec, request{query: "history=true&kinds.optional_bool=false"}, `{"history":true,"kinds":{"optionalBool":false}}`},
		{"base64", openSpec, request{query: "kinds.bytes_value=%2B/8="}, `{"kinds":{"bytesValue":"+/8="}}`},
		{"base64 for URLs", openSpec, request{query: "kinds.bytes_value=-_8"}, `{"kinds":{"bytesValue":"+/8="}}`},
		{"no bytes", openSpec, request{query: "kinds.optional_bytes="}, `{"kinds":{"optionalBytes":""}}`},
		{"enum by name", openSpec, request{query: "kinds.color=COLOR_BLUE"}, `{"kinds":{"color":"COLOR_BLUE"}}`},
		{"enum by number", openSpec, request{query: "kinds.color=-1"}, `{"kinds":{"color":"COLOR_ULTRAVIOLET"}}`},
		{"enum by a number without a name", openSpec, request{query: "kinds.color=99"}, `{"kinds":{"color":99}}`},
		{
			"lists", openSpec,
			request{query: "kinds.string_list=b&kinds.int32_list=1&kinds.stringList=a&kinds.int32_list=2&kinds.color_list=COLOR_RED&kinds.color_list=7" +
				"&kinds.bytes_list=AQ&kinds.timestamp_list=2026-01-31T12:00:00Z"},
			`{"kinds":{"stringList":["b","a"],"int32List":[1,2],"colorList":["COLOR_RED","COLOR_BLUE"],"bytesList":["AQ=="],
				"timestampList":["2026-01-31T12:00:00Z"]}}`,
		},
		{
			"maps", openSpec,
			request{query: "kinds.string_string_map[a.b]=1&kinds.string_string_map[]=2&kinds.stringStringMap.c=3&kinds.int64_string_map[-1]=x" +
				"&kinds.bool_color_map.true=COLOR_RED&kinds.int32_nested_map[1].name=n&kinds.int32_nested_map.1.number=5" +
				"&kinds.uint32_string_map[1]=u&kinds.uint64_string_map[2]=v&kinds.string_timestamp_map[t]=2026-01-31T12:00:00Z"},
			`{"kinds":{"stringStringMap":{"a.b":"1","":"2","c":"3"},"int64StringMap":{"-1":"x"},"boolColorMap":{"true":"COLOR_RED"},
				"int32NestedMap":{"1":{"name":"n","number":5}},"uint32StringMap":{"1":"u"},"uint64StringMap":{"2":"v"},
				"stringTimestampMap":{"t":"2026-01-31T12:00:00Z"}}}`,
		},
		{
			"well-known types", openSpec,
			request{query: "kinds.timestamp=2026-01-31T12:00:00.5%2B01:00&kinds.duration=-1.5s&kinds.field_mask=a,b.cD"},
			`{"kinds":{"timestamp":"2026-01-31T11:00:00.500Z","duration":"-1.500s","fieldMask":"a,b.cD"}}`,
		},
		{
			"wrappers", openSpec,
			request{query: "kinds.double_wrapper=0&kinds.float_wrapper=1.5&kinds.int64_wrapper=-1&kinds.uint64_wrapper=2&kinds.int32_wrapper=3" +
				"&kinds.uint32_wrapper=4&kinds.bool_wrapper=false&kinds.string_wrapper=%22%3C&kinds.bytes_wrapper=AQ==&kinds.string_wrapper_list=a"},
			`{"kinds":{"doubleWrapper":0,"floatWrapper":1.5,"int64Wrapper":"-1","uint64Wrapper":"2","int32Wrapper":3,"uint32Wrapper":4,
				"boolWrapper":false,"stringWrapper":"\"<","bytesWrapper":"AQ==","stringWrapperList":["a"]}}`,
		},
		{"a oneof", openSpec, request{query: "kinds.choice_nested.name=a&kinds.choice_nested.number=1"}, `{"kinds":{"choiceNested":{"name":"a","number":1}}}`},
		{"null in a oneof", openSpec, request{query: "kinds.choice_null=NULL_VALUE"}, `{"kinds":{"choiceNull":null}}`},

		{"a oneof's marker", openSpec, request{query: "kinds.choice_nested"}, `{"kinds":{"choiceNested":{}}}`},
		{"a oneof's marker as JSON", openSpec, request{query: "kinds.choiceNested={}"}, `{"kinds":{"choiceNested":{}}}`},
		{"an empty message, and one without fields", openSpec, request{query: "kinds.nested=&kinds.empty"}, `{"kinds":{"nested":{},"empty":{}}}`},
		{
			"empty messages with a JSON of their own", openSpec,
			request{query: "kinds.struct=&kinds.list_value=&kinds.any="},
			`{"kinds":{"struct":{},"listValue":[],"any":{}}}`,
		},
		{
			"objects", openSpec,
			request{query: `kinds.nested={"name":"a","child":{"tags":["x","y"]}}&kinds={"recursive":{"int32List":[1]}}&kinds.recursive={"nested":{}}`},
			`{"kinds":{"nested":{"name":"a","child":{"tags":["x","y"]}},"recursive":{"int32List":[1],"nested":{}}}}`,
		},
		{
			"lists of objects, one by one and all together", openSpec,
			request{query: `kinds.nested_list={"name":"a"}&kinds.nested_list=%5B{},{"number":1}]&kinds.nestedList={}`},
			`{"kinds":{"nestedList":[{"name":"a"},{},{"number":1},{}]}}`,
		},
		{
			"lists as JSON", openSpec,
			request{query: `kinds.int32_list=[1,2]&kinds.int32_list=3&kinds.string_list=["a","[b]"]&kinds.color_list=["COLOR_RED",2]&kinds.timestamp_list=[]` +
				`&kinds.string_list={`},
			`{"kinds":{"int32List":[1,2,3],"stringList":["a","[b]","{"],"colorList":[1,2]}}`,
		},
		{
			"maps as JSON", openSpec,
			request{query: `kinds.string_string_map={"a":"1","b":"2"}&kinds.string_string_map[c]=3&kinds.int32_nested_map[1].name=n` +
				`&kinds.int32_nested_map={"1":{"number":5},"2":{}}&kinds.int32_nested_map.1.color=1&kinds.int32_nested_map[2]={"name":"m"}`},
			`{"kinds":{"stringStringMap":{"a":"1","b":"2","c":"3"},"int32NestedMap":{"1":{"name":"n","number":5,"color":1},"2":{"name":"m"}}}}`,
		},
		{
			"a map of objects within an object", openSpec,
			request{query: `kinds.recursive.int32_nested_map[1].name=n&kinds.recursive={"int32NestedMap":{"1":{"number":5}}}`},
			`{"kinds":{"recursive":{"int32NestedMap":{"1":{"name":"n","number":5}}}}}`,
		},
		{
			"types whose JSON is not an object of their fields", openSpec,
			request{query: `kinds.struct={"a":[1,{"b":null}]}&kinds.list_value=[1,"a"]&kinds.value="x"&kinds.value_list=[null,1]&kinds.value_list={}` +
				`&kinds.any={"@type":"type.googleapis.com/ssebridge.test.v1.Note","text":"a"}`},
			`{"kinds":{"struct":{"a":[1,{"b":null}]},"listValue":[1,"a"],"value":"x","valueList":[null,1,{}],
				"any":{"@type":"type.googleapis.com/ssebridge.test.v1.Note","text":"a"}}}`,
		},
		{
			"an object together with the body", openSpec,
			request{query: `kinds.nested={"name":"q"}`, body: `{"kinds":{"nested":{"number":2}}}`},
			`{"kinds":{"nested":{"name":"q","number":2}}}`,
		},
		{
			"objects in headers",
			Spec{Headers: map[string]string{"X-Filter": "kinds.nested_list", "X-All": "kinds.empty", "X-Labels": "kinds.string_string_map"}},
			request{headers: []string{`X-Filter: {"name":"a"}`, `X-Filter: [{},{"number":1}]`, `X-All: {}`, `X-Labels: {"a":"b"}`}},
			`{"kinds":{"nestedList":[{"name":"a"},{},{"number":1}],"empty":{},"stringStringMap":{"a":"b"}}}`,
		},
		{"an object whose open part is given", listSpec, request{query: `kinds={"nested":{"name":"a"}}&kinds.string_int64_map={"x":"1"}`}, `{"kinds":{"nested":{"name":"a"},"stringInt64Map":{"x":"1"}}}`},
		{"an empty object", openSpec, request{body: `{}`}, `{}`},
		{"a charset", openSpec, request{body: `{}`, headers: []string{"Content-Type: Application/JSON; charset=UTF-8"}}, `{}`},
		{"no coding", openSpec, request{body: `{}`, headers: []string{"Content-Encoding: identity"}}, `{}`},
		{"a type without a body", openSpec, request{headers: []string{"Content-Type: text/plain"}}, `{}`},
		{"null is left out", openSpec, request{body: `{"topic":null,"kinds":{"choiceString":null,"choiceInt64":"1","int32List":null}}`}, `{"kinds":{"choiceInt64":"1"}}`},
		{"null is a value", openSpec, request{body: `{"kinds":{"value":null,"choiceNull":null,"nullValue":null}}`}, `{"kinds":{"value":null,"choiceNull":null}}`},
		{"a surrogate pair", openSpec, request{body: `{"topic":"\ud83d\udcac \\ud800 \u00e9\n"}`}, `{"topic":"💬 \\ud800 é\n"}`},
		{
			"a body with everything that cannot be sent in a query", openSpec,
			request{body: `{"kinds":{"struct":{"a":[1,{"b":null}]},"listValue":[1,"a"],"value":{"x":[]},"valueList":[null,1],"empty":{},
				"any":{"@type":"type.googleapis.com/ssebridge.test.v1.Note","text":"a"},
				"nestedList":[{"name":"a","child":{"tags":["x"]}},{}],"timestampList":["2026-01-31T12:00:00Z"]}}`},
			`{"kinds":{"struct":{"a":[1,{"b":null}]},"listValue":[1,"a"],"value":{"x":[]},"valueList":[null,1],"empty":{},
				"any":{"@type":"type.googleapis.com/ssebridge.test.v1.Note","text":"a"},
				"nestedList":[{"name":"a","child":{"tags":["x"]}},{}],"timestampList":["2026-01-31T12:00:00Z"]}}`,
		},
		{
			"query and body set different fields", openSpec,
			request{
				query: "limit=1&kinds.nested.name=q&kinds.string_string_map[q]=1&kinds.int32_nested_map[1].name=q&kinds.choice_nested.name=q",
				body: `{"topic":"b","kinds":{"nested":{"number":2},"stringStringMap":{"b":"2"},"int32NestedMap":{"1":{"number":2}},
					"choiceNested":{"number":2}}}`,
			},
			`{"topic":"b","limit":1,"kinds":{"nested":{"name":"q","number":2},"stringStringMap":{"q":"1","b":"2"},
				"int32NestedMap":{"1":{"name":"q","number":2}},"choiceNested":{"name":"q","number":2}}}`,
		},

		{
			"every source", boundSpec,
			request{
				query:   "limit=3&kinds.nested.name=q",
				headers: []string{"X-User: me", "X-Tag: 1", "X-Tag: 2"},
				params:  map[string]string{"topic": "a/b", "kinds.int32_value": "5"},
				body:    `{"kinds":{"nested":{"color":"COLOR_RED"},"stringStringMap":{"b":"x"},"choiceNested":{"number":1}}}`,
			},
			`{"topic":"a/b","history":true,"limit":3,"kinds":{"nested":{"name":"q","number":7,"color":"COLOR_RED"},
				"stringStringMap":{"env":"prod","b":"x"},"stringList":["a","b"],"int32List":[1,2],"stringValue":"me","int32Value":5,
				"choiceNested":{"name":"set","number":1}}}`,
		},
		{
			"headers that are missing", boundSpec,
			request{},
			`{"history":true,"kinds":{"nested":{"number":7},"stringStringMap":{"env":"prod"},"stringList":["a","b"],"choiceNested":{"name":"set"}}}`,
		},
		{"listed for the query", listSpec, request{query: "limit=1&kinds.nested.name=a&kinds.string_int64_map[x]=2"}, `{"limit":1,"kinds":{"nested":{"name":"a"},"stringInt64Map":{"x":"2"}}}`},
		{
			"listed for the body", listSpec,
			request{body: `{"topic":"a","kinds":{"nested":{"color":1},"stringStringMap":{"a":"b"}}}`},
			`{"topic":"a","kinds":{"nested":{"color":"COLOR_RED"},"stringStringMap":{"a":"b"}}}`,
		},
		{"ignored names", ignoringSpec, request{query: "utm_source=a&limit=3&utm_=50%&_ts=%zz&history=true&utm_x[1]=2"}, `{"limit":3}`},
		{
			"a pattern for every name",
			Spec{Query: Fields{Paths: []string{"limit", "kinds.nested.name"}}, Params: []string{"topic"}, Ignored: []string{"*"}},
			request{query: `limit=3&x&topic=other&after=7&kinds.nested.nam=1&kinds={"nested":{"name":"a"}}&=1`},
			`{"limit":3,"kinds":{"nested":{"name":"a"}}}`,
		},
		{"a pattern where nothing is open", Spec{Ignored: []string{"*"}}, request{query: "limit=3&x=%"}, `{}`},
		{"nothing open", closedSpec, request{params: map[string]string{"topic": ""}}, `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			bound, err := tt.request.bind(compile(t, tt.spec))
			if err != nil {
				t.Fatal(err)
			}

			want := &testv1.WatchRequest{}
			if err := protojson.Unmarshal([]byte(tt.want), want); err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(want, decode(t, bound), protocmp.Transform(), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
