package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestBadSyntax covers invalid YAML, and YAML features that a configuration does not use.
func TestBadSyntax(t *testing.T) {
	testBad(t, []badConfig{
		{
			"a key indented by more than its siblings", "upstreams:\n  app: {target: a:1}\nroutes:\n  - path: /a\n    rpc: a.B/C\n     upstream: app\n", `
app.yaml:6:6: indented by 5, and the key on line 5 by 4; the keys of one mapping are indented alike
         upstream: app
         ^
`,
		},
		{
			"a key indented by less than its siblings", "upstreams:\n  app: {target: a:1}\nroutes:\n  - path: /a\n    rpc: a.B/C\n   upstream: app\n", `
app.yaml:6:4: indented by 3, and the key on line 5 by 4; the keys of one mapping are indented alike
       upstream: app
       ^
`,
		},
		{
			"a key with other indentation after a comment", "upstreams:\n  app:\n    target: a:1\n\n     opens: 5\n", `
app.yaml:5:6: indented by 5, and the key on line 3 by 4; the keys of one mapping are indented alike
         opens: 5
         ^
`,
		},
		{
			"empty", "", `
app.yaml:1:1: the file is empty; it needs upstreams and routes
`,
		},
		{
			"only a comment", "# nothing\n", `
app.yaml:1:1: the file is empty; it needs upstreams and routes
    # nothing
    ^
`,
		},
		{
			"control character", "listen: \"a\x1b[31m\"\n", `
app.yaml:1:11: a control character; remove it, or write it as an escape in double quotes
    listen: "a�[31m"
              ^
`,
		},
		{
			"tab", `upstreams:
	app: {}
`, `
app.yaml:2:1: a tab cannot indent; use spaces
    	app: {}
    ^
`,
		},
		{
			"unclosed list", minimal + "    methods: [GET\n", `
app.yaml:6:14: sequence end token ']' not found; close the bracket
        methods: [GET
                 ^
`,
		},
		{
			"unclosed quote", minimal + "    done: \"x\n", `
app.yaml:6:11: could not find end character of double-quoted text; close the quote
        done: "x
              ^
`,
		},
		{
			"unknown escape", minimal + "    done: \"\\q\"\n", `
app.yaml:6:13: found unknown escape character 'q'; write \\ for a backslash, or use single quotes
        done: "\q"
                ^
`,
		},
		{
			"mapping in a scalar", minimal + "    done: a: b\n", `
app.yaml:6:11: mapping value is not allowed in this context; put a value that holds ": " in quotes, and indent keys alike
        done: a: b
              ^
`,
		},
		{
			"reserved character", minimal + "    done: @x\n", `
app.yaml:6:11: '@' is a reserved character; put the value in quotes
        done: @x
              ^
`,
		},
		{
			"second document", minimal + `---
listen: x
`, `
app.yaml:6:1: a second document; a configuration is one document
    ---
    ^
`,
		},
		{
			"directive", `%YAML 1.2
---
listen: x
`, `
app.yaml:1:1: directives are not allowed; remove the line
    %YAML 1.2
    ^
`,
		},
		{
			"not a mapping", "- listen\n", `
app.yaml:1:1: a configuration is a mapping of keys, such as upstreams: and routes:
    - listen
    ^
`,
		},
		{
			"anchor", minimal + "    done: &d x\n", `
app.yaml:6:11: anchors and aliases are not allowed; write the value out
        done: &d x
              ^
`,
		},
		{
			"alias", minimal + "    done: *d\n", `
app.yaml:6:11: anchors and aliases are not allowed; write the value out
        done: *d
              ^
`,
		},
		{
			"merge key", minimal + "    <<: {done: x}\n", `
app.yaml:6:5: merge keys are not allowed; write the keys out
        <<: {done: x}
        ^
`,
		},
		{
			"tag", minimal + "    done: !!str x\n", `
app.yaml:6:11: tags are not allowed; remove it
        done: !!str x
              ^
`,
		},
		{
			"complex key", `? listen
: x
`, `
app.yaml:1:1: a key is written as "key: value", without "?"
    ? listen
    ^
app.yaml:2:1: upstreams: at least one is needed
    : x
    ^
app.yaml:2:1: routes: at least one is needed
    : x
    ^
`,
		},
		{
			"deep nesting", minimal + "    done: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n", `
app.yaml:6:43: nested more than 32 deep
        done: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
                                              ^
`,
		},
		{
			"duplicate key", minimal + `    done: a
    done: b
`, `
app.yaml:7:5: routes[0].done: duplicate key "done"; it is on line 6 already
        done: b
        ^
`,
		},
		{
			"unknown key", minimal + "    hartbeat: {every: 1s}\n", `
app.yaml:6:5: routes[0].hartbeat: unknown key "hartbeat"; did you mean "heartbeat"?
        hartbeat: {every: 1s}
        ^
`,
		},
		{
			"unknown key far from all", "qqqqqqqq: 1\n", `
app.yaml:1:1: qqqqqqqq: unknown key "qqqqqqqq"; known here: admin, auth, cors, drain, limits, listen, routes, tls, trusted_proxies, upstreams
    qqqqqqqq: 1
    ^
app.yaml:1:1: upstreams: at least one is needed
    qqqqqqqq: 1
    ^
app.yaml:1:1: routes: at least one is needed
    qqqqqqqq: 1
    ^
`,
		},
		{
			"unknown nested key", minimal + "    heartbeat: {evry: 1s}\n", `
app.yaml:6:17: routes[0].heartbeat.evry: unknown key "evry"; did you mean "every"?
        heartbeat: {evry: 1s}
                    ^
`,
		},
		{
			"misspelt key before the correct one", minimal + "lisen: x\nlisten: unix:x\n", `
app.yaml:6:1: lisen: unknown key "lisen"; did you mean "listen"?
    lisen: x
    ^
app.yaml:7:9: listen: must be unix:// and the absolute path of a file, such as unix:///run/ssebridge.sock
    listen: unix:x
            ^
`,
		},
		{
			"misspelt key after the correct one", `routes: [{path: /a, rpc: p.S/M, upstream: app, rcp: p.S/M}]
upstreams: {app: {target: "http://x", tarjet: x}}
`, `
app.yaml:1:48: routes[0].rcp: unknown key "rcp"; did you mean "rpc"?
    routes: [{path: /a, rpc: p.S/M, upstream: app, rcp: p.S/M}]
                                                   ^
app.yaml:2:27: upstreams.app.target: a gRPC target has no http://; write host:port, such as 127.0.0.1:50051, dns:///app:50051 or unix:///run/app.sock
    upstreams: {app: {target: "http://x", tarjet: x}}
                              ^
app.yaml:2:39: upstreams.app.tarjet: unknown key "tarjet"; did you mean "target"?
    upstreams: {app: {target: "http://x", tarjet: x}}
                                          ^
`,
		},
		{
			"misspelt key instead of the correct one", `routes: [{path: /a, rpc: p.S/M, upstream: app}]
upstreams: {app: {tarjet: x}}
`, `
app.yaml:2:19: upstreams.app.tarjet: unknown key "tarjet"; did you mean "target"?
    upstreams: {app: {tarjet: x}}
                      ^
`,
		},
		{
			"a path with variables without quotes in braces", "upstreams: {app: {target: \"a:1\"}}\nroutes:\n  - {path: /rooms/{room_id}/events, rpc: p.S/M, upstream: app}\n", `
app.yaml:3:19: ',' or '}' must be specified; inside { } and [ ] a path with { } stands in quotes: "/rooms/{room_id}"
      - {path: /rooms/{room_id}/events, rpc: p.S/M, upstream: app}
                      ^
`,
		},
		{
			"sections whose content is not indented", "upstreams:\napp:\n  target: a:1\nroutes:\n- {path: /a, rpc: p.S/M, upstream: app}\n", `
app.yaml:1:11: upstreams: must not be null; what belongs to it is indented below it
    upstreams:
              ^
app.yaml:2:1: app: unknown key "app"; known here: admin, auth, cors, drain, limits, listen, routes, tls, trusted_proxies, upstreams
    app:
    ^
`,
		},
		{
			"a variable without quotes in braces", minimal + "    heartbeat: {every: ${SECRET}}\n", `
app.yaml:6:25: ',' or '}' must be specified; inside { } and [ ] a variable stands in quotes: "${NAME}"
        heartbeat: {every: ${SECRET}}
                            ^
`,
		},
	})
}

// The keys of a mapping and the items of a list are bounded. The parser takes quadratic time: 50,000
// keys in a row took it a minute.
func TestWideFilesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"keys":       {"upstreams:\n" + strings.Repeat("  a: b\n", 2001), "app.yaml:2002:3: more than 2000 keys side by side; a configuration has fewer"},
		"flow keys":  {"upstreams: {" + strings.Repeat("a: b, ", 2001) + "}\n", "app.yaml:1:12014: more than 2000 keys side by side; a configuration has fewer"},
		"items":      {"routes:\n" + strings.Repeat("- a\n", 20001), "app.yaml:20002:1: more than 20000 items side by side; a configuration has fewer"},
		"flow items": {"routes: [" + strings.Repeat("a,", 20001) + "]\n", "app.yaml:1:40011: more than 20000 items side by side; a configuration has fewer"},
	} {
		_, err := Parse("app.yaml", []byte(c.text), nil)
		if got, _, _ := strings.Cut(fmt.Sprint(err), "\n"); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// The maximum number of routes is not too wide for the parser's bounds.
func TestMaximumOfRoutesIsAccepted(t *testing.T) {
	var text strings.Builder
	text.WriteString("upstreams: {app: {target: 127.0.0.1:1}}\nroutes:\n")
	for i := range maxRoutes {
		fmt.Fprintf(&text, "- path: /a%d\n  rpc: a.B/C\n  upstream: app\n  request: {set: {a: [1, 2]}}\n", i)
	}
	file, err := Parse("app.yaml", []byte(text.String()), nil)
	if err != nil || len(file.Config.Routes) != maxRoutes {
		t.Fatalf("got %v", err)
	}
}
