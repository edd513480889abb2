package config

import "testing"

// TestBadScalar covers wrong types and variables that cannot be expanded.
func TestBadScalar(t *testing.T) {
	testBad(t, []badConfig{
		{
			"null", minimal + "    heartbeat:\n", `
app.yaml:6:16: routes[0].heartbeat: must not be null; leave the key out for the default
        heartbeat:
                  ^
`,
		},
		{
			"explicit null", minimal + "    join: ~\n", `
app.yaml:6:11: routes[0].join: must not be null; leave the key out for the default
        join: ~
              ^
`,
		},
		{
			"null in a list", minimal + "    trailers: [a, null]\n", `
app.yaml:6:19: routes[0].trailers[1]: must not be null; remove it
        trailers: [a, null]
                      ^
`,
		},
		{
			"number for a text", minimal + "    done: 1.10\n", `
app.yaml:6:11: routes[0].done: must be a string, not a number; write it in quotes
        done: 1.10
              ^
`,
		},
		{
			"boolean for a text", minimal + "    done: true\n", `
app.yaml:6:11: routes[0].done: must be a string, not a boolean; write it in quotes
        done: true
              ^
`,
		},
		{
			"number for a target", "upstreams: {app: {target: 50051}}\nroutes: [{path: /a, rpc: p.S/M, upstream: app}]\n", `
app.yaml:1:27: upstreams.app.target: must be a string: "127.0.0.1:50051"
    upstreams: {app: {target: 50051}}
                              ^
`,
		},
		{
			"boolean for the admin listener", "admin: false\n" + minimal, `
app.yaml:1:8: admin: must be a string, such as 127.0.0.1:9901, or "" for none
    admin: false
           ^
`,
		},
		{
			"word for the admin listener", "admin: off\n" + minimal, `
app.yaml:1:8: admin: must be host:port with a port from 0 to 65535, such as 127.0.0.1:9901, or ":9901" for every address, or "" for none
    admin: off
           ^
`,
		},
		{
			"numbers for codes", minimal + "    reconnect: {codes: [14, 99]}\n", `
app.yaml:6:25: routes[0].reconnect.codes[0]: must be the name of a gRPC code: UNAVAILABLE
        reconnect: {codes: [14, 99]}
                            ^
app.yaml:6:29: routes[0].reconnect.codes[1]: must be the name of a gRPC code, such as UNAVAILABLE
        reconnect: {codes: [14, 99]}
                                ^
`,
		},
		{
			"list for a text", minimal + "    done: [DONE]\n", `
app.yaml:6:11: routes[0].done: must be a string, not a list
        done: [DONE]
              ^
`,
		},
		{
			"mapping for a text", minimal + "    done: {a: b}\n", `
app.yaml:6:11: routes[0].done: must be a string, not a mapping
        done: {a: b}
              ^
`,
		},
		{
			"text for a mapping", minimal + "    heartbeat: 15s\n", `
app.yaml:6:16: routes[0].heartbeat: must be a mapping, such as {every: 15s}, not a string
        heartbeat: 15s
                   ^
`,
		},
		{
			"text for a list", minimal + "    methods: GET\n", `
app.yaml:6:14: routes[0].methods: must be a list, such as [GET, POST], not a string
        methods: GET
                 ^
`,
		},
		{
			"text for a number", minimal + "    replay: {events: many}\n", `
app.yaml:6:22: routes[0].replay.events: must be a whole number in decimal digits
        replay: {events: many}
                         ^
`,
		},
		{
			"octal number", minimal + "    replay: {events: 010}\n", `
app.yaml:6:22: routes[0].replay.events: must be a whole number in decimal digits
        replay: {events: 010}
                         ^
`,
		},
		{
			"number with underscores", minimal + "    replay: {events: 1_000}\n", `
app.yaml:6:22: routes[0].replay.events: must be a whole number in decimal digits
        replay: {events: 1_000}
                         ^
`,
		},
		{
			"huge number", minimal + "    replay: {events: 99999999999999999999}\n", `
app.yaml:6:22: routes[0].replay.events: must be a whole number in decimal digits
        replay: {events: 99999999999999999999}
                         ^
`,
		},
		{
			"quoted number", minimal + "    replay: {events: \"12\"}\n", `
app.yaml:6:22: routes[0].replay.events: must be a whole number, without quotes
        replay: {events: "12"}
                         ^
`,
		},
		{
			"yes for a boolean", minimal + "    event: {emit_defaults: yes}\n", `
app.yaml:6:28: routes[0].event.emit_defaults: must be true or false
        event: {emit_defaults: yes}
                               ^
`,
		},
		{
			"duration without a unit", minimal + "    retry: 3\n", `
app.yaml:6:12: routes[0].retry: must be a duration such as 250ms, 15s or 5m
        retry: 3
               ^
`,
		},
		{
			"list for a duration", minimal + "    retry: [3s]\n", `
app.yaml:6:12: routes[0].retry: must be a duration such as 250ms, 15s or 5m, not a list
        retry: [3s]
               ^
`,
		},
		{
			"decimal size", minimal + "    replay: {bytes: 8MB}\n", `
app.yaml:6:21: routes[0].replay.bytes: must be a size such as 512B, 64KiB, 8MiB or 1GiB
        replay: {bytes: 8MB}
                        ^
`,
		},
		{
			"negative size", minimal + "    replay: {bytes: -1}\n", `
app.yaml:6:21: routes[0].replay.bytes: must be a size such as 512B, 64KiB, 8MiB or 1GiB
        replay: {bytes: -1}
                        ^
`,
		},
		{
			"size too large for 64 bits", minimal + "    replay: {bytes: 99999999999GiB}\n", `
app.yaml:6:21: routes[0].replay.bytes: must be a size such as 512B, 64KiB, 8MiB or 1GiB
        replay: {bytes: 99999999999GiB}
                        ^
`,
		},
		{
			"fields as a text", minimal + "    request: {query: some}\n", `
app.yaml:6:22: routes[0].request.query: must be true, false or a list of fields
        request: {query: some}
                         ^
`,
		},
		{
			"fields as a mapping", minimal + "    request: {query: {a: true}}\n", `
app.yaml:6:22: routes[0].request.query: must be true, false or a list of fields, not a mapping
        request: {query: {a: true}}
                         ^
`,
		},
		{
			"a variable in the key of a constant", minimal + "    request: {set: {a: {\"${B}\": 1}}}\n", `
app.yaml:6:25: routes[0].request.set.a["${B}"]: variables are expanded in values, not in keys; write the key out
        request: {set: {a: {"${B}": 1}}}
                            ^
`,
		},
		{
			"a constant with a key twice", minimal + "    request: {set: {a: {b: 1, b: 2}}}\n", `
app.yaml:6:31: routes[0].request.set.a.b: duplicate key "b"; it is on line 6 already
        request: {set: {a: {b: 1, b: 2}}}
                                  ^
`,
		},
		{
			"unset variable", minimal + "    done: ${NOPE}\n", `
app.yaml:6:11: routes[0].done: the environment variable NOPE is not set; set it, or give a default: ${NOPE:-…}
        done: ${NOPE}
              ^
`,
		},
		{
			"unset variable in a list", minimal + "    trailers: [\"a-${NOPE}\"]\n", `
app.yaml:6:16: routes[0].trailers[0]: the environment variable NOPE is not set; set it, or give a default: ${NOPE:-…}
        trailers: ["a-${NOPE}"]
                   ^
`,
		},
		{
			"variable without a brace", minimal + "    done: ${NOPE\n", `
app.yaml:6:11: routes[0].done: "${" without its "}"; write ${NAME}, or $$ for a literal $
        done: ${NOPE
              ^
`,
		},
		{
			"variable with a bad name", minimal + "    done: \"${a b}\"\n", `
app.yaml:6:11: routes[0].done: a variable's name is letters, digits and _; write ${NAME} or ${NAME:-default}, or $$ for a literal $
        done: "${a b}"
              ^
`,
		},
		{
			"lone dollar", minimal + "    done: cost $5\n", `
app.yaml:6:11: routes[0].done: "$" stands alone; write ${NAME} for a variable, or $$ for a literal $
        done: cost $5
              ^
`,
		},
		{
			"variable in a key", oneUpstream + "    metadata: {\"${SECRET}\": a}\n", `
app.yaml:5:16: upstreams.app.metadata["${SECRET}"]: variables are expanded in values, not in keys; write the key out
        metadata: {"${SECRET}": a}
                   ^
`,
		},
		{
			"secret for a number", minimal + "    replay: {events: \"${SECRET}\"}\n", `
app.yaml:6:22: routes[0].replay.events: must be a whole number in decimal digits
        replay: {events: "${SECRET}"}
                         ^
`,
		},
		{
			"secret for a duration", minimal + "    retry: ${SECRET}\n", `
app.yaml:6:12: routes[0].retry: must be a duration such as 250ms, 15s or 5m
        retry: ${SECRET}
               ^
`,
		},
		{
			"secret for a size", minimal + "    replay: {bytes: \"${SECRET}\"}\n", `
app.yaml:6:21: routes[0].replay.bytes: must be a size such as 512B, 64KiB, 8MiB or 1GiB
        replay: {bytes: "${SECRET}"}
                        ^
`,
		},
		{
			"secret for an enumerated value", minimal + "    join: ${SECRET}\n", `
app.yaml:6:11: routes[0].join: must be live, held or own
        join: ${SECRET}
              ^
`,
		},
		{
			"secret for an address", minimal + "admin: ${SECRET}\n", `
app.yaml:6:8: admin: must be host:port with a port from 0 to 65535, such as 127.0.0.1:9901, or ":9901" for every address, or "" for none
    admin: ${SECRET}
           ^
`,
		},
		{
			"secret for a reference", `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a/{id}
    rpc: p.S/M
    upstream: ${SECRET}
`, `
app.yaml:5:15: routes[0].upstream: there is no upstream of this name; known here: app
        upstream: ${SECRET}
                  ^
`,
		},
	})
}
