package config

import "testing"

// minimalAuth is minimal with an issuer of tokens.
const minimalAuth = minimal + `    auth: required
auth:
  jwt: {issuer: https://id.example.com, audience: [events]}
`

// TestBadAuth covers auth, at the top and of a route, and request.claims.
func TestBadAuth(t *testing.T) {
	testBad(t, []badConfig{
		{
			"an issuer without a name and an audience", minimal + `auth: {jwt: {leeway: 1h}}
`, `
app.yaml:6:13: auth.jwt[0].issuer: issuer is required: the claim iss of the tokens, such as https://id.example.com
    auth: {jwt: {leeway: 1h}}
                ^
app.yaml:6:13: auth.jwt[0].audience: at least one audience is needed: without it a token that the issuer made for another service would be accepted
    auth: {jwt: {leeway: 1h}}
                ^
app.yaml:6:22: auth.jwt[0].leeway: must be from 0s to 10m
    auth: {jwt: {leeway: 1h}}
                         ^
`,
		},
		{
			"no issuers", minimal + `auth: {jwt: []}
`, `
app.yaml:6:13: auth.jwt: at least one issuer is needed, such as {issuer: https://id.example.com, audience: [events]}
    auth: {jwt: []}
                ^
`,
		},
		{
			"keys that anybody could change", minimal + `auth:
  jwt:
    - {issuer: http://id.example.com, audience: [events]}
    - {issuer: b, jwks: http://id.example.com/keys, audience: [events]}
    - {issuer: c, jwks: keys.json, audience: [events]}
`, `
app.yaml:8:16: auth.jwt[0].issuer: must be an https:// URL, below which the issuer publishes its metadata; or write jwks or secret
        - {issuer: http://id.example.com, audience: [events]}
                   ^
app.yaml:9:25: auth.jwt[1].jwks: must be https://…, file:///path, or http:// of this machine: anybody who changes the keys on their way can sign tokens
        - {issuer: b, jwks: http://id.example.com/keys, audience: [events]}
                            ^
app.yaml:10:25: auth.jwt[2].jwks: must be https://…, file:///path, or http:// of this machine: anybody who changes the keys on their way can sign tokens
        - {issuer: c, jwks: keys.json, audience: [events]}
                            ^
`,
		},
		{
			"algorithms that do not fit the keys", minimal + `auth:
  jwt:
    - {issuer: https://a.example.com, audience: [a], algorithms: [HS256, none, ES256, ES256]}
    - {issuer: b, secret: short, audience: [b], algorithms: [RS256], refresh: {every: 1m}}
    - {issuer: b, secret: 0123456789abcdef0123456789abcdef, jwks: file:///keys, audience: [b, b]}
`, `
app.yaml:8:67: auth.jwt[0].algorithms[0]: needs secret: the key that verifies such a token also signs one, so it is in no key set
        - {issuer: https://a.example.com, audience: [a], algorithms: [HS256, none, ES256, ES256]}
                                                                      ^
app.yaml:8:74: auth.jwt[0].algorithms[1]: must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, HS256, HS384 or HS512
        - {issuer: https://a.example.com, audience: [a], algorithms: [HS256, none, ES256, ES256]}
                                                                             ^
app.yaml:8:87: auth.jwt[0].algorithms[3]: is listed twice; remove one
        - {issuer: https://a.example.com, audience: [a], algorithms: [HS256, none, ES256, ES256]}
                                                                                          ^
app.yaml:9:27: auth.jwt[1].secret: must have 32 bytes or more; a shorter one can be guessed
        - {issuer: b, secret: short, audience: [b], algorithms: [RS256], refresh: {every: 1m}}
                              ^
app.yaml:9:62: auth.jwt[1].algorithms[0]: needs jwks in place of secret, which is for HS256, HS384 and HS512
        - {issuer: b, secret: short, audience: [b], algorithms: [RS256], refresh: {every: 1m}}
                                                                 ^
app.yaml:9:79: auth.jwt[1].refresh: has no effect with secret, which is not read again; remove it
        - {issuer: b, secret: short, audience: [b], algorithms: [RS256], refresh: {every: 1m}}
                                                                                  ^
app.yaml:10:16: auth.jwt[2].issuer: the same issuer as auth.jwt[1]; give one of them both audiences, or remove one
        - {issuer: b, secret: 0123456789abcdef0123456789abcdef, jwks: file:///keys, audience: [b, b]}
                   ^
app.yaml:10:27: auth.jwt[2].secret: two kinds of keys: jwks and secret; keep one
        - {issuer: b, secret: 0123456789abcdef0123456789abcdef, jwks: file:///keys, audience: [b, b]}
                              ^
app.yaml:10:95: auth.jwt[2].audience[1]: is listed twice; remove one
        - {issuer: b, secret: 0123456789abcdef0123456789abcdef, jwks: file:///keys, audience: [b, b]}
                                                                                                  ^
`,
		},
		{
			"places of a token", minimal + `auth:
  jwt:
    issuer: https://a.example.com
    audience: [a]
    from: [body, header, header, "cookie:", "query:lastEventId"]
`, `
app.yaml:10:12: auth.jwt[0].from[0]: must be header, cookie:NAME or query:NAME
        from: [body, header, header, "cookie:", "query:lastEventId"]
               ^
app.yaml:10:26: auth.jwt[0].from[2]: is listed twice; remove one
        from: [body, header, header, "cookie:", "query:lastEventId"]
                             ^
app.yaml:10:34: auth.jwt[0].from[3]: must be header, cookie:NAME or query:NAME
        from: [body, header, header, "cookie:", "query:lastEventId"]
                                     ^
app.yaml:10:45: auth.jwt[0].from[4]: last_event_id and lastEventId carry the id a client resumes from; choose another name
        from: [body, header, header, "cookie:", "query:lastEventId"]
                                                ^
`,
		},
		{
			"claims of anonymous clients", minimal + `    auth: {mode: optional, allow: [{claim: scope, has: read}]}
    request: {claims: {sub: user_id}}
auth: {jwt: {issuer: https://a.example.com, audience: [a]}}
`, `
app.yaml:6:35: routes[0].auth.allow: needs mode: required: an anonymous client has no claims that could meet a condition
        auth: {mode: optional, allow: [{claim: scope, has: read}]}
                                      ^
app.yaml:7:23: routes[0].request.claims: request.claims needs auth: required: an anonymous client has no claims
        request: {claims: {sub: user_id}}
                          ^
`,
		},
		{
			"conditions that say nothing", `upstreams: {app: {target: "localhost:1"}}
auth: {jwt: {issuer: https://a.example.com, audience: [a]}}
routes:
  - path: /{tenant}
    rpc: p.S/M
    upstream: app
    auth:
      mode: required
      allow:
        - {claim: a}
        - {has: b, in: [c]}
        - {claim: d, equals: "{tenent}"}
        - {claim: e, exists: false}
        - {claim: f, in: []}
        - {claim: g, equals: ""}
`, `
app.yaml:10:11: routes[0].auth.allow[0]: must have one of equals, in, has and exists
            - {claim: a}
              ^
app.yaml:11:11: routes[0].auth.allow[1].claim: claim is required: the path of a claim, such as scope or org.id
            - {has: b, in: [c]}
              ^
app.yaml:11:11: routes[0].auth.allow[1]: must have one of equals, in, has and exists
            - {has: b, in: [c]}
              ^
app.yaml:12:30: routes[0].auth.allow[2].equals: is no variable of the path; did you mean "tenant"?
            - {claim: d, equals: "{tenent}"}
                                 ^
app.yaml:13:30: routes[0].auth.allow[3].exists: must be true; a claim that must not be there is no condition
            - {claim: e, exists: false}
                                 ^
app.yaml:14:26: routes[0].auth.allow[4].in: at least one value is needed
            - {claim: f, in: []}
                             ^
app.yaml:15:30: routes[0].auth.allow[5].equals: must not be empty
            - {claim: g, equals: ""}
                                 ^
`,
		},
		{
			"two sources of a field", `upstreams: {app: {target: "localhost:1"}}
auth: {jwt: {issuer: https://a.example.com, audience: [a]}}
routes:
  - {path: "/{user_id}", rpc: p.S/M, upstream: app, auth: required, request: {claims: {sub: user_id, "": a}}}
`, `
app.yaml:4:93: routes[0].request.claims.sub: two sources for one field: path and request.claims.sub; keep one
      - {path: "/{user_id}", rpc: p.S/M, upstream: app, auth: required, request: {claims: {sub: user_id, "": a}}}
                                                                                                ^
app.yaml:4:102: routes[0].request.claims[""]: must be the path of a claim, such as sub or org.id
      - {path: "/{user_id}", rpc: p.S/M, upstream: app, auth: required, request: {claims: {sub: user_id, "": a}}}
                                                                                                         ^
`,
		},
	})
}

// TestGoodAuth covers what auth accepts.
func TestGoodAuth(t *testing.T) {
	for _, text := range []string{
		minimalAuth,
		minimal + `    auth: none
auth:
  jwt:
    - {issuer: a, jwks: "file:///etc/keys.json", audience: [events], type: at+jwt, key: []}
    - {issuer: b, secret: 0123456789abcdef0123456789abcdef, audience: [x], algorithms: [HS512], from: ["cookie:__Host-session", "query:access_token"]}
    - {issuer: "http://127.0.0.1:1/x", audience: [x], refresh: {every: 1m, unknown: 5s}, key: [sub]}
`,
	} {
		if _, err := Parse("app.yaml", []byte(text), nil); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
	file, err := Parse("app.yaml", []byte(minimalAuth), nil)
	if err != nil {
		t.Fatal(err)
	}
	issuer := file.Config.WithDefaults().Auth.JWT[0]
	if len(issuer.Algorithms) != len(asymmetric()) || issuer.From[0] != "header" || issuer.Key != nil || *issuer.Leeway != seconds(30) {
		t.Errorf("the defaults are %+v", issuer)
	}
}
