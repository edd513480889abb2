package config

import "testing"

// TestBadCORS covers cors, at the top and of a route.
func TestBadCORS(t *testing.T) {
	testBad(t, []badConfig{
		{
			"what browsers never send", minimal + `cors:
  origins:
    - app.example.com
    - https://app.example.com/
    - https://app.example.com/page
    - https://App.example.com
    - https://app.example.com:443
    - https://a.*.example.com
    - https://*.com
    - https://*.10.0.0.1
    - https://user@app.example.com
    - https://app.example.com:99999
    - https://bücher.example
`, `
app.yaml:8:7: cors.origins[0]: must be scheme://host[:port], such as https://app.example.com
        - app.example.com
          ^
app.yaml:9:7: cors.origins[1]: must not end in /, since browsers send an origin without it
        - https://app.example.com/
          ^
app.yaml:10:7: cors.origins[2]: must be scheme://host[:port], such as https://app.example.com; an origin has no path
        - https://app.example.com/page
          ^
app.yaml:11:7: cors.origins[3]: must be in lower case, as browsers send it
        - https://App.example.com
          ^
app.yaml:12:7: cors.origins[4]: must not have the scheme's default port, since browsers send an origin without it
        - https://app.example.com:443
          ^
app.yaml:13:7: cors.origins[5]: * may only stand for the first label of the host: https://*.example.com
        - https://a.*.example.com
          ^
app.yaml:14:7: cors.origins[6]: * may not stand for a domain right below the top: name more of the host
        - https://*.com
          ^
app.yaml:15:7: cors.origins[7]: an address has no labels for * to stand for
        - https://*.10.0.0.1
          ^
app.yaml:16:7: cors.origins[8]: must be scheme://host[:port], such as https://app.example.com
        - https://user@app.example.com
          ^
app.yaml:17:7: cors.origins[9]: must have a port from 1 to 65535, or none
        - https://app.example.com:99999
          ^
app.yaml:18:7: cors.origins[10]: must be in ASCII, as browsers send it (xn--… for other letters)
        - https://bücher.example
          ^
`,
		},
		{
			"any origin with credentials", minimal + `cors: {origins: ["*"], credentials: true}
`, `
app.yaml:6:18: cors.origins[0]: * is not allowed with credentials: name the origins
    cors: {origins: ["*"], credentials: true}
                     ^
`,
		},
		{
			"any origin and others, and headers", minimal + `cors: {origins: ["*", "https://a.example", "https://a.example"], headers: ["*", "a b", x-a, X-A], expose: [""], max_age: 48h}
`, `
app.yaml:6:18: cors.origins[0]: * allows every origin; remove it or the others
    cors: {origins: ["*", "https://a.example", "https://a.example"], headers: ["*", "a b", x-a, X-A], expose: [""], max_age:…
                     ^
app.yaml:6:44: cors.origins[2]: the origin is listed twice; remove one
    cors: {origins: ["*", "https://a.example", "https://a.example"], headers: ["*", "a b", x-a, X-A], expose: [""], max_age:…
                                               ^
app.yaml:6:76: cors.headers[0]: must be a header's name: * is none where credentials are sent; name each header
    … ["*", "https://a.example", "https://a.example"], headers: ["*", "a b", x-a, X-A], expose: [""], max_age: 48h}
                                                                 ^
app.yaml:6:81: cors.headers[1]: must be a header's name
    …, "https://a.example", "https://a.example"], headers: ["*", "a b", x-a, X-A], expose: [""], max_age: 48h}
                                                                 ^
app.yaml:6:93: cors.headers[3]: the header is listed twice; remove one
    ….example", "https://a.example"], headers: ["*", "a b", x-a, X-A], expose: [""], max_age: 48h}
                                                                 ^
app.yaml:6:108: cors.expose[0]: must be a header's name
    …ps://a.example"], headers: ["*", "a b", x-a, X-A], expose: [""], max_age: 48h}
                                                                 ^
app.yaml:6:122: cors.max_age: must be from 0s to 24h
    …"], headers: ["*", "a b", x-a, X-A], expose: [""], max_age: 48h}
                                                                 ^
`,
		},
		{
			"no origins", minimal + `cors: {credentials: false}
`, `
app.yaml:6:7: cors.origins: at least one origin is required, such as https://app.example.com; cors: none allows none
    cors: {credentials: false}
          ^
`,
		},
		{
			"an empty mapping", minimal + `cors: {}
`, `
app.yaml:6:7: cors: must be none or {origins: [ORIGIN]}
    cors: {}
          ^
`,
		},
		{
			"another word", minimal + `cors: all
`, `
app.yaml:6:7: cors: must be none or {origins: [ORIGIN]}
    cors: all
          ^
`,
		},
		{
			"another key", minimal + `cors: {origin: "https://a.example"}
`, `
app.yaml:6:8: cors.origin: unknown key "origin"; did you mean "origins"?
    cors: {origin: "https://a.example"}
           ^
`,
		},
		{
			"a list", minimal + `cors: ["https://a.example"]
`, `
app.yaml:6:7: cors: must be none or {origins: [ORIGIN]}
    cors: ["https://a.example"]
          ^
`,
		},
		{
			"one origin", minimal + `cors: {origins: "https://a.example"}
`, `
app.yaml:6:17: cors.origins: must be a list, such as ["https://app.example.com", "https://*.example.com"], not a string
    cors: {origins: "https://a.example"}
                    ^
`,
		},
		{
			"an empty list", minimal + `cors: {origins: []}
`, `
app.yaml:6:17: cors.origins: at least one origin is required, such as https://app.example.com; cors: none allows none
    cors: {origins: []}
                    ^
`,
		},
	})
}
