package config

import "testing"

// TestMisspeltKeyIsReportedAlone checks that a misspelt key hides the errors of keys that need it. A
// key with a second, independent error is still reported.
func TestMisspeltKeyIsReportedAlone(t *testing.T) {
	testBad(t, []badConfig{
		{"resume, which event.id needs", minimal + "    event: {id: seq}\n    resmue: {field: after}\n", `
app.yaml:7:5: routes[0].resmue: unknown key "resmue"; did you mean "resume"?
        resmue: {field: after}
        ^
`},
		{"resume, which join: own needs", minimal + "    event: {id: seq}\n    share: true\n    join: own\n    resum: {field: after}\n", `
app.yaml:9:5: routes[0].resum: unknown key "resum"; did you mean "resume"?
        resum: {field: after}
        ^
`},
		{"event, which resume and join: own need", minimal + "    evnt: {id: seq}\n    share: true\n    join: own\n    resume: {field: after}\n", `
app.yaml:6:5: routes[0].evnt: unknown key "evnt"; did you mean "event"?
        evnt: {id: seq}
        ^
`},
		{"share, which several need", minimal + `    event: {id: seq}
    join: held
    slow_client: skip
    resume: {field: after, max_events: 5}
    shar: true
`, `
app.yaml:10:5: routes[0].shar: unknown key "shar"; did you mean "share"?
        shar: true
        ^
`},
		{"methods, which a body needs", minimal + "    metods: [GET, POST]\n    request: {body: true}\n", `
app.yaml:6:5: routes[0].metods: unknown key "metods"; did you mean "methods"?
        metods: [GET, POST]
        ^
`},
		{"the key and the certificate of an upstream", `upstreams: {a: {target: "a:1", tls: {cert: c, kye: k}}, b: {target: "b:1", tls: {crt: c, key: k}}}
routes: [{path: /a, rpc: p.S/M, upstream: a}]
`, `
app.yaml:1:47: upstreams.a.tls.kye: unknown key "kye"; did you mean "key"?
    upstreams: {a: {target: "a:1", tls: {cert: c, kye: k}}, b: {target: "b:1", tls: {crt: c, key: k}}}
                                                  ^
app.yaml:1:82: upstreams.b.tls.crt: unknown key "crt"; did you mean "cert"?
    upstreams: {a: {target: "a:1", tls: {cert: c, kye: k}}, b: {target: "b:1", tls: {crt: c, key: k}}}
                                                                                     ^
`},
		{"another key", minimal + "    event: {id: seq}\n    hartbeat: {every: 1s}\n", `
app.yaml:6:17: routes[0].event.id: event.id has no effect without share: true, as a client resumes from its own RPC, by the bridge's numbers; add share: true, or resume, or remove it
        event: {id: seq}
                    ^
app.yaml:7:5: routes[0].hartbeat: unknown key "hartbeat"; did you mean "heartbeat"?
        hartbeat: {every: 1s}
        ^
`},
	})
}
