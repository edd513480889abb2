package upstream

import (
	"fmt"
	"strings"
	"testing"
)

func TestServerOfATarget(t *testing.T) {
	for target, want := range map[string]string{
		"127.0.0.1:50051":          "127.0.0.1 50051",
		"[::1]:50051":              "::1 50051",
		"dns:///app.test:443":      "app.test 443",
		"dns://127.0.0.1/app:443":  "app 443",
		"static:///10.0.0.1:50051": "10.0.0.1 50051",
		"unix:///run/app.sock":     "/run/app.sock 0",
		"unix-abstract:app":        "@app 0",
		"":                         " 0",
	} {
		u := &Upstream{params: Params{Target: target}}
		address, port := u.Server()
		if got := fmt.Sprint(address, " ", port); got != want {
			t.Errorf("%q: got %q, want %q", target, got, want)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for target, want := range map[string]string{
		"127.0.0.1:50051":             "tcp 127.0.0.1:50051 127.0.0.1:50051",
		"[::1]:50051":                 "tcp [::1]:50051 [::1]:50051",
		":50051":                      "tcp localhost:50051 localhost:50051",
		"localhost:50051":             "tcp localhost:50051 localhost:50051",
		"dns:///app.localhost.:50051": "tcp app.localhost.:50051 app.localhost.:50051",
		"app:50051":                   "tcp app:50051 app:50051, resolved by dns",
		"app.ns.svc:50051":            "tcp app.ns.svc:50051 app.ns.svc:50051, resolved by dns",
		"dns:50051":                   "tcp dns:50051 dns:50051, resolved by dns",
		"dns:app:1":                   "tcp app:1 app:1, resolved by dns",
		"dns:///app:50051":            "tcp app:50051 app:50051, resolved by dns",
		"dns:///[::1]:50051":          "tcp [::1]:50051 [::1]:50051",
		"passthrough:///app:1":        "tcp app:1 app:1",
		"dns://10.0.0.10/app:50051":   ", resolved by dns",
		"static:///app":               ", resolved by static",
		"https://app:50051":           `error: "https" is not a scheme that gRPC knows here`,
		"unix:run/app.sock":           "unix run/app.sock localhost",
		"unix:/run/app.sock":          "unix /run/app.sock localhost",
		"unix:///run/app.sock":        "unix /run/app.sock localhost",
		"unix-abstract:app":           "unix @app localhost",
		"":                            "error: is required",
		"app":                         `error: "app" has no port`,
		"app:http":                    `error: "http" is not a port`,
		"app:0":                       `error: "0" is not a port`,
		"app:65536":                   `error: "65536" is not a port`,
		"dns:///app":                  `error: "app" is not host:port`,
		"::1:50051":                   `error: "::1:50051" is not host:port`,
		"unix:":                       "error: names no socket",
		"unix:///":                    "error: names no socket",
		"unix://run/app.sock":         `error: a socket's path must be absolute after unix://, got "run/app.sock"`,
		"a b:1":                       "tcp a b:1 a b:1, resolved by dns",
		strings.Repeat("9", 99) + ":": `error: "" is not a port`,
	} {
		got := ""
		parsed, err := parseTarget(target)
		if err != nil {
			got = "error: " + err.Error()
		}
		if a := parsed.dialed; a != nil {
			got = a.network + " " + a.addr + " " + a.authority
		}
		if parsed.builder != nil {
			got += ", resolved by " + parsed.builder.Scheme()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", target, got, want)
		}
	}
}
