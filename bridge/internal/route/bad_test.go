package route

import (
	"strings"
	"testing"
)

// badCase is a request and its error in the form "status field: message".
type badCase struct {
	spec    Spec
	request request
	want    string
}

func (tt badCase) test(t *testing.T) {
	t.Helper()

	bound, err := tt.request.bind(compile(t, tt.spec))
	if got := outcome(err); got != tt.want {
		t.Errorf("%+v:\n got %s\nwant %s", tt.request, got, tt.want)
	}

	if bound.Wire != nil || bound.Metadata != nil || bound.Identity != nil {
		t.Errorf("%+v: an error with the result %+v", tt.request, bound)
	}
}

func TestBadQuery(t *testing.T) {
	t.Parallel()

	for _, tt := range badQueries {
		tt.test(t)
	}
}

func TestBadBody(t *testing.T) {
	t.Parallel()

	for _, tt := range badBodies {
		tt.test(t)
	}
}

func TestBadRoute(t *testing.T) {
	t.Parallel()

	for _, tt := range badForRoute {
		tt.test(t)
	}
}

// ignoringSpec ignores names in the query.
var ignoringSpec = Spec{Query: Fields{Paths: []string{"limit"}}, Params: []string{"topic"}, Ignored: []string{"utm_*", "_ts", "history"}}

// badQueries are requests with a bad query.
var badQueries = []badCase{
	{openSpec, request{query: "topci=x"}, `400 topci: unknown field; did you mean topic? (for the operator: the route's request.ignore lists names to ignore)`},
	{openSpec, request{query: "kinds.int32Valeu=1"}, `400 kinds.int32Valeu: unknown field; did you mean kinds.int32Value? (for the operator: the route's request.ignore lists names to ignore)`},
	{openSpec, request{query: "kinds.int32_valeu=1"}, `400 kinds.int32_valeu: unknown field; did you mean kinds.int32_value? (for the operator: the route's request.ignore lists names to ignore)`},
	{openSpec, request{query: "nonsense=1"}, `400 nonsense: unknown field (for the operator: the route's request.ignore lists names to ignore)`},
	{openSpec, request{query: "=1"}, `400 "": unknown field (for the operator: the route's request.ignore lists names to ignore)`},
	{openSpec, request{query: "kinds=1"}, `400 kinds: it is an object: want its JSON, or name one of its fields`},
	{openSpec, request{query: "kinds.=1"}, `400 kinds.: unknown field (for the operator: the route's request.ignore lists names to ignore)`},
	{openSpec, request{query: "topic.x=1"}, `400 topic.x: topic has no fields to name`},
	{openSpec, request{query: "topic[x]=1"}, `400 topic[x]: topic is no map, so it takes no key`},
	{openSpec, request{query: "kinds.timestamp.seconds=1"}, `400 kinds.timestamp.seconds: timestamp has no fields to name`},
	{openSpec, request{query: "kinds.nested_list.name=1"}, `400 kinds.nested_list.name: nested_list has no fields to name`},
	{openSpec, request{query: "kinds.nested_list=1"}, `400 kinds.nested_list: it is a list of objects: want each, or an array of all, as JSON`},
	{openSpec, request{query: "kinds.any=1"}, `400 kinds.any: want an object as JSON, got "1"`},
	{openSpec, request{query: "kinds.struct=1"}, `400 kinds.struct: want an object as JSON, got "1"`},
	{openSpec, request{query: "kinds.value=x"}, `400 kinds.value: the value is not valid JSON after byte 0`},
	{openSpec, request{query: "kinds.value="}, `400 kinds.value: the value is not valid JSON after byte 0`},
	{openSpec, request{query: "kinds.empty=1"}, `400 kinds.empty: it is an object without fields: want {} or nothing, got "1"`},
	{
		openSpec,
		request{query: "kinds.string_string_map=1"},
		`400 kinds.string_string_map: it is a map: want its JSON object, or name a key, as in kinds.string_string_map[key]=value`,
	},
	{openSpec, request{query: "kinds.string_string_map[a=1"}, `400 kinds.string_string_map[a: the bracket of the key is not closed`},
	{openSpec, request{query: "kinds.string_string_map[a]b=1"}, `400 kinds.string_string_map[a]b: "b" follows a whole name; a dot is expected`},
	{openSpec, request{query: "kinds.string_string_map[a].b=1"}, `400 kinds.string_string_map[a].b: string_string_map has no fields to name`},
	{openSpec, request{query: "kinds.int64_string_map[x]=1"}, `400 kinds.int64_string_map[x]: the key "x" is not a 64-bit integer`},
	{openSpec, request{query: "kinds.bool_color_map[1]=COLOR_RED"}, `400 kinds.bool_color_map[1]: the key "1" is not true or false`},
	{
		openSpec,
		request{query: "kinds.bool_color_map[true]=PINK"},
		`400 kinds.bool_color_map[true]: want a name or number of ssebridge.test.v1.Color, got "PINK"`,
	},
	{openSpec, request{query: "kinds.int32_nested_map[1]=PINK"}, `400 kinds.int32_nested_map[1]: it is an object: want its JSON, or name one of its fields`},
	{openSpec, request{query: "kinds.uint32_string_map[-1]=x"}, `400 kinds.uint32_string_map[-1]: the key "-1" is not an unsigned 32-bit integer`},
	{openSpec, request{query: "limit=abc"}, `400 limit: want a 32-bit integer, got "abc"`},
	{openSpec, request{query: "limit="}, `400 limit: want a 32-bit integer, got ""`},
	{openSpec, request{query: "limit"}, `400 limit: want a 32-bit integer, got ""`},
	{openSpec, request{query: "limit=2147483648"}, `400 limit: want a 32-bit integer, got "2147483648"`},
	{openSpec, request{query: "limit=1.5"}, `400 limit: want a 32-bit integer, got "1.5"`},
	{openSpec, request{query: "limit=+5"}, `400 limit: want a 32-bit integer, got " 5"`},
	{openSpec, request{query: "limit=05"}, `400 limit: want a 32-bit integer, got "05"`},
	{openSpec, request{query: "limit=%2B5"}, `400 limit: want a 32-bit integer, got "+5"`},
	{openSpec, request{query: "limit=0x10"}, `400 limit: want a 32-bit integer, got "0x10"`},
	{openSpec, request{query: "limit=1&limit=2"}, `400 limit: it is given twice`},
	{openSpec, request{query: "kinds.int32Value=1&kinds.int32_value=2"}, `400 kinds.int32_value: it is given twice`},
	{openSpec, request{query: "after=9223372036854775808"}, `400 after: want a 64-bit integer, got "9223372036854775808"`},
	{openSpec, request{query: "kinds.uint32_value=-1"}, `400 kinds.uint32_value: want an unsigned 32-bit integer, got "-1"`},
	{
		openSpec,
		request{query: "kinds.uint64_value=18446744073709551616"},
		`400 kinds.uint64_value: want an unsigned 64-bit integer, got "18446744073709551616"`,
	},
	{openSpec, request{query: "kinds.float_value=1e39"}, `400 kinds.float_value: want a number, got "1e39"`},
	{openSpec, request{query: "kinds.double_value=inf"}, `400 kinds.double_value: want a number, got "inf"`},
	{openSpec, request{query: "kinds.double_value=0x1p3"}, `400 kinds.double_value: want a number, got "0x1p3"`},
	{openSpec, request{query: "history=1"}, `400 history: want true or false, got "1"`},
	{openSpec, request{query: "history=TRUE"}, `400 history: want true or false, got "TRUE"`},
	{openSpec, request{query: "kinds.bytes_value=!!!"}, `400 kinds.bytes_value: want base64, got "!!!"`},
	{openSpec, request{query: "kinds.bytes_value=a+b/"}, `400 kinds.bytes_value: want base64, got "a b/"; a plus sign is sent as %2B`},
	{openSpec, request{query: "kinds.color=RED"}, `400 kinds.color: want a name or number of ssebridge.test.v1.Color, got "RED"; did you mean COLOR_RED?`},
	{
		openSpec,
		request{query: "kinds.color=COLOR_REDD"},
		`400 kinds.color: want a name or number of ssebridge.test.v1.Color, got "COLOR_REDD"; did you mean COLOR_RED?`,
	},
	{openSpec, request{query: "kinds.color=1.5"}, `400 kinds.color: want a name or number of ssebridge.test.v1.Color, got "1.5"`},
	{openSpec, request{query: "kinds.timestamp=yesterday"}, `400 kinds.timestamp: want an RFC 3339 time such as 2026-01-31T12:00:00Z, got "yesterday"`},
	{openSpec, request{query: "kinds.duration=5m"}, `400 kinds.duration: want a duration in seconds such as 1.5s, got "5m"`},
	{
		openSpec,
		request{query: "kinds.field_mask=a.b,_c"},
		`400 kinds.field_mask: want field paths in lowerCamelCase, separated by commas, got "a.b,_c"`,
	},
	{openSpec, request{query: "kinds.bool_wrapper=1"}, `400 kinds.bool_wrapper: want true or false, got "1"`},
	{openSpec, request{query: "kinds.int32_wrapper=x"}, `400 kinds.int32_wrapper: want a 32-bit integer, got "x"`},
	{openSpec, request{query: "kinds.int32_list=1&kinds.int32_list=x"}, `400 kinds.int32_list: want a 32-bit integer, got "x"`},
	{
		openSpec,
		request{query: "kinds.choice_string=a&kinds.choiceInt64=1"},
		`400 kinds.choiceInt64: it and kinds.choice_string are of the oneof choice: only one can be set`,
	},
	{
		openSpec,
		request{query: "kinds.choice_nested.name=a&kinds.choice_kinds.color=1"},
		`400 kinds.choice_kinds.color: it and kinds.choice_nested.name are of the oneof choice: only one can be set`,
	},
	{openSpec, request{query: "kinds.nested={"}, `400 kinds.nested: the value is not valid JSON after byte 1`},
	{openSpec, request{query: `kinds.nested={}x`}, `400 kinds.nested: the value is not valid JSON after byte 2`},
	{openSpec, request{query: `kinds.nested={}},"topic":{`}, `400 kinds.nested: the value is not valid JSON after byte 2`},
	{openSpec, request{query: `kinds.nested_list={},{}`}, `400 kinds.nested_list: the value is not valid JSON after byte 2`},
	{openSpec, request{query: `kinds.nested_list={}],"nested":[`}, `400 kinds.nested_list: the value is not valid JSON after byte 2`},
	{openSpec, request{query: `kinds.nested={"nam":"a"}`}, `400 kinds.nested.nam: unknown field; did you mean kinds.nested.name?`},
	{openSpec, request{query: `kinds.nested={"name":"a","name":"b"}`}, `400 kinds.nested.name: it is given twice`},
	{openSpec, request{query: `kinds.nested={"number":"x"}`}, `400 kinds.nested.number: want a 32-bit integer, got "x"`},
	{openSpec, request{query: `kinds.nested={"tags":[null]}`}, `400 kinds.nested.tags[0]: want a string, got null`},
	{openSpec, request{query: `kinds.nested=[]`}, `400 kinds.nested: want an object, got an array`},
	{openSpec, request{query: `kinds.nested={}&kinds.nested={}`}, `400 kinds.nested: it is given twice`},
	{openSpec, request{query: `kinds.nested=&kinds.nested`}, `400 kinds.nested: it is given twice`},
	{openSpec, request{query: `kinds.nested.name=a&kinds.nested={"name":"b"}`}, `400 kinds.nested.name: it is given twice`},
	{openSpec, request{query: `kinds.nested={"tags":["a"]}&kinds.nested.tags[]=b`}, `400 kinds.nested.tags[]: tags is no map, so it takes no key`},
	{openSpec, request{query: `kinds.nested.tags=b&kinds.nested={"tags":["a"]}`}, `400 kinds.nested.tags: it is given twice`},
	{openSpec, request{query: `kinds.string_string_map={"a":"1"}&kinds.string_string_map[a]=2`}, `400 kinds.string_string_map[a]: it is given twice`},
	{openSpec, request{query: `kinds.int64_string_map={"x":"1"}`}, `400 kinds.int64_string_map: the key "x" is not a 64-bit integer`},
	{openSpec, request{query: `kinds.int64_string_map=`}, `400 kinds.int64_string_map: it is a map: want its JSON object, or name a key, as in kinds.int64_string_map[key]=value`},
	{openSpec, request{query: `kinds.nested_list=`}, `400 kinds.nested_list: it is a list of objects: want each, or an array of all, as JSON`},
	{openSpec, request{query: `kinds.nested_list=[{"name":"a"},{"number":1.5}]`}, `400 kinds.nested_list[1].number: want a 32-bit integer, got 1.5`},
	{openSpec, request{query: `kinds.int32_list=[1,"x"]`}, `400 kinds.int32_list[1]: want a 32-bit integer, got "x"`},
	{
		openSpec,
		request{query: `kinds.string_list=[draft]`},
		`400 kinds.string_list: the value is not valid JSON after byte 1; what begins with [ is a JSON array, so a string that does is sent within one`,
	},
	{openSpec, request{query: `kinds.struct={"a":"\ud800"}`}, `400 kinds.struct: the value has half of a surrogate pair before byte 13`},
	{openSpec, request{query: `kinds.any={"a":1}`}, `400 kinds.any: missing "@type" field`},
	{openSpec, request{query: `kinds.choice_nested=&kinds.choice_string=a`}, `400 kinds.choice_string: it and kinds.choice_nested are of the oneof choice: only one can be set`},
	{openSpec, request{query: `kinds={"choiceNested":{}}&kinds.choice_string=a`}, `400 kinds.choice_string: it and kinds.choiceNested are of the oneof choice: only one can be set`},
	{openSpec, request{query: `kinds={"choiceNested":{},"choiceString":"a"}`}, `400 kinds.choiceString: it and kinds.choiceNested are of the oneof choice: only one can be set`},
	{openSpec, request{query: `kinds.empty={"a":1}`}, `400 kinds.empty.a: unknown field`},
	{openSpec, request{query: "kinds.nested=%7b%ff%7d"}, `400 kinds.nested: want valid UTF-8, got "{\xff}"`},
	{
		openSpec,
		request{query: `kinds=` + strings.Repeat(`{"recursive":`, 110) + `{}` + strings.Repeat("}", 110)},
		`400 kinds: the value is nested deeper than 100`,
	},
	{
		openSpec,
		request{query: `kinds` + strings.Repeat(".recursive", 60) + `=` + strings.Repeat(`{"recursive":`, 60) + `{}` + strings.Repeat("}", 60)},
		`400 kinds.recursive.recursive.recursive.recursive.recursive.recursiv: the value is nested deeper than 100`,
	},
	{openSpec, request{query: `kinds.value=` + strings.Repeat(`[`, 110) + strings.Repeat("]", 110)}, `400 kinds.value: the value is nested deeper than 100`},
	{openSpec, request{query: "topic=%ff"}, `400 topic: want valid UTF-8, got "\xff"`},
	{openSpec, request{query: "topic=%zz"}, `400 topic: malformed percent-encoding: "%zz"`},
	{openSpec, request{query: "%zz=1"}, `400 : the query has the malformed name "%zz"`},
	{openSpec, request{query: "a%00b=1"}, `400 "a\x00b": unknown field (for the operator: the route's request.ignore lists names to ignore)`},
	{
		openSpec,
		request{query: strings.Repeat("x", 100) + "=1"},
		`400 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"…: unknown field (for the operator: the route's request.ignore lists names to ignore)`,
	},
	{
		openSpec,
		request{query: "kinds." + strings.Repeat("recursive.", 120) + "color=1"},
		`400 "kinds.recursive.recursive.recursive.recursive.recursive.recursiv"…: nested deeper than 100`,
	},
	{
		openSpec,
		request{query: "limit=" + strings.Repeat("é", 60)},
		`400 limit: want a 32-bit integer, got "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"…`,
	},
}

// badBodies are requests with a bad body.
var badBodies = []badCase{
	{openSpec, request{body: " "}, `400 : the body is not valid JSON after byte 0`},
	{openSpec, request{body: "[]"}, `400 : want an object as the body, got an array`},
	{openSpec, request{body: "null"}, `400 : want an object as the body, got null`},
	{openSpec, request{body: `"x"`}, `400 : want an object as the body, got "x"`},
	{openSpec, request{body: `{`}, `400 : the body is not valid JSON after byte 1`},
	{openSpec, request{body: `{"topic"`}, `400 : the body is not valid JSON after byte 8`},
	{openSpec, request{body: `{"topic":}`}, `400 : the body is not valid JSON after byte 9`},
	{openSpec, request{body: `{"topic":"a",}`}, `400 : the body is not valid JSON after byte 13`},
	{openSpec, request{body: `{topic:"a"}`}, `400 : the body is not valid JSON after byte 1`},
	{openSpec, request{body: `{"topic":"a"} x`}, `400 : something follows the JSON at byte 14 of the body`},
	{openSpec, request{body: `{"topic":"a"}{}`}, `400 : something follows the JSON at byte 14 of the body`},
	{openSpec, request{body: "\xef\xbb\xbf{}"}, `400 : the body begins with a byte order mark`},
	{openSpec, request{body: "{\"topic\":\"\xff\"}"}, `400 : the body is not valid UTF-8`},
	{openSpec, request{body: `{"topic":"\ud800"}`}, `400 : the body has half of a surrogate pair before byte 17`},
	{openSpec, request{body: `{"topci":"a"}`}, `400 topci: unknown field; did you mean topic?`},
	{openSpec, request{body: `{"kinds":{"nested":{"nam":"a"}}}`}, `400 kinds.nested.nam: unknown field; did you mean kinds.nested.name?`},
	{openSpec, request{body: `{"topic":"a","topic":"b"}`}, `400 topic: it is given twice`},
	{openSpec, request{body: `{"kinds":{"int32Value":1,"int32_value":2}}`}, `400 kinds.int32_value: it is given twice`},
	{openSpec, request{body: `{"topic":5}`}, `400 topic: want a string, got 5`},
	{openSpec, request{body: `{"limit":"abc"}`}, `400 limit: want a 32-bit integer, got "abc"`},
	{openSpec, request{body: `{"limit":1.5}`}, `400 limit: want a 32-bit integer, got 1.5`},
	{openSpec, request{body: `{"limit":true}`}, `400 limit: want a 32-bit integer, got true`},
	{openSpec, request{body: `{"limit":{}}`}, `400 limit: want a 32-bit integer, got an object`},
	{openSpec, request{body: `{"limit":[1]}`}, `400 limit: want a 32-bit integer, got an array`},
	{openSpec, request{body: `{"history":"true"}`}, `400 history: want true or false, got "true"`},
	{openSpec, request{body: `{"kinds":5}`}, `400 kinds: want an object, got 5`},
	{openSpec, request{body: `{"kinds":[]}`}, `400 kinds: want an object, got an array`},
	{openSpec, request{body: "{\n\"kinds\":{\"nested\":{\"tags\":[\"é\", 5]}}}"}, `400 kinds.nested.tags[1]: want a string, got 5`},
	{
		openSpec,
		request{body: `{"kinds":{"nestedList":[{"name":"a"},{"number":"x"}]}}`},
		`400 kinds.nestedList[1].number: want a 32-bit integer, got "x"`,
	},
	{openSpec, request{body: `{"kinds":{"nestedList":{}}}`}, `400 kinds.nestedList: want an array, got an object`},
	{openSpec, request{body: `{"kinds":{"nestedList":[null]}}`}, `400 kinds.nestedList[0]: want an object, got null`},
	{openSpec, request{body: `{"kinds":{"int32List":[1,null]}}`}, `400 kinds.int32List[1]: want a 32-bit integer, got null`},
	{
		openSpec,
		request{body: `{"kinds":{"int32NestedMap":{"1":{"number":"x"}}}}`},
		`400 kinds.int32NestedMap[1].number: want a 32-bit integer, got "x"`,
	},
	{openSpec, request{body: `{"kinds":{"int32NestedMap":{"x":{}}}}`}, `400 kinds.int32NestedMap: the key "x" is not a 32-bit integer`},
	{openSpec, request{body: `{"kinds":{"int32NestedMap":[]}}`}, `400 kinds.int32NestedMap: want an object, got an array`},
	{openSpec, request{body: `{"kinds":{"stringStringMap":{"a":"1","a":"2"}}}`}, `400 kinds.stringStringMap[a]: it is given twice`},
	{openSpec, request{body: `{"kinds":{"stringStringMap":{"a":null}}}`}, `400 kinds.stringStringMap[a]: want a string, got null`},
	{openSpec, request{body: `{"kinds":{"color":"RED"}}`}, `400 kinds.color: want a name or number of ssebridge.test.v1.Color, got "RED"; did you mean COLOR_RED?`},
	{
		openSpec,
		request{body: `{"kinds":{"color":"COLOR_REDD"}}`},
		`400 kinds.color: want a name or number of ssebridge.test.v1.Color, got "COLOR_REDD"; did you mean COLOR_RED?`,
	},
	{
		openSpec,
		request{body: `{"kinds":{"timestamp":"yesterday"}}`},
		`400 kinds.timestamp: want an RFC 3339 time such as 2026-01-31T12:00:00Z, got "yesterday"`,
	},
	{openSpec, request{body: `{"kinds":{"duration":5}}`}, `400 kinds.duration: want a duration in seconds such as 1.5s, got 5`},
	{openSpec, request{body: `{"kinds":{"bytesValue":"!!"}}`}, `400 kinds.bytesValue: want base64, got "!!"`},
	{openSpec, request{body: `{"kinds":{"struct":[]}}`}, `400 kinds.struct: want an object, got an array`},
	{openSpec, request{body: `{"kinds":{"listValue":{}}}`}, `400 kinds.listValue: want an array, got an object`},
	{
		openSpec,
		request{body: `{"kinds":{"any":{"@type":"type.googleapis.com/no.Such"}}}`},
		`400 kinds.any: unable to resolve "type.googleapis.com/no.Such": "not found"`,
	},
	{
		openSpec,
		request{body: `{"kinds":{"any":{"@type":"type.googleapis.com/ssebridge.test.v1.Note","txt":"a"}}}`},
		`400 kinds.any: unknown field "txt"`,
	},
	{openSpec, request{body: `{"kinds":{"any":{"a":1}}}`}, `400 kinds.any: missing "@type" field`},
	{
		openSpec,
		request{body: `{"kinds":{"choiceString":"a","choiceInt64":"1"}}`},
		`400 kinds.choiceInt64: it and kinds.choiceString are of the oneof choice: only one can be set`,
	},
	{openSpec, request{body: `{"kinds":{"empty":{"a":1}}}`}, `400 kinds.empty.a: unknown field`},
	{openSpec, request{body: `{"[x.y]":1}`}, `400 [x.y]: unknown field`},
	{
		openSpec,
		request{body: `{"kinds":` + strings.Repeat(`{"recursive":`, 110) + `{}` + strings.Repeat("}", 111)},
		`400 : the body is nested deeper than 100`,
	},
	{
		openSpec,
		request{body: `{"kinds":{"value":` + strings.Repeat("[", 110) + strings.Repeat("]", 110) + `}}`},
		`400 : the body is nested deeper than 100`,
	},
	{openSpec, request{query: "limit=1", body: `{"limit":2}`}, `400 limit: it is given in both the query and the body`},
	{
		openSpec,
		request{query: "kinds.string_string_map[a]=1", body: `{"kinds":{"stringStringMap":{"a":"2"}}}`},
		`400 kinds.string_string_map[a]: it is given in both the query and the body`,
	},
	{
		openSpec,
		request{query: "kinds.choice_string=1", body: `{"kinds":{"choiceInt64":"2"}}`},
		`400 kinds.choice_string: it and kinds.choiceInt64 are of the oneof choice: only one can be set`,
	},
	{
		openSpec,
		request{query: "kinds.choice_nested.name=1", body: `{"kinds":{"choiceInt64":"2"}}`},
		`400 kinds.choice_nested.name: it and kinds.choiceInt64 are of the oneof choice: only one can be set`,
	},
	{
		openSpec,
		request{query: "kinds.int32_list=1", body: `{"kinds":{"int32List":[2]}}`},
		`400 kinds.int32_list: it is given in both the query and the body`,
	},
	{
		openSpec,
		request{query: `kinds.nested={"number":1}`, body: `{"kinds":{"nested":{"name":"a","number":2}}}`},
		`400 kinds.nested.number: it is given in both the query and the body`,
	},
	{
		openSpec,
		request{query: `kinds.string_string_map={"a":"1"}`, body: `{"kinds":{"stringStringMap":{"a":"2"}}}`},
		`400 kinds.string_string_map[a]: it is given in both the query and the body`,
	},
	{
		openSpec,
		request{query: `kinds.nested_list={}`, body: `{"kinds":{"nestedList":[{}]}}`},
		`400 kinds.nested_list: it is given in both the query and the body`,
	},
	{
		openSpec,
		request{query: `kinds.struct={}`, body: `{"kinds":{"struct":{}}}`},
		`400 kinds.struct: it is given in both the query and the body`,
	},
	{openSpec, request{body: `{}`, headers: []string{"Content-Type: text/plain"}}, `415 content-type: want application/json, got "text/plain"`},
	{openSpec, request{body: `{}`, headers: []string{"Content-Type: "}}, `415 content-type: want application/json, got ""`},
	{
		openSpec,
		request{body: `{}`, headers: []string{"Content-Type: application/json; charset=latin1"}},
		`415 content-type: want the charset utf-8, got "latin1"`,
	},
	{openSpec, request{body: `{}`, headers: []string{"Content-Encoding: gzip"}}, `415 content-encoding: want a plain body, got "gzip"`},
}

// badForRoute are requests that the route's closed fields, parameters and headers refuse.
var badForRoute = []badCase{
	{boundSpec, request{query: "after=1"}, `400 after: it is set by the route`},
	{boundSpec, request{query: "history=false"}, `400 history: it is set by the route`},
	{boundSpec, request{query: "topic=x"}, `400 topic: it is set by the route`},
	{boundSpec, request{query: "kinds.int32Value=1"}, `400 kinds.int32Value: it is set by the route`},
	{boundSpec, request{query: "kinds.nested.number=1"}, `400 kinds.nested.number: it is set by the route`},
	{boundSpec, request{query: "kinds.choice_string=1"}, `400 kinds.choice_string: the route sets choice_nested of the oneof choice`},
	{boundSpec, request{query: "kinds.choice_kinds.color=1"}, `400 kinds.choice_kinds.color: the route sets choice_nested of the oneof choice`},
	{boundSpec, request{query: "kinds.choice_nested.name=1"}, `400 kinds.choice_nested.name: it is set by the route`},
	{boundSpec, request{query: "kinds.string_string_map[env]=1"}, `400 kinds.string_string_map[env]: it is set by the route`},
	{boundSpec, request{query: "kinds.string_string_map.env=1"}, `400 kinds.string_string_map.env: it is set by the route`},
	{boundSpec, request{query: "kinds.string_list=1"}, `400 kinds.string_list: it is set by the route`},
	{boundSpec, request{query: `kinds={"nested":{"number":1}}`}, `400 kinds.nested.number: it is set by the route`},
	{boundSpec, request{query: `kinds.nested={"number":1}`}, `400 kinds.nested.number: it is set by the route`},
	{boundSpec, request{query: `kinds={"stringStringMap":{"env":"x"}}`}, `400 kinds.stringStringMap[env]: it is set by the route`},
	{boundSpec, request{query: `kinds.string_string_map={"env":"x"}`}, `400 kinds.string_string_map[env]: it is set by the route`},
	{boundSpec, request{query: `kinds.string_list=["x"]`}, `400 kinds.string_list: it is set by the route`},
	{boundSpec, request{query: `kinds={"choiceString":"x"}`}, `400 kinds.choiceString: the route sets choice_nested of the oneof choice`},
	{boundSpec, request{query: `kinds={"int32Value":null}`}, `400 kinds.int32Value: it is set by the route`},
	{boundSpec, request{headers: []string{"X-Tag: [1", "X-Tag: 1"}}, `400 x-tag: in the header: the value is not valid JSON after byte 2; what begins with [ is a JSON array, so a string that does is sent within one`},
	{boundSpec, request{headers: []string{`X-Tag: [1,"x"]`}}, `400 x-tag: in the header: [1]: want a 32-bit integer, got "x"`},
	{listSpec, request{query: `kinds={"nested":{"color":1}}`}, `400 kinds.nested.color: it is not open to the query`},
	{listSpec, request{query: `kinds.nested={"tags":[]}`}, `400 kinds.nested.tags: it is not open to the query`},
	{listSpec, request{query: `kinds={"empty":{}}`}, `400 kinds.empty: it is not open to the query`},
	{listSpec, request{query: `kinds.empty=`}, `400 kinds.empty: it is not open to the query, which takes limit, kinds.nested.name, kinds.string_int64_map`},
	{boundSpec, request{query: "aftr=1"}, `400 aftr: unknown field (for the operator: the route's request.ignore lists names to ignore)`},
	{boundSpec, request{query: "histori=1"}, `400 histori: unknown field (for the operator: the route's request.ignore lists names to ignore)`},
	{boundSpec, request{body: `{"after":"1"}`}, `400 after: it is set by the route`},
	{boundSpec, request{body: `{"after":null}`}, `400 after: it is set by the route`},
	{boundSpec, request{body: `{"kinds":{"nested":{"number":1}}}`}, `400 kinds.nested.number: it is set by the route`},
	{boundSpec, request{body: `{"kinds":{"stringStringMap":{"env":"x"}}}`}, `400 kinds.stringStringMap[env]: it is set by the route`},
	{boundSpec, request{body: `{"kinds":{"choiceString":"x"}}`}, `400 kinds.choiceString: the route sets choice_nested of the oneof choice`},
	{boundSpec, request{params: map[string]string{"topic": "a\xff"}}, `400 topic: in the path: want valid UTF-8, got "a\xff"`},
	{boundSpec, request{params: map[string]string{"kinds.int32_value": "x"}}, `400 kinds.int32_value: in the path: want a 32-bit integer, got "x"`},
	{boundSpec, request{headers: []string{"X-User: a", "X-User: b"}}, `400 x-user: the header is given twice`},
	{boundSpec, request{headers: []string{"X-User: \xff"}}, `400 x-user: in the header: want valid UTF-8, got "\xff"`},
	{boundSpec, request{headers: []string{"X-Tag: 1", "X-Tag: x"}}, `400 x-tag: in the header: want a 32-bit integer, got "x"`},
	{boundSpec, request{headers: []string{"Authorization: é"}}, `400 authorization: want a header of printable ASCII`},
	{boundSpec, request{headers: []string{"Trace-Bin: é"}}, `400 trace-bin: want a header in base64`},
	{listSpec, request{query: "topic=x"}, `400 topic: it is not open to the query, which takes limit, kinds.nested.name, kinds.string_int64_map`},
	{listSpec, request{query: "kinds.nested.color=1"}, `400 kinds.nested.color: it is not open to the query, which takes limit, kinds.nested.name, kinds.string_int64_map`},
	{listSpec, request{query: "tpic=1"}, `400 tpic: unknown field; the query takes limit, kinds.nested.name, kinds.string_int64_map (for the operator: the route's request.ignore lists names to ignore)`},
	{listSpec, request{query: "limt=1"}, `400 limt: unknown field; did you mean limit? (for the operator: the route's request.ignore lists names to ignore)`},
	{listSpec, request{query: "kinds.nested.nam=1"}, `400 kinds.nested.nam: unknown field; did you mean kinds.nested.name? (for the operator: the route's request.ignore lists names to ignore)`},
	{listSpec, request{body: `{"limit":1}`}, `400 limit: it is not open to the body`},
	{listSpec, request{body: `{"kinds":{"nested":{"name":"x"}}}`}, `400 kinds.nested.name: it is not open to the body`},
	{listSpec, request{body: `{"kinds":{"nested":{"colr":"x"}}}`}, `400 kinds.nested.colr: unknown field; did you mean kinds.nested.color?`},
	{
		listSpec,
		request{body: `{"kinds":{"nested":{"color":"COLOR_RED"},"stringStringMap":{"b":"1"}}}`},
		`400 kinds.stringStringMap[b]: it is not open to the body`,
	},
	{ignoringSpec, request{query: "utm=1"}, `400 utm: unknown field; the query takes limit (for the operator: the route's request.ignore lists names to ignore)`},
	{ignoringSpec, request{query: "_tsx=1"}, `400 _tsx: unknown field; the query takes limit (for the operator: the route's request.ignore lists names to ignore)`},
	{ignoringSpec, request{query: "topic=x"}, `400 topic: it is set by the route`},
	{ignoringSpec, request{query: "_ts=1&limit=x"}, `400 limit: want a 32-bit integer, got "x"`},
	{Spec{Query: Fields{Paths: []string{"limit"}}, Ignored: []string{"*"}}, request{query: "limit=1&limit=2"}, `400 limit: it is given twice`},
	{closedSpec, request{query: "a=1"}, `400 a: the route takes no query parameters (for the operator: the route's request.ignore lists names to ignore)`},
	{closedSpec, request{body: `{}`}, `400 : the route takes no body`},
}
