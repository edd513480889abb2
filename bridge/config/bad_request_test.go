package config

import "testing"

// TestBadRequestAndEvent covers the keys within request and event.
func TestBadRequestAndEvent(t *testing.T) {
	testBad(t, []badConfig{
		{
			"event id that is not a path", minimal + "    event: {id: a..b}\n", `
app.yaml:6:17: routes[0].event.id: must be the path of a field, such as seq or meta.version, or "" for no ids
        event: {id: a..b}
                    ^
`,
		},
		{
			"cursor without an id", minimal + "    event: {cursor: unique}\n", `
app.yaml:6:21: routes[0].event.cursor: event.cursor has no effect without event.id: the bridge numbers the events itself; remove it, or name the field in event.id
        event: {cursor: unique}
                        ^
`,
		},
		{
			"cursor with no ids", minimal + "    event: {id: \"\", cursor: unique}\n", `
app.yaml:6:29: routes[0].event.cursor: event.cursor has no effect with event.id: ""; remove one of them
        event: {id: "", cursor: unique}
                                ^
`,
		},
		{
			"event name that is reserved", minimal + "    event: {name: stream-open}\n", `
app.yaml:6:19: routes[0].event.name: error, open, heartbeat and names that begin with stream- are taken; choose another name
        event: {name: stream-open}
                      ^
`,
		},
		{
			"event name error, which fires onerror", minimal + "    event: {name: error}\n", `
app.yaml:6:19: routes[0].event.name: error, open, heartbeat and names that begin with stream- are taken; choose another name
        event: {name: error}
                      ^
`,
		},
		{
			"event name empty", minimal + "    event: {name: \"\"}\n", `
app.yaml:6:19: routes[0].event.name: must not be empty; leave the key out for no name
        event: {name: ""}
                      ^
`,
		},
		{
			"event name too long", minimal + "    event: {name: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn}\n", `
app.yaml:6:19: routes[0].event.name: must be at most 64 bytes
        event: {name: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn}
                      ^
`,
		},
		{
			"event name of two lines", minimal + "    event: {name: \"a\\nb\"}\n", `
app.yaml:6:19: routes[0].event.name: must be one line of printable characters without spaces at its edges
        event: {name: "a\nb"}
                      ^
`,
		},
		{
			"event name of two forms", minimal + "    event: {name: {field: a, oneof: b}}\n", `
app.yaml:6:19: routes[0].event.name: has more than one form; keep one of them
        event: {name: {field: a, oneof: b}}
                      ^
`,
		},
		{
			"event name of no form", minimal + "    event: {name: {}}\n", `
app.yaml:6:19: routes[0].event.name: must be a string, {field: PATH} or {oneof: NAME}
        event: {name: {}}
                      ^
`,
		},
		{
			"event name of bad forms", minimal + "    event: {name: {field: \"\"}}\n", `
app.yaml:6:27: routes[0].event.name.field: must be the path of a field, such as kind or meta.kind
        event: {name: {field: ""}}
                              ^
`,
		},
		{
			"event data of two forms", minimal + "    event: {data: {message: true, field: a}}\n", `
app.yaml:6:19: routes[0].event.data: must be one of {message: true}, {field: PATH} and {oneof: NAME}
        event: {data: {message: true, field: a}}
                      ^
`,
		},
		{
			"event data without the message", minimal + "    event: {data: {message: false}}\n", `
app.yaml:6:19: routes[0].event.data: must be one of {message: true}, {field: PATH} and {oneof: NAME}
        event: {data: {message: false}}
                      ^
`,
		},
		{
			"event data as a text", minimal + "    event: {data: all}\n", `
app.yaml:6:19: routes[0].event.data: must be a mapping, such as {field: note} or {oneof: body}, not a string
        event: {data: all}
                      ^
`,
		},
		{
			"event name and data with a key that does not exist", minimal + "    event: {name: {feild: seq}, data: {oneoff: a}}\n", `
app.yaml:6:20: routes[0].event.name.feild: unknown key "feild"; did you mean "field"?
        event: {name: {feild: seq}, data: {oneoff: a}}
                       ^
app.yaml:6:40: routes[0].event.data.oneoff: unknown key "oneoff"; did you mean "oneof"?
        event: {name: {feild: seq}, data: {oneoff: a}}
                                           ^
`,
		},
		{
			"event data without the message, and a key that does not exist", minimal + "    event: {data: {message: false, oneoff: a}}\n", `
app.yaml:6:36: routes[0].event.data.oneoff: unknown key "oneoff"; did you mean "oneof"?
        event: {data: {message: false, oneoff: a}}
                                       ^
`,
		},
		{
			"event data of a bad oneof", minimal + "    event: {data: {oneof: a.b}}\n", `
app.yaml:6:27: routes[0].event.data.oneof: must be the name of a oneof of the message
        event: {data: {oneof: a.b}}
                              ^
`,
		},
		{
			"body without POST", minimal + "    request: {body: false}\n", `
app.yaml:6:21: routes[0].request.body: request.body has no effect where methods does not name POST; remove it, or write methods: [GET, POST]
        request: {body: false}
                        ^
`,
		},
		{
			"ignored names", minimal + "    request: {query: [limit, room_id], ignore: [\"\", \"a*b\", utm_*, utm_*, limit, roomId, last_event_id]}\n", `
app.yaml:6:49: routes[0].request.ignore[0]: must be the name of a query parameter, or its beginning and *, such as utm_*
        request: {query: [limit, room_id], ignore: ["", "a*b", utm_*, utm_*, limit, roomId, last_event_id]}
                                                    ^
app.yaml:6:53: routes[0].request.ignore[1]: must be the name of a query parameter, or its beginning and *, such as utm_*
        request: {query: [limit, room_id], ignore: ["", "a*b", utm_*, utm_*, limit, roomId, last_event_id]}
                                                        ^
app.yaml:6:67: routes[0].request.ignore[3]: the same as routes[0].request.ignore[2]; remove one of them
        request: {query: [limit, room_id], ignore: ["", "a*b", utm_*, utm_*, limit, roomId, last_event_id]}
                                                                      ^
app.yaml:6:74: routes[0].request.ignore[4]: request.query allows this field, so that it cannot be ignored; remove one of the two
        request: {query: [limit, room_id], ignore: ["", "a*b", utm_*, utm_*, limit, roomId, last_event_id]}
                                                                             ^
app.yaml:6:81: routes[0].request.ignore[5]: request.query allows this field, so that it cannot be ignored; remove one of the two
        request: {query: [limit, room_id], ignore: ["", "a*b", utm_*, utm_*, limit, roomId, last_event_id]}
                                                                                    ^
app.yaml:6:89: routes[0].request.ignore[6]: last_event_id and lastEventId carry the id a client resumes from and cannot be ignored; remove it
        request: {query: [limit, room_id], ignore: ["", "a*b", utm_*, utm_*, limit, roomId, last_event_id]}
                                                                                            ^
`,
		},
		{
			"safe without GET", minimal + "    methods: [POST]\n    safe: true\n", `
app.yaml:7:11: routes[0].safe: safe has no effect where methods does not name GET; remove it, or write methods: [GET]
        safe: true
              ^
`,
		},
		{
			"two sources: set and path", minimal + "    request: {set: {id: 1}}\n", `
app.yaml:3:11: routes[0].path: two sources for one field: request.set.id and path; keep one
      - path: /a/{id}
              ^
`,
		},
		{
			"two sources: path and headers", minimal + "    request: {headers: {x-id: id}}\n", `
app.yaml:6:31: routes[0].request.headers.x-id: two sources for one field: path and request.headers.x-id; keep one
        request: {headers: {x-id: id}}
                                  ^
`,
		},
		{
			"two sources by both names of a field", minimal + "    request: {set: {user_id: 1}, headers: {x-user: userId}}\n", `
app.yaml:6:52: routes[0].request.headers.x-user: two sources for one field: request.set.user_id and request.headers.x-user; keep one
        request: {set: {user_id: 1}, headers: {x-user: userId}}
                                                       ^
`,
		},
		{
			"two sources: a field and its member", minimal + "    request: {set: {user.id: 1}, headers: {x-user: user}}\n", `
app.yaml:6:52: routes[0].request.headers.x-user: two sources for one field: request.set["user.id"] and request.headers.x-user; keep one
        request: {set: {user.id: 1}, headers: {x-user: user}}
                                                       ^
`,
		},
		{
			"two sources within the path", `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a/{id}/{id=b/*}
    rpc: p.S/M
    upstream: app
`, `
app.yaml:3:11: routes[0].path: two segments of the path set one field; rename one
      - path: /a/{id}/{id=b/*}
              ^
`,
		},
		{
			"query names a bound field", minimal + "    request: {query: [id, a, b.c], set: {a: 1, b: 2}}\n", `
app.yaml:6:23: routes[0].request.query[0]: this field has no effect with path, which binds it; remove one of them
        request: {query: [id, a, b.c], set: {a: 1, b: 2}}
                          ^
app.yaml:6:27: routes[0].request.query[1]: this field has no effect with request.set.a, which binds it; remove one of them
        request: {query: [id, a, b.c], set: {a: 1, b: 2}}
                              ^
app.yaml:6:30: routes[0].request.query[2]: this field has no effect with request.set.b, which binds it; remove one of them
        request: {query: [id, a, b.c], set: {a: 1, b: 2}}
                                 ^
`,
		},
		{
			"body names a bound field", minimal + `    methods: [POST]
    request: {body: [a], headers: {x-a: a}}
`, `
app.yaml:7:22: routes[0].request.body[0]: this field has no effect with request.headers.x-a, which binds it; remove one of them
        request: {body: [a], headers: {x-a: a}}
                         ^
`,
		},
		{
			"query fields", minimal + "    request: {query: [\"\", a b, user_id, userId, last_event_id]}\n", `
app.yaml:6:23: routes[0].request.query[0]: must be the path of a field, such as limit or filter.kind
        request: {query: ["", a b, user_id, userId, last_event_id]}
                          ^
app.yaml:6:27: routes[0].request.query[1]: must be the path of a field, such as limit or filter.kind
        request: {query: ["", a b, user_id, userId, last_event_id]}
                              ^
app.yaml:6:41: routes[0].request.query[3]: the same field as routes[0].request.query[2]; remove one of them
        request: {query: ["", a b, user_id, userId, last_event_id]}
                                            ^
app.yaml:6:49: routes[0].request.query[4]: last_event_id and lastEventId carry the id a client resumes from and reach no field; remove it
        request: {query: ["", a b, user_id, userId, last_event_id]}
                                                    ^
`,
		},
		{
			"field paths of set and headers", minimal + "    request: {set: {\"a b\": 1}, headers: {x-a: \"\"}}\n", `
app.yaml:6:21: routes[0].request.set["a b"]: "a b" is not the path of a field, such as limit or filter.kind
        request: {set: {"a b": 1}, headers: {x-a: ""}}
                        ^
app.yaml:6:47: routes[0].request.headers.x-a: must be the path of a field, such as user_id
        request: {set: {"a b": 1}, headers: {x-a: ""}}
                                                  ^
`,
		},
		{
			"header names", minimal + "    request: {headers: {\"a b\": a, Host: b, x-c: c, X-C: d}}\n", `
app.yaml:6:25: routes[0].request.headers["a b"]: "a b" is not the name of an HTTP header
        request: {headers: {"a b": a, Host: b, x-c: c, X-C: d}}
                            ^
app.yaml:6:35: routes[0].request.headers.Host: "Host" belongs to the connection and cannot be bound to a field; remove it
        request: {headers: {"a b": a, Host: b, x-c: c, X-C: d}}
                                      ^
app.yaml:6:44: routes[0].request.headers.x-c: "x-c" and "X-C" are the same header; remove one
        request: {headers: {"a b": a, Host: b, x-c: c, X-C: d}}
                                               ^
`,
		},
		{
			"forwarded names", minimal + "    request: {metadata: [Upper, grpc-a, te, a, a, {name: \"\"}, {key: true}, {name: traceparent, key: true}]}\n", `
app.yaml:6:33: routes[0].request.metadata[1]: must not begin with grpc-, which is gRPC's own
        request: {metadata: [Upper, grpc-a, te, a, a, {name: ""}, {key: true}, {name: traceparent, key: true}]}
                                    ^
app.yaml:6:41: routes[0].request.metadata[2]: cannot be sent as metadata: it belongs to the connection; remove it
        request: {metadata: [Upper, grpc-a, te, a, a, {name: ""}, {key: true}, {name: traceparent, key: true}]}
                                            ^
app.yaml:6:48: routes[0].request.metadata[4]: the same as routes[0].request.metadata[3]; remove one of them
        request: {metadata: [Upper, grpc-a, te, a, a, {name: ""}, {key: true}, {name: traceparent, key: true}]}
                                                   ^
app.yaml:6:58: routes[0].request.metadata[5].name: name is required: the header to forward
        request: {metadata: [Upper, grpc-a, te, a, a, {name: ""}, {key: true}, {name: traceparent, key: true}]}
                                                             ^
app.yaml:6:63: routes[0].request.metadata[6]: name is required: the header to forward
        request: {metadata: [Upper, grpc-a, te, a, a, {name: ""}, {key: true}, {name: traceparent, key: true}]}
                                                                  ^
app.yaml:6:101: routes[0].request.metadata[7].key: this header differs with every request and never keeps clients apart; remove key: true
        request: {metadata: [Upper, grpc-a, te, a, a, {name: ""}, {key: true}, {name: traceparent, key: true}]}
                                                                                                        ^
`,
		},
		{
			"forwarded and sent by the upstream", `upstreams: {app: {target: "localhost:1", metadata: {authorization: x}}}
routes:
  - {path: /a, rpc: p.S/M, upstream: app, request: {metadata: [authorization]}}
`, `
app.yaml:3:64: routes[0].request.metadata[0]: two sources for one name: the upstream's metadata sends it with every call; remove one of them
      - {path: /a, rpc: p.S/M, upstream: app, request: {metadata: [authorization]}}
                                                                   ^
`,
		},
	})
}
