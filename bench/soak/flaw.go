package main

import "strings"

// flaw is a fault in a configuration, for which a bridge must refuse it.
type flaw struct {
	name  string
	spoil func(text string) string
}

// noFlaw leaves a configuration as it is.
var noFlaw = flaw{} //nolint:gochecknoglobals // a constant

// flaws returns all flaws. The text that they spoil ends with its routes.
func flaws() []flaw {
	const route = "  - {path: /flaw, rpc: ssebridge.test.v1.FeedService/Watch, upstream: feed"
	more := func(lines ...string) func(string) string {
		return func(text string) string { return text + strings.Join(lines, "\n") + "\n" }
	}
	return []flaw{
		{"cut short", func(text string) string { return text[:len(text)-len("}\n")] }},
		{"an unknown key", more("rotues: []")},
		{"an upstream that is none", more(strings.Replace(route, "feed", "none", 1) + "}")},
		{"two routes for one request", more(route+"}", route+", retry: 1s}")},
		{"a field that the schema has not", more(route + ", share: true, event: {id: none}}")},
	}
}
