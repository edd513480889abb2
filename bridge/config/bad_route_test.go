package config

import "testing"

// TestBadRoute covers the keys of routes, alone and combined.
func TestBadRoute(t *testing.T) {
	testBad(t, []badConfig{
		{
			"required keys missing", `upstreams: {app: {target: "localhost:1"}}
routes: [{}]
`, `
app.yaml:2:10: routes[0].path: path is required, such as /rooms/{room_id}/events
    routes: [{}]
             ^
app.yaml:2:10: routes[0].rpc: rpc is required: package.Service/Method, such as grpc.health.v1.Health/Watch
    routes: [{}]
             ^
app.yaml:2:10: routes[0].upstream: upstream is required: the name of one of upstreams
    routes: [{}]
             ^
`,
		},
		{
			"path without a slash", `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: a
    rpc: p.S/M
    upstream: app
`, `
app.yaml:3:11: routes[0].path: must begin with /
      - path: a
              ^
`,
		},
		{
			"path with a query", `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a?b=c
    rpc: p.S/M
    upstream: app
`, `
app.yaml:3:11: routes[0].path: must not hold ? or #: a path has no query; request.query says what a query may set
      - path: /a?b=c
              ^
`,
		},
		{
			"path with a space", `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a b
    rpc: p.S/M
    upstream: app
`, `
app.yaml:3:11: routes[0].path: must not hold spaces or control characters
      - path: /a b
              ^
`,
		},
		{
			"methods empty", minimal + "    methods: []\n", `
app.yaml:6:14: routes[0].methods: must name GET, POST or both; leave the key out for GET
        methods: []
                 ^
`,
		},
		{
			"methods unknown, in lower case and twice", minimal + "    methods: [PUT, get, POST, POST]\n", `
app.yaml:6:15: routes[0].methods[0]: must be GET or POST
        methods: [PUT, get, POST, POST]
                  ^
app.yaml:6:31: routes[0].methods[3]: POST is listed twice; remove one
        methods: [PUT, get, POST, POST]
                                  ^
`,
		},
		{
			"rpc with a slash before it", `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a/{id}
    rpc: /p.S/M
    upstream: app
`, `
app.yaml:4:10: routes[0].rpc: must be package.Service/Method, such as grpc.health.v1.Health/Watch, without a / before it
        rpc: /p.S/M
             ^
`,
		},
		{
			"rpc without a method", `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a/{id}
    rpc: p.S.M
    upstream: app
`, `
app.yaml:4:10: routes[0].rpc: must be package.Service/Method, such as grpc.health.v1.Health/Watch
        rpc: p.S.M
             ^
`,
		},
		{
			"unknown upstream", `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a/{id}
    rpc: p.S/M
    upstream: api
`, `
app.yaml:5:15: routes[0].upstream: there is no upstream of this name; did you mean "app"?
        upstream: api
                  ^
`,
		},
		{
			"unknown upstream far from all", `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a/{id}
    rpc: p.S/M
    upstream: backend
`, `
app.yaml:5:15: routes[0].upstream: there is no upstream of this name; known here: app
        upstream: backend
                  ^
`,
		},
		{
			"not supported keys", minimal + `    auth: {mode: none, by: [jwt], renew: true}
`, `
app.yaml:6:24: routes[0].auth.by: by is not supported yet; remove it
        auth: {mode: none, by: [jwt], renew: true}
                           ^
app.yaml:6:35: routes[0].auth.renew: renew is not supported yet; remove it
        auth: {mode: none, by: [jwt], renew: true}
                                      ^
`,
		},
		{
			"enumerated values", minimal + `    auth: some
    join: ""
    share: always
    slow_client: wait
    on_complete: stop
    on_bad_message: skip
    heartbeat: {as: ping}
    event: {id: a, cursor: once}
`, `
app.yaml:6:11: routes[0].auth: must be none, optional, required or {mode: required, allow: [CONDITION]}
        auth: some
              ^
app.yaml:7:11: routes[0].join: must be live, held or own
        join: ""
              ^
app.yaml:8:12: routes[0].share: must be true or false
        share: always
               ^
app.yaml:9:18: routes[0].slow_client: must be disconnect or skip
        slow_client: wait
                     ^
app.yaml:10:18: routes[0].on_complete: must be end or reopen
        on_complete: stop
                     ^
app.yaml:11:21: routes[0].on_bad_message: must be gap or stop
        on_bad_message: skip
                        ^
app.yaml:12:21: routes[0].heartbeat.as: must be comment or event
        heartbeat: {as: ping}
                        ^
app.yaml:13:28: routes[0].event.cursor: must be unique or repeats
        event: {id: a, cursor: once}
                               ^
`,
		},
		{
			"replay out of range", minimal + "    replay: {events: 0, bytes: 100B, age: 0s, linger: -1s}\n", `
app.yaml:6:22: routes[0].replay.events: must be from 1 to 10000000
        replay: {events: 0, bytes: 100B, age: 0s, linger: -1s}
                         ^
app.yaml:6:32: routes[0].replay.bytes: must be from 1KiB to 16GiB
        replay: {events: 0, bytes: 100B, age: 0s, linger: -1s}
                                   ^
app.yaml:6:43: routes[0].replay.age: must be from 1ms to 720h
        replay: {events: 0, bytes: 100B, age: 0s, linger: -1s}
                                              ^
app.yaml:6:55: routes[0].replay.linger: must be from 0s to 720h
        replay: {events: 0, bytes: 100B, age: 0s, linger: -1s}
                                                          ^
`,
		},
		{
			"times out of range", minimal + `    write_timeout: 0s
    open_grace: 2m
    heartbeat: {every: 15ms}
    retry: 0s
    max_age: 1ms
    timeout: 2h
`, `
app.yaml:6:20: routes[0].write_timeout: must be from 1ms to 1h
        write_timeout: 0s
                       ^
app.yaml:7:17: routes[0].open_grace: must be from 0s to 1m
        open_grace: 2m
                    ^
app.yaml:8:24: routes[0].heartbeat.every: must be 0s, which is off, or from 100ms to 1h
        heartbeat: {every: 15ms}
                           ^
app.yaml:9:12: routes[0].retry: must be from 1ms to 1h
        retry: 0s
               ^
app.yaml:10:14: routes[0].max_age: must be 0s, which is unlimited, or from 100ms to 720h
        max_age: 1ms
                 ^
app.yaml:11:14: routes[0].timeout: must be from 1ms to 1h
        timeout: 2h
                 ^
`,
		},
		{
			"done of two lines", minimal + "    done: \"a\\nb\"\n", `
app.yaml:6:11: routes[0].done: must be one line
        done: "a\nb"
              ^
`,
		},
		{
			"done with reopen", minimal + `    done: x
    on_complete: reopen
`, `
app.yaml:6:11: routes[0].done: done has no effect with on_complete: reopen, which never ends; remove one of them
        done: x
              ^
`,
		},
		{
			"variables in the syntax of other routers",
			"upstreams:\n  app: {target: a:1}\nroutes:\n  - {path: /orders/:id, rpc: a.B/C, upstream: app}\n  - {path: /orders/<order_id>/x, rpc: a.B/C, upstream: app}\n", `
app.yaml:4:12: routes[0].path: variables are written {id}
      - {path: /orders/:id, rpc: a.B/C, upstream: app}
               ^
app.yaml:5:12: routes[1].path: variables are written {order_id}
      - {path: /orders/<order_id>/x, rpc: a.B/C, upstream: app}
               ^
`,
		},
		{
			"trailers", minimal + "    trailers: [Upper, grpc-status, a-bin, a, a]\n", `
app.yaml:6:23: routes[0].trailers[1]: must not begin with grpc-, which is gRPC's own
        trailers: [Upper, grpc-status, a-bin, a, a]
                          ^
app.yaml:6:36: routes[0].trailers[2]: a binary trailer (-bin) cannot be shown as a string; remove it
        trailers: [Upper, grpc-status, a-bin, a, a]
                                       ^
app.yaml:6:46: routes[0].trailers[4]: the same as routes[0].trailers[3]; remove one of them
        trailers: [Upper, grpc-status, a-bin, a, a]
                                                 ^
`,
		},
		{
			"heartbeat with an invalid time, and a form", minimal + "    heartbeat: {every: soon, as: event}\n", `
app.yaml:6:24: routes[0].heartbeat.every: must be a duration such as 250ms, 15s or 5m
        heartbeat: {every: soon, as: event}
                           ^
`,
		},
		{
			"heartbeat off with a form", minimal + "    heartbeat: {every: 0s, as: comment}\n", `
app.yaml:6:32: routes[0].heartbeat.as: heartbeat.as has no effect with heartbeat.every: 0s; remove one of them
        heartbeat: {every: 0s, as: comment}
                                   ^
`,
		},
		{
			"keys of shared streams", minimal + `    share: false
    join: live
    slow_client: skip
    event: {id: seq}
`, `
app.yaml:7:11: routes[0].join: join has no effect without share: true, as each client has an RPC of its own, from its first message; add share: true, or remove it
        join: live
              ^
app.yaml:8:18: routes[0].slow_client: slow_client has no effect without share: true, as the backend is slowed down and nothing is dropped; add share: true, or remove it
        slow_client: skip
                     ^
app.yaml:9:17: routes[0].event.id: event.id has no effect without share: true, as a client resumes from its own RPC, by the bridge's numbers; add share: true, or resume, or remove it
        event: {id: seq}
                    ^
`,
		},
		{
			"join without share", minimal + "    join: held\n", `
app.yaml:6:11: routes[0].join: join has no effect without share: true, as each client has an RPC of its own, from its first message; add share: true, or remove it
        join: held
              ^
`,
		},
		{
			"share: auto of an earlier release", minimal + "    share: auto\n    join: held\n", `
app.yaml:6:12: routes[0].share: must be true or false: auto is now share: true, which lets equal requests share one RPC
        share: auto
               ^
`,
		},
		{
			"share: never of an earlier release", minimal + "    share: never\n", `
app.yaml:6:12: routes[0].share: must be true or false: never is now share: false, the default, which gives each client an RPC of its own
        share: never
               ^
`,
		},
		{
			"linger without ids and without share", minimal + `    share: false
    event: {id: ""}
    replay: {linger: 30s}
`, `
app.yaml:8:22: routes[0].replay.linger: replay.linger has no effect without share: true, where event.id is "", as the RPC ends with its client; add share: true, or remove it
        replay: {linger: 30s}
                         ^
`,
		},
	})
}
