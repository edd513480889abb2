package upstream

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for target, want := range map[string]string{
		"127.0.0.1:50051":             "tcp 127.0.0.1:50051 127.0.0.1:50051",
		"[::1]:50051":                 "tcp [::1]:50051 [::1]:50051",
		":50051":                      "tcp localhost:50051 localhost:50051",
		"app:50051":                   "tcp app:50051 app:50051",
		"app.ns.svc:50051":            "tcp app.ns.svc:50051 app.ns.svc:50051",
		"dns:50051":                   "tcp dns:50051 dns:50051",
		"dns:app:1":                   "tcp app:1 app:1",
		"dns:///app:50051":            "tcp app:50051 app:50051",
		"dns:///[::1]:50051":          "tcp [::1]:50051 [::1]:50051",
		"passthrough:///app:1":        "tcp app:1 app:1",
		"dns://10.0.0.10/app:50051":   "grpc-go",
		"static:///app":               "grpc-go",
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
		"a b:1":                       "tcp a b:1 a b:1",
		strings.Repeat("9", 99) + ":": `error: "" is not a port`,
	} {
		got := "grpc-go"
		a, err := parseTarget(target)
		if err != nil {
			got = "error: " + err.Error()
		} else if a != nil {
			got = a.network + " " + a.addr + " " + a.authority
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", target, got, want)
		}
	}
}
