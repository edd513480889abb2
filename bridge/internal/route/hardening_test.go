package route

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// A field that the route sets is closed under each of its spellings.
func TestClosedUnderEverySpelling(t *testing.T) {
	t.Parallel()

	b := compile(t, Spec{
		Set:   map[string]any{"kinds.int32_value": 1, "kinds.string_string_map[a.b]": "x", "kinds.renamed": "y"},
		Query: Fields{All: true}, Body: Fields{All: true},
	})

	for _, q := range []request{
		{query: "kinds.int32_value=2"},
		{query: "kinds.int32Value=2"},
		{query: "kinds%2Eint32Value=2"},
		{query: "limit=1&kinds.int32Value=2"},
		{query: "kinds.string_string_map[a.b]=2"},
		{query: "kinds.stringStringMap%5Ba.b%5D=2"},
		{query: "kinds.@renamed=2"},
		{query: "kinds.renamed=2"},
		{body: `{"kinds":{"int32Value":2}}`},
		{body: `{"kinds":{"int32_value":2}}`},
		{body: `{"kinds":{"int32\u0056alue":2}}`},
		{body: `{"kinds":{"int32Value":null}}`},
		{body: `{"kinds":{"stringStringMap":{"a\u002eb":"2"}}}`},
		{body: `{"kinds":{"@renamed":"2"}}`},
		{body: `{"kinds":{"renamed":"2"}}`},
	} {
		if _, err := q.bind(b); err == nil || !strings.HasSuffix(err.Error(), ": it is set by the route") {
			t.Errorf("%+v: got %v", q, err)
		}
	}
}

// A map key is closed in every spelling too.
func TestClosedMapKeys(t *testing.T) {
	t.Parallel()

	b := compile(t, Spec{
		Set:   map[string]any{"kinds.int64_string_map[7]": "x"},
		Query: Fields{All: true}, Body: Fields{All: true},
	})

	for _, q := range []request{
		{query: "kinds.int64_string_map[7]=2"},
		{query: "kinds.int64_string_map[%2B7]=2"},
		{query: "kinds.int64_string_map.007=2"},
		{body: `{"kinds":{"int64StringMap":{"007":"2"}}}`},
	} {
		if _, err := q.bind(b); err == nil || !strings.HasSuffix(err.Error(), ": it is set by the route") {
			t.Errorf("%+v: got %v", q, err)
		}
	}
}

// A client can overwrite neither a field through one of its parts nor a part through the whole field.
func TestClosedPartsAndWholes(t *testing.T) {
	t.Parallel()

	b := compile(t, Spec{
		Resume: &ResumeSpec{Field: "kinds.recursive.nested.name"}, Set: map[string]any{"kinds.choice_string": "a"},
		Query: Fields{All: true}, Body: Fields{All: true},
	})

	const whole, part = ": the route sets choice_string of the oneof choice", ": it is set by the route"

	for _, tt := range []struct {
		request request
		want    string
	}{
		{request{query: "kinds.choice_nested.name=a"}, whole},
		{request{query: "kinds.choice_nested.child.child.name=a"}, whole},
		{request{body: `{"kinds":{"choiceNested":{}}}`}, whole},
		{request{body: `{"kinds":{"choiceNested":null}}`}, whole},
		{request{body: `{"kinds":{"recursive":{"nested":{"name":"a"}}}}`}, part},
		{request{query: "kinds.recursive.nested.name=a"}, part},
	} {
		if _, err := tt.request.bind(b); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%+v: got %v", tt.request, err)
		}
	}

	for _, q := range []request{
		{query: "kinds.recursive.nested.number=1"},
		{body: `{"kinds":{"recursive":{"nested":{"number":1}}}}`},
		{body: `{"kinds":{"recursive":{"recursive":{"nested":{"name":"a"}}}}}`},
	} {
		if _, err := q.bind(b); err != nil {
			t.Errorf("%+v: got %v", q, err)
		}
	}
}

// Suggestions do not name closed fields.
func TestSuggestionsHideClosedFields(t *testing.T) {
	t.Parallel()

	b := compile(t, Spec{Set: map[string]any{"history": true}, Query: Fields{All: true}, Body: Fields{Paths: []string{"limit"}}})

	for _, q := range []request{{query: "histry=true"}, {body: `{"histry":true}`}, {body: `{"topc":"a"}`}} {
		if _, err := q.bind(b); err == nil || strings.Contains(err.Error(), "did you mean") {
			t.Errorf("%+v: got %v", q, err)
		}
	}
}

// Errors contain no raw input: they are short, printable, and ASCII except for the ellipsis.
func TestErrorsAreSafeToLog(t *testing.T) {
	t.Parallel()

	b := compile(t, openSpec)
	evil := "\x1b[31m\r\nINJECTED \u202e\u2028" + strings.Repeat("x", 5000)
	escaped := strings.NewReplacer("\x1b", "%1b", "\r", "%0d", "\n", "%0a", " ", "%20").Replace(evil)
	json := quoteJSON(evil)
	asQuery := url.QueryEscape(json)

	for _, q := range []request{
		{query: escaped + "=1"},
		{query: "limit=" + escaped},
		{query: "kinds.string_string_map[" + escaped + "].x=1"},
		{query: "kinds.int32_nested_map[" + escaped + "]=1"},
		{query: "kinds.color=" + escaped},
		{query: "limit=%" + escaped},
		{query: "kinds.nested={" + asQuery + ":1}"},
		{query: "kinds.nested={" + asQuery},
		{query: "kinds.color_list=[" + asQuery + "]"},
		{query: "kinds.int32_nested_map={" + asQuery + ":1}"},
		{query: "kinds.any={" + url.QueryEscape(`"@type":`+json) + "}"},
		{body: `{` + json + `:1}`},
		{body: `{"limit":` + json + `}`},
		{body: `{"kinds":{"color":` + json + `}}`},
		{body: `{"kinds":{"int32NestedMap":{` + json + `:{}}}}`},
		{body: `{"kinds":{"int64StringMap":{` + json + `:1}}}`},
		{body: `{"kinds":{"stringInt64Map":{` + json + `:{}}}}`},
		{body: `{"kinds":{"any":{"@type":` + json + `}}}`},
		{body: `{"kinds":{"any":{"@type":"x/ssebridge.test.v1.Note",` + json + `:1}}}`},
		{body: `{}`, headers: []string{"Content-Type: " + evil}},
		{body: `{}`, headers: []string{"Content-Encoding: " + evil}},
	} {
		_, err := q.bind(b)
		if err == nil {
			t.Errorf("%.50q: no error", q)
			continue
		}

		got := err.Error()
		if len(got) > 1000 || !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\r\n\u202e\u2028") {
			t.Errorf("%.50q: got %q", q, got)
		}
	}
}

// A request of the largest size costs memory in proportion to its size, not to its square. The worst
// case is a long map key before many values.
//
// The test is not parallel, so that it measures only its own memory.
//
//nolint:paralleltest // measures its own memory
func TestCostIsLinear(t *testing.T) {
	b := compile(t, openSpec)
	key := strings.Repeat("k", 32<<10)

	for name, q := range map[string]request{
		"list beneath a long key": {body: `{"kinds":{"struct":{"` + key + `":[` + strings.Repeat("1,", 8000) + `1]}}}`},
		"deep list":               {body: `{"kinds":{"recursive":{"int32List":[` + strings.Repeat("1,", 30<<10) + `1]}}}`},
		"many entries":            {body: `{"kinds":{"stringStringMap":{"` + key + `":"x"}}}`},
		"repeated parameter":      {query: strings.Repeat("kinds.int32_list=1&", 3400)},
		"an object in the query":  {query: `kinds.struct={"` + key + `":[` + strings.Repeat("1,", 8000) + `1]}`},
		"objects in the query":    {query: strings.Repeat("kinds.nested_list={}&", maxTexts)},
		"maps in the query":       {query: manyMaps(maxTexts)},
		"many brackets":           {query: "kinds.string_string_map[" + strings.Repeat("[", 60<<10) + "=1"},
	} {
		var before, after runtime.MemStats

		runtime.ReadMemStats(&before)

		for range 3 {
			if _, err := q.bind(b); err != nil && name != "many brackets" {
				t.Errorf("%s: %v", name, err)
			}
		}

		runtime.ReadMemStats(&after)

		if used := after.TotalAlloc - before.TotalAlloc; used > 3*64<<20 {
			t.Errorf("%s: %d MiB", name, used>>20)
		}
	}
}

// manyMaps returns parameters that each add one entry to a map by JSON.
func manyMaps(count int) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, `kinds.int32_nested_map[%d]={"tags":["a"]}&`, i)
	}
	return b.String()
}

// Numbers with huge exponents cost no time.
func TestHugeExponents(t *testing.T) {
	t.Parallel()

	b := compile(t, openSpec)

	for _, number := range []string{"1e999999999", "1e-999999999", "0.1e999999999", strings.Repeat("9", 50000), "1" + strings.Repeat("0", 50000) + "e-50000"} {
		for _, field := range []string{"int32_value", "uint64_value", "double_value"} {
			for _, q := range []request{{query: "kinds." + field + "=" + number}, {body: `{"kinds":{"` + field + `":` + number + `}}`}} {
				if _, err := q.bind(b); err != nil && !strings.HasPrefix(err.Error(), "kinds."+field+": want ") {
					t.Errorf("%.60q: %v", q, err)
				}
			}
		}
	}
}

// A backend's forged descriptor, with a well-known name and other fields, causes errors but no panic.
func TestForgedWellKnownTypes(t *testing.T) {
	t.Parallel()

	for _, name := range []string{
		"Timestamp", "Duration", "FieldMask", "BoolValue", "Int64Value", "BytesValue", "Any", "Struct", "Value", "ListValue", "Empty",
	} {
		file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
			Name: new("forged.proto"), Package: new("google.protobuf"), Syntax: new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{
				{Name: new(name), Field: []*descriptorpb.FieldDescriptorProto{{
					Name: new("value"), Number: new(int32(1)), JsonName: new("value"),
					Type:  descriptorpb.FieldDescriptorProto_TYPE_UINT32.Enum(),
					Label: descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum(),
				}}},
				{Name: new("Request"), Field: []*descriptorpb.FieldDescriptorProto{{
					Name: new("f"), Number: new(int32(1)), JsonName: new("f"), TypeName: new(".google.protobuf." + name),
					Type:  descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(),
					Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
				}}},
			},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}

		b, err := Compile(openSpec, file.Messages().ByName("Request"), nil)
		if err != nil {
			t.Fatal(err)
		}

		for _, value := range []string{"1", "1s", "true", "2026-01-31T12:00:00Z", "a", "AQ=="} {
			for _, q := range []request{
				{query: "f=" + value},
				{body: `{"f":` + quoteJSON(value) + `}`},
				{body: `{"f":[1]}`},
				{body: `{"f":{"a":1}}`},
				{body: `{"f":{"@type":"x","value":1}}`},
			} {
				var refused *Error
				if _, err := q.bind(b); err != nil && (!errors.As(err, &refused) || refused.Status != http.StatusBadRequest) {
					t.Errorf("%s %+v: got %v", name, q, err)
				}
			}
		}
	}
}

// Binders and tables are safe for concurrent use. The race detector checks it.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()

	b := compile(t, boundSpec)
	table := newTable(t, Entry{Path: "/{a=x/*}/{b=**}:v"})

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				r := httptest.NewRequest(http.MethodGet, "/x/a%2Fb/c/d:v", nil)
				if _, err := table.Match(r); err != nil {
					t.Error(err)
				}

				q := request{query: "limit=1", params: map[string]string{"topic": "a"}, headers: []string{"X-Tag: 1"}, body: `{"kinds":{"nested":{"name":"a"}}}`}
				if _, err := q.bind(b); err != nil {
					t.Error(err)
				}
			}
		})
	}

	wg.Wait()
}
