package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

var metadataSpec = Spec{Metadata: []Metadata{
	{Name: "Authorization", Key: true},
	{Name: "b", Key: true},
	{Name: "A", Key: true},
	{Name: "x-experiment"},
	{Name: "X-Request-Id", Key: true},
	{Name: "traceparent", Key: true},
	{Name: "tracestate", Key: true},
	{Name: "baggage", Key: true},
	{Name: "sig-bin", Key: true},
}}

func bindHeaders(t *testing.T, lines ...string) Bound {
	t.Helper()

	bound, err := request{headers: lines}.bind(compile(t, metadataSpec))
	if err != nil {
		t.Fatal(err)
	}
	return bound
}

func TestMetadata(t *testing.T) {
	t.Parallel()

	got := bindHeaders(t, "Authorization: Bearer x", "B: 2", "B: 1", "A:  ", "X-Experiment: on", "X-Request-Id: 7", "Cookie: a=b",
		"Sig-Bin: AQI=, AQ", "Sig-Bin: Ag==")

	want := map[string][]string{
		"authorization": {"Bearer x"}, "b": {"2", "1"}, "a": {" "}, "x-experiment": {"on"}, "x-request-id": {"7"},
		"sig-bin": {"\x01\x02", "\x01", "\x02"},
	}
	if diff := cmp.Diff(want, got.Metadata); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	if got := bindHeaders(t); got.Metadata != nil || len(got.Identity) != 0 {
		t.Errorf("without headers: %+v", got)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()

	base := string(bindHeaders(t, "A: 1", "B: 2").Identity)

	for name, lines := range map[string][]string{
		"order of names":    {"B: 2", "A: 1"},
		"no key":            {"A: 1", "B: 2", "X-Experiment: on"},
		"request id":        {"A: 1", "B: 2", "X-Request-Id: 5"},
		"tracing":           {"A: 1", "B: 2", "Traceparent: a", "Tracestate: b", "Baggage: c"},
		"not forwarded":     {"A: 1", "B: 2", "Cookie: c"},
		"the name's casing": {"a: 1", "b: 2"},
	} {
		if got := string(bindHeaders(t, lines...).Identity); got != base {
			t.Errorf("%s: got %q; want %q", name, got, base)
		}
	}

	seen := map[string]string{}

	for name, lines := range map[string][]string{
		"nothing":           nil,
		"both":              {"A: 1", "B: 2"},
		"swapped":           {"A: 2", "B: 1"},
		"one":               {"A: 1"},
		"the other":         {"B: 2"},
		"twice":             {"A: 1", "A: 2"},
		"twice, reversed":   {"A: 2", "A: 1"},
		"joined":            {"A: 12"},
		"looks like B":      {"A: 1\x7e\x01b\x01\x012"},
		"another value":     {"A: 1", "B: 3"},
		"the same in one":   {"A: 1, 2"},
		"binary":            {"Sig-Bin: AQI="},
		"binary in two":     {"Sig-Bin: AQ==,Ag=="},
		"with credentials":  {"A: 1", "B: 2", "Authorization: x"},
		"other credentials": {"A: 1", "B: 2", "Authorization: y"},
	} {
		if name == "looks like B" {
			// A value that imitates the end of A and all of B needs control characters, which are
			// refused.
			if _, err := (request{headers: lines}).bind(compile(t, metadataSpec)); err == nil {
				t.Errorf("%s: no error", name)
			}
			continue
		}

		identity := string(bindHeaders(t, lines...).Identity)
		if other, taken := seen[identity]; taken {
			t.Errorf("%s and %s have the same identity", name, other)
		}

		seen[identity] = name
	}
}

// TestWireIsDeterministic checks that equivalent requests share a topic.
func TestWireIsDeterministic(t *testing.T) {
	t.Parallel()

	b := compile(t, openSpec)
	first := ""

	for _, q := range []request{
		{query: "topic=a&limit=1&kinds.string_string_map[a]=1&kinds.string_string_map[b]=2&kinds.int32_value=0"},
		{query: "kinds.stringStringMap.b=2&limit=1&kinds.string_string_map.a=1&last_event_id=5&topic=%61"},
		{query: "limit=1.0", body: `{"kinds":{"stringStringMap":{"b":"2","a":"1"}},"topic":"a"}`},
		{body: `{"topic":"\u0061","limit":"1","kinds":{"string_string_map":{"a":"1","b":"2"},"boolValue":false}}`},
	} {
		for range 10 {
			bound, err := q.bind(b)
			if err != nil {
				t.Fatal(err)
			}

			if first == "" {
				first = string(bound.Wire)
			}

			if got := string(bound.Wire); got != first {
				t.Errorf("%+v: got %q; want %q", q, got, first)
			}
		}
	}
}
