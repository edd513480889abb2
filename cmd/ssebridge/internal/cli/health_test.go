package cli

import (
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// A container of one program has no file with the address of localhost.
func TestHealthLooksUpNoName(t *testing.T) {
	own := []string{"127.0.0.1:9901", "[::1]:9901"}
	for address, want := range map[string][]string{
		":9901": own, "0.0.0.0:9901": own, "[::]:9901": own, "localhost:9901": own,
		"127.0.0.1:9901": {"127.0.0.1:9901"}, "10.0.0.1:9901": {"10.0.0.1:9901"},
		"unix:///run/admin.sock": {"/run/admin.sock"},
	} {
		where, err := config.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := fromHere(where); !slices.Equal(got, want) {
			t.Errorf("%s: %q", address, got)
		}
	}
}

// A fault of the file is reported as check reports it, with the way out.
func TestHealthOfABadFile(t *testing.T) {
	const rest = "upstreams: {app: {target: \"127.0.0.1:1\"}}\nroutes: [{path: /a, rpc: a.B/C, upstream: app}]\n"
	for name, tc := range map[string]struct{ text, want string }{
		"the address":          {"admin: 9901\n" + rest, "ssebridge.yaml:1:8: admin: must be a string: \"127.0.0.1:9901\""},
		"an unknown key":       {rest + "admins: x\n", `ssebridge.yaml:3:1: admins: unknown key "admins"; did you mean "admin"?`},
		"a variable":           {"admin: ${SSEBRIDGE_NOT_SET}\n" + rest, "ssebridge.yaml:1:8: admin: the environment variable SSEBRIDGE_NOT_SET is not set"},
		"what is no YAML":      {"admin: [\n", "ssebridge.yaml:1:8: "},
		"nothing":              {"", "ssebridge.yaml:1:1: the file is empty"},
		"routes for one path":  {rest[:len(rest)-2] + ", {path: /a, rpc: a.B/C, upstream: app}]\n", "ssebridge.yaml:2:56: routes[1].path: GET /a matches routes[0]"},
		"a file that is away":  {"-", "there is no configuration "},
		"a folder for a file":  {"/", "not a regular file"},
		"admin that is not on": {"admin: \"\"\n" + rest, "ssebridge.yaml:1:8: admin: is off, so the bridge cannot be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, "ssebridge.yaml", tc.text)
			switch tc.text {
			case "-":
				path += ".gone"
			case "/":
				path = filepath.Dir(path)
			}
			code, out, said := run(t, "health", "-c", path)
			if code != ExitError || out != "" || !strings.Contains(said, tc.want) || !strings.Contains(said, path) {
				t.Errorf("exit %d, %s%s", code, out, said)
			}
			if name == "admin that is not on" {
				return // which check does not mind
			}
			code, _, checked := run(t, "check", "-c", path)
			if code != ExitError || !strings.HasPrefix(said, strings.TrimSpace(checked)) || !strings.Contains(said, "--admin names where it listens") {
				t.Errorf("check exits %d and says %s\nhealth says %s", code, checked, said)
			}
		})
	}
}

// Where neither family answers, both errors are reported.
func TestHealthTriesBothFamilies(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err := errors.Join(err, listener.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = askAdmin(t.Context(), ":"+port, "/healthz")
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:"+port) || !strings.Contains(err.Error(), "[::1]:"+port) {
		t.Errorf("got %v", err)
	}
}
