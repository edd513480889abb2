package route

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// costly returns requests of about 56 KB that cost the most, by their repeated part.
func costly() map[string]request {
	const size = 56 << 10

	filled := func(piece string) string { return strings.TrimSuffix(strings.Repeat(piece, size/len(piece)), ",") }

	entries := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	return map[string]request{
		"empty objects in a list":      {body: `{"kinds":{"nestedList":[` + filled(`{},`) + `]}}`},
		"objects in a list":            {body: `{"kinds":{"nestedList":[` + filled(`{"child":{}},`) + `]}}`},
		"empty objects in a map":       {body: `{"kinds":{"int32NestedMap":{` + entries(`"%d":{},`) + `}}}`},
		"entries of a map":             {body: `{"kinds":{"stringStringMap":{` + entries(`"%d":"",`) + `}}}`},
		"values in a Struct's list":    {body: `{"kinds":{"struct":{"a":[` + filled(`1,`) + `]}}}`},
		"objects in a Struct's list":   {body: `{"kinds":{"struct":{"a":[` + filled(`{},`) + `]}}}`},
		"entries of a Struct":          {body: `{"kinds":{"struct":{` + entries(`"%d":1,`) + `}}}`},
		"numbers":                      {body: `{"kinds":{"int32List":[` + filled(`1,`) + `]}}`},
		"parameters":                   {query: filled("kinds.int32_list=1&")},
		"objects in the query":         {query: filled("kinds.nested_list={}&")},
		"entries of a map, one by one": {query: entries("kinds.int32_nested_map[%d]={}&")},
		"unknown parameters":           {query: filled("utmm=1&")},
		"deep places":                  {query: filled("kinds." + strings.Repeat("recursive.", 90) + "int32_list=1&")},
	}
}

// A request may contain one message or value per eight bytes. Bind refuses a request with more before
// it creates them.
func TestCostlyRequestsAreRefused(t *testing.T) {
	t.Parallel()

	spec := openSpec
	spec.Ignored = []string{"utm*"}
	binder := compile(t, spec)

	for name, want := range map[string]string{
		"empty objects in a list":    "413 : the body has more than 8192 objects and values",
		"values in a Struct's list":  "413 : the body has more than 8192 objects and values",
		"objects in a Struct's list": "413 : the body has more than 8192 objects and values",
		"objects in the query":       "400 kinds.nested_list: the query has more than 1000 parameters that are JSON",
		"numbers":                    "",
		"entries of a map":           "",
		"unknown parameters":         "",
		"parameters":                 "",
	} {
		q, got := costly()[name], ""
		if _, err := q.bind(binder); err != nil {
			got = outcome(err)
		}

		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}

	// A larger body may have more. limits.request_bytes allows larger bodies.
	many := request{body: `{"kinds":{"struct":{"a":[` + strings.Repeat(`1,       `, 10_000) + `1]}}}`}
	if _, err := many.bind(binder); err != nil {
		t.Errorf("10,001 values of nine bytes each: %v", err)
	}
}

// BenchmarkCostlyRequests also measures encoding/json alone for comparison.
func BenchmarkCostlyRequests(b *testing.B) {
	spec := openSpec
	spec.Ignored = []string{"utm*"}
	binder := compile(b, spec)

	for name, q := range costly() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()

			for b.Loop() {
				_, _ = q.bind(binder) // some are refused
			}
		})
	}

	body := costly()["empty objects in a list"].body

	b.Run("encoding/json", func(b *testing.B) {
		for b.Loop() {
			var v any
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
