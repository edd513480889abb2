package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// minimal is a complete configuration; text added to it adds keys to its route.
const minimal = `upstreams: {app: {target: "localhost:1"}}
routes:
  - path: /a/{id}
    rpc: p.S/M
    upstream: app
`

// oneUpstream is a complete configuration that ends within its upstream.
const oneUpstream = `routes: [{path: /a, rpc: p.S/M, upstream: app}]
upstreams:
  app:
    target: localhost:1
`

// badConfig is a configuration and its complete error text.
type badConfig struct{ name, yaml, want string }

func testBad(t *testing.T, cases []badConfig) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			file, err := Parse("app.yaml", []byte(c.yaml), lookupIn(map[string]string{"SECRET": "hunter2", "EMPTY": ""}))
			if err == nil {
				t.Fatal("accepted")
			}
			if file != nil {
				t.Error("a file together with an error")
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), err.Error()+"\n"); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the message contains a value from the environment")
			}
			var one *Error
			if !errors.As(err, &one) || one.File != "app.yaml" {
				t.Errorf("%#v is not an *Error of the file", err)
			}
		})
	}
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func TestMinimalIsGood(t *testing.T) {
	for _, good := range []string{minimal, oneUpstream} {
		if _, err := Parse("app.yaml", []byte(good), nil); err != nil {
			t.Error(err)
		}
	}
}
