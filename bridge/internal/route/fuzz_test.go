package route

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// checkRefusal checks the promises of every error.
func checkRefusal(t *testing.T, err error) {
	t.Helper()

	var refused *Error
	if !errors.As(err, &refused) {
		t.Fatalf("%v is not an *Error", err)
	}

	got := err.Error()
	if refused.Status < 400 || refused.Status > 415 || refused.Message == "" || len(got) > 2000 || !utf8.ValidString(got) ||
		strings.ContainsAny(got, "\r\n\x00\x1b") {
		t.Fatalf("got %d %q", refused.Status, got)
	}
}

// FuzzBody compares bodies with protojson. Bind accepts the same values as protojson, and refuses more
// only by its own rules.
func FuzzBody(f *testing.F) {
	for _, tt := range badBodies {
		f.Add(tt.request.body)
	}

	for _, seed := range []string{
		`{"topic":"a","limit":0,"kinds":{"nested":{"child":{"tags":["a"]}},"int32NestedMap":{"1":{"name":"x"}}}}`,
		`{"kinds":{"any":{"@type":"x/google.protobuf.Duration","value":"1s"},"struct":{"a":[null,{}]},"valueList":[1,null]}}`,
		`{"kinds":{"boolColorMap":{"true":1},"stringTimestampMap":{"":"2026-01-31T12:00:00Z"},"choiceNull":null}}`,
	} {
		f.Add(seed)
	}

	b := compile(f, openSpec)

	f.Fuzz(func(t *testing.T, body string) {
		if body == "" {
			return
		}

		bound, err := request{body: body}.bind(b)

		want := &testv1.WatchRequest{}
		theirs := protojson.Unmarshal([]byte(body), want)

		if err != nil {
			checkRefusal(t, err)

			if theirs == nil && !strings.Contains(err.Error(), "nested deeper") {
				t.Fatalf("%q: refused with %v, but protojson accepts it", body, err)
			}
			return
		}

		if theirs != nil {
			t.Fatalf("%q: accepted, but protojson says %v", body, theirs)
		}

		got := &testv1.WatchRequest{}
		if err := proto.Unmarshal(bound.Wire, got); err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(want, got, protocmp.Transform(), cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("%q: -want +got:\n%s", body, diff)
		}
	})
}

// FuzzQuery checks that no query, path, header or body panics or changes fields that the route sets.
func FuzzQuery(f *testing.F) {
	for _, cases := range [][]badCase{badQueries, badForRoute} {
		for _, tt := range cases {
			f.Add(tt.request.query, tt.request.body, "a", "b")
		}
	}

	for _, value := range []string{
		`={"nested":{"number":1},"choiceNested":{"name":"x"}}`, `.nested={"name":"a"}&kinds={"nested":{"color":1}}`,
		`.string_string_map={"env":"x"}`, `={"int32Value":9}`, `.choice_nested=`, `.string_list=["x"]`, `.int32NestedMap={"1":{}}`,
	} {
		f.Add("kinds"+value, "", "5", "b")
	}

	f.Add("kinds.nested.name=a&limit=1", `{"kinds":{"nested":{"color":1}}}`, "5", "\xff")

	b := compile(f, boundSpec)

	f.Fuzz(func(t *testing.T, query, body, param, header string) {
		q := request{query: query, body: body, params: map[string]string{"topic": param, "kinds.int32_value": "7"}}
		r := q.http()
		r.Header["X-User"] = []string{header}
		r.Header["Authorization"] = []string{header}

		bound, err := b.Bind(r, q.params, []byte(body), Client{})
		if err != nil {
			checkRefusal(t, err)
			return
		}

		got := &testv1.WatchRequest{}
		if err := proto.Unmarshal(bound.Wire, got); err != nil {
			t.Fatal(err)
		}

		k := got.GetKinds()
		if got.GetTopic() != param || got.GetAfter() != 0 || !got.GetHistory() || k.GetInt32Value() != 7 || k.GetStringValue() != header ||
			k.GetNested().GetNumber() != 7 || k.GetChoiceNested().GetName() != "set" || k.GetStringStringMap()["env"] != "prod" ||
			strings.Join(k.GetStringList(), " ") != "a b" || len(k.GetInt32List()) != 0 {
			t.Fatalf("%q %q: got %v", query, body, got)
		}
	})
}

// FuzzQueryJSON compares JSON in a query with protojson, like FuzzBody: a field has the same value
// alone and after another part of the field.
func FuzzQueryJSON(f *testing.F) {
	fields := []string{"nested", "nestedList", "recursive", "struct", "value", "valueList", "listValue", "any", "empty", "int32NestedMap", "stringStringMap", "int32List"}

	for i := range fields {
		for _, seed := range []string{
			`{}`, `[]`, `[{}]`, `{"name":"a","child":{"tags":["b"]}}`, `{"1":{"number":5}}`, `{"a":"b"}`, `[1,"2",1e1]`, `"x"`, `null`, `[null]`,
			`{"@type":"x/google.protobuf.Duration","value":"1s"}`, `{}},"topic":{`, `{"nested":{"name":"x"},"choiceKinds":{"choiceNull":null}}`, ` {}`,
		} {
			f.Add(i, seed)
		}
	}

	b := compile(f, openSpec)

	f.Fuzz(func(t *testing.T, i int, text string) {
		if i < 0 || i >= len(fields) {
			return
		}

		name := fields[i]
		if name != "int32List" && name != "value" && !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
			return // not JSON
		}

		if name == "int32List" && !strings.HasPrefix(text, "[") {
			return
		}

		bound, err := request{query: "kinds." + name + "=" + url.QueryEscape(text)}.bind(b)

		value := text
		if strings.HasSuffix(name, "List") && !strings.HasPrefix(text, "[") {
			value = "[" + text + "]"
		}

		want := &testv1.WatchRequest{}

		theirs := errors.New("the text is not one JSON value")
		if json.Valid([]byte(text)) {
			theirs = protojson.Unmarshal([]byte(`{"kinds":{"`+name+`":`+value+`}}`), want)
		}

		if err != nil {
			checkRefusal(t, err)

			if theirs == nil && !strings.Contains(err.Error(), "nested deeper") {
				t.Fatalf("%s=%q: refused with %v, but protojson accepts it", name, text, err)
			}
			return
		}

		if theirs != nil {
			t.Fatalf("%s=%q: accepted, but protojson says %v", name, text, theirs)
		}

		if diff := cmp.Diff(want, decode(t, bound), protocmp.Transform(), cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("%s=%q: -want +got:\n%s", name, text, diff)
		}
	})
}

func BenchmarkBind(b *testing.B) {
	binder := compile(b, Spec{
		Set: map[string]any{"history": true}, Params: []string{"topic"}, Query: Fields{All: true}, Body: Fields{All: true},
		Metadata: []Metadata{{Name: "authorization", Key: true}},
	})

	for _, bm := range []struct {
		name    string
		request request
	}{
		{"path", request{}},
		{"query", request{query: "limit=50&kinds.nested.name=abc"}},
		{"body", request{body: `{"limit":50,"kinds":{"nested":{"name":"abc"}}}`}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			bm.request.headers = []string{"Authorization: Bearer abc"}
			r, params, body := bm.request.http(), map[string]string{"topic": "lobby"}, []byte(bm.request.body)

			b.ReportAllocs()

			for b.Loop() {
				if _, err := binder.Bind(r, params, body, Client{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	table := newTable(b,
		Entry{Path: "/clock"}, Entry{Path: "/rooms/{room_id}/events", Methods: []string{"GET", "POST"}},
		Entry{Path: "/rooms/{room_id}/messages", Methods: []string{"POST"}}, Entry{Path: "/tokens"},
	)
	r := request{}.http()
	r.URL = mustURL(b, "/rooms/lobby%2F1/events")

	b.ReportAllocs()

	for b.Loop() {
		if _, err := table.Match(r); err != nil {
			b.Fatal(err)
		}
	}
}
