package config

import "testing"

// resuming is a configuration that ends within a route's resume.
const resuming = `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a/{id}
    rpc: p.S/M
    upstream: app
    event: {id: seq}
    resume:
      field: after
`

// TestBadResume covers the keys for opening an RPC at a cursor.
func TestBadResume(t *testing.T) {
	testBad(t, []badConfig{
		{
			"no field", minimal + "    event: {id: seq}\n    resume: {}\n", `
app.yaml:7:13: routes[0].resume.field: field is required: the request field that takes the cursor, such as after_seq
        resume: {}
                ^
`,
		},
		{
			"field not a path", minimal + "    event: {id: seq}\n    resume: {field: a b}\n", `
app.yaml:7:21: routes[0].resume.field: must be the path of a field, such as after_seq or watch.start_revision
        resume: {field: a b}
                        ^
`,
		},
		{
			"without ids of the backend", minimal + "    resume: {field: a}\n", `
app.yaml:6:13: routes[0].resume: resume needs event.id: the field of the messages whose value is the cursor
        resume: {field: a}
                ^
`,
		},
		{
			"without ids at all", minimal + "    resume: {field: a}\n    event: {id: \"\"}\n", `
app.yaml:6:13: routes[0].resume: resume has no effect with event.id: ""; remove one of them
        resume: {field: a}
                ^
`,
		},
		{
			"an invalid id causes no second error", minimal + "    resume: {field: a}\n    share: true\n    join: own\n    event: {id: 5, cursor: repeats}\n", `
app.yaml:9:17: routes[0].event.id: must be a string, not a number; write it in quotes
        event: {id: 5, cursor: repeats}
                    ^
`,
		},
		{
			"unknown keys", resuming + "      feild: a\n      expired: {code: [NOT_FOUND]}\n", `
app.yaml:9:7: routes[0].resume.feild: unknown key "feild"; did you mean "field"?
          feild: a
          ^
app.yaml:10:17: routes[0].resume.expired.code: unknown key "code"; did you mean "codes"?
          expired: {code: [NOT_FOUND]}
                    ^
`,
		},
		{
			"scalars", resuming + "      inclusive: 1\n      offset: 1.5\n      ordered: maybe\n", `
app.yaml:9:18: routes[0].resume.inclusive: must be true or false
          inclusive: 1
                     ^
app.yaml:10:15: routes[0].resume.offset: must be a whole number in decimal digits
          offset: 1.5
                  ^
app.yaml:11:16: routes[0].resume.ordered: must be true or false
          ordered: maybe
                   ^
`,
		},
		{
			"offset beyond 64 bits", resuming + "      offset: 9223372036854775808\n", `
app.yaml:9:15: routes[0].resume.offset: must be a whole number in decimal digits
          offset: 9223372036854775808
                  ^
`,
		},
		{
			"offset with inclusive", resuming + "      offset: 1\n      inclusive: true\n", `
app.yaml:9:15: routes[0].resume.offset: resume.offset starts after the cursor's message, and resume.inclusive: true says that it is sent again; remove one of them
          offset: 1
                  ^
`,
		},
		{
			"constants", resuming + "      set: {a.: 1, b: {c: 1}, d: null}\n", `
app.yaml:9:13: routes[0].resume.set["a."]: "a." is not the path of a field, such as limit or filter.kind
          set: {a.: 1, b: {c: 1}, d: null}
                ^
`,
		},
		{
			"codes", resuming + "      expired: {codes: [OUT_OF_RNGE, OK, NOT_FOUND, not_found, NOT_FOUND, \"\"]}\n", `
app.yaml:9:25: routes[0].resume.expired.codes[0]: must be the name of a gRPC code; did you mean "OUT_OF_RANGE"?
          expired: {codes: [OUT_OF_RNGE, OK, NOT_FOUND, not_found, NOT_FOUND, ""]}
                            ^
app.yaml:9:38: routes[0].resume.expired.codes[1]: OK is no failure; remove it
          expired: {codes: [OUT_OF_RNGE, OK, NOT_FOUND, not_found, NOT_FOUND, ""]}
                                         ^
app.yaml:9:53: routes[0].resume.expired.codes[3]: must be the name of a gRPC code; did you mean "NOT_FOUND"?
          expired: {codes: [OUT_OF_RNGE, OK, NOT_FOUND, not_found, NOT_FOUND, ""]}
                                                        ^
app.yaml:9:64: routes[0].resume.expired.codes[4]: the same as routes[0].resume.expired.codes[2]; remove one of them
          expired: {codes: [OUT_OF_RNGE, OK, NOT_FOUND, not_found, NOT_FOUND, ""]}
                                                                   ^
app.yaml:9:75: routes[0].resume.expired.codes[5]: must be the name of a gRPC code; known here: ABORTED, ALREADY_EXISTS, CANCELLED, DATA_LOSS, DEADLINE_EXCEEDED, FAILED_PRECONDITION, INTERNAL, INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAUTHENTICATED, UNAVAILABLE, UNIMPLEMENTED, UNKNOWN
          expired: {codes: [OUT_OF_RNGE, OK, NOT_FOUND, not_found, NOT_FOUND, ""]}
                                                                              ^
`,
		},
		{
			"expired.field is not a path", resuming + "      expired: {field: a.}\n", `
app.yaml:9:24: routes[0].resume.expired.field: must be the path of a field, such as compact_revision
          expired: {field: a.}
                           ^
`,
		},
	})
}

// TestBadResumeSources covers a field with two sources within resume. If resume and request both set a
// field, resume overrides request.
func TestBadResumeSources(t *testing.T) {
	testBad(t, []badConfig{
		{
			"resume.set and resume.field", resuming + "      set: {after: 1}\n", `
app.yaml:9:20: routes[0].resume.set.after: two sources for one field: resume.field and resume.set.after; keep one
          set: {after: 1}
                       ^
`,
		},
	})
}

// TestBadJoinOwn checks that join: own needs cursors, by which the streams merge.
func TestBadJoinOwn(t *testing.T) {
	const needs = "join: own needs event.id and resume, by which a client's own stream merges into the shared one"
	testBad(t, []badConfig{
		{"alone", minimal + "    share: true\n    join: own\n", `
app.yaml:7:11: routes[0].join: ` + needs + `
        join: own
              ^
`},
		{"without resume", minimal + "    join: own\n    share: true\n    event: {id: a}\n", `
app.yaml:6:11: routes[0].join: ` + needs + `
        join: own
              ^
`},
		{"private", resuming + "    join: own\n    share: false\n", `
app.yaml:9:11: routes[0].join: join has no effect without share: true, as each client has an RPC of its own, from its first message; add share: true, or remove it
        join: own
              ^
`},
		{"repeats without ids", minimal + "    event: {cursor: repeats}\n", `
app.yaml:6:21: routes[0].event.cursor: event.cursor has no effect without event.id: the bridge numbers the events itself; remove it, or name the field in event.id
        event: {cursor: repeats}
                        ^
`},
	})
}

// TestBadReconnect covers reconnect at the upstream and at the route.
func TestBadReconnect(t *testing.T) {
	const upstream = `routes: [{path: /a, rpc: p.S/M, upstream: app, reconnect: {initial: 1m}}]
upstreams:
  app:
    target: localhost:1
`
	testBad(t, []badConfig{
		{
			"values", oneUpstream + "    reconnect: {codes: [unavailable, OK], initial: 0s, max: 2h, attempts: -1}\n", `
app.yaml:5:25: upstreams.app.reconnect.codes[0]: must be the name of a gRPC code; did you mean "UNAVAILABLE"?
        reconnect: {codes: [unavailable, OK], initial: 0s, max: 2h, attempts: -1}
                            ^
app.yaml:5:38: upstreams.app.reconnect.codes[1]: OK is no failure; remove it
        reconnect: {codes: [unavailable, OK], initial: 0s, max: 2h, attempts: -1}
                                         ^
app.yaml:5:52: upstreams.app.reconnect.initial: must be from 1ms to 1h
        reconnect: {codes: [unavailable, OK], initial: 0s, max: 2h, attempts: -1}
                                                       ^
app.yaml:5:61: upstreams.app.reconnect.max: must be from 1ms to 1h
        reconnect: {codes: [unavailable, OK], initial: 0s, max: 2h, attempts: -1}
                                                                ^
app.yaml:5:75: upstreams.app.reconnect.attempts: must be from 0, which is without end, to 1000000
        reconnect: {codes: [unavailable, OK], initial: 0s, max: 2h, attempts: -1}
                                                                              ^
`,
		},
		{
			"initial over max", oneUpstream + "    reconnect: {initial: 3s, max: 2s}\n", `
app.yaml:5:26: upstreams.app.reconnect.initial: must not be longer than max
        reconnect: {initial: 3s, max: 2s}
                             ^
`,
		},
		{
			"initial over the default", oneUpstream + "    reconnect: {initial: 11s}\n", `
app.yaml:5:26: upstreams.app.reconnect.initial: must not be longer than max, which is left at its default
        reconnect: {initial: 11s}
                             ^
`,
		},
		{
			"max under the default", oneUpstream + "    reconnect: {max: 99ms}\n", `
app.yaml:5:22: upstreams.app.reconnect.max: must not be shorter than initial, which is left at its default
        reconnect: {max: 99ms}
                         ^
`,
		},
		{
			"route over its upstream", upstream + "    reconnect: {max: 30s}\n", `
app.yaml:1:69: routes[0].reconnect.initial: must not be longer than max, which is taken from the upstream
    routes: [{path: /a, rpc: p.S/M, upstream: app, reconnect: {initial: 1m}}]
                                                                        ^
`,
		},
		{
			"an error of the upstream's own is reported there only", oneUpstream + "    reconnect: {initial: 1m}\n  b: {target: \"b:1\", reconnect: {codes: x}}\n", `
app.yaml:5:26: upstreams.app.reconnect.initial: must not be longer than max, which is left at its default
        reconnect: {initial: 1m}
                             ^
app.yaml:6:41: upstreams.b.reconnect.codes: must be a list, such as [UNAVAILABLE], not a string
      b: {target: "b:1", reconnect: {codes: x}}
                                            ^
`,
		},
		{
			"catchups", minimal + "limits: {catchups: 0}\n", `
app.yaml:6:20: limits.catchups: must be from 1 to 1000000
    limits: {catchups: 0}
                       ^
`,
		},
	})
}

// TestBadCatchUp covers the bounds on the replay for a returning client.
func TestBadCatchUp(t *testing.T) {
	testBad(t, []badConfig{
		{
			"negative", resuming + "      max_events: -1\n      max_age: -1s\n    share: true\n", `
app.yaml:9:19: routes[0].resume.max_events: must not be negative; 0 is unlimited
          max_events: -1
                      ^
app.yaml:10:16: routes[0].resume.max_age: must be from 1ms to 720h
          max_age: -1s
                   ^
`,
		},
		{
			"not shared", resuming + "      max_events: 5\n", `
app.yaml:9:19: routes[0].resume.max_events: needs share: true, since only a shared stream shows where a client has caught up; remove it, or write share: true
          max_events: 5
                      ^
`,
		},
		{
			"not ordered", resuming + "      max_events: 5\n      ordered: false\n    share: true\n", `
app.yaml:9:19: routes[0].resume.max_events: needs resume.ordered: true, since only RPCs of one order show where a client has caught up; remove one of them
          max_events: 5
                      ^
`,
		},
	})
}

// Valid combinations of keys are accepted.
func TestGoodResume(t *testing.T) {
	for _, good := range []string{
		resuming,
		resuming + "    share: true\n    join: own\n",
		resuming + "    share: false\n",
		resuming + "      max_age: 12h\n",
		resuming + "      max_events: 1000\n      max_age: 0s\n    share: true\n",
		resuming + "      inclusive: true\n      offset: 0\n      ordered: false\n      expired: {codes: [], field: compact_revision}\n",
		resuming + "      offset: -9223372036854775808\n      set: {start.at: OFFSET, kinds: [1, 2]}\n    request: {set: {start.from: 1}, query: true}\n",
		resuming + "      set: {start_at: OFFSET, id: b}\n    methods: [GET, POST]\n    request: {set: {startAt: EARLIEST}, headers: {last: after}}\n",
		resuming + "      set: {start_at: OFFSET}\n    methods: [POST]\n    request: {query: [after, startAt], body: [after.x, b]}\n",
		minimal + "    share: true\n    event: {id: seq, cursor: repeats}\n",
		minimal + "    reconnect: {codes: [ABORTED, UNKNOWN], initial: 5s, attempts: 3}\n",
		oneUpstream + "    reconnect: {codes: [], initial: 20s, max: 20s, attempts: 0}\n",
	} {
		file, err := Parse("app.yaml", []byte(good), nil)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := file.Config.WithDefaults().Validate(); err != nil {
			t.Errorf("with its defaults: %v\n%s", err, good)
		}
	}
}
