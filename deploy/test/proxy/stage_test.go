package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// configuration is the bridge's. A visit is a private stream, whose visitor the backend tells the room
// about: the address that came with X-Forwarded-For.
const configuration = `
listen: %s
admin: ""
drain: {delay: 0s, grace: 0s}
upstreams: {app: {target: %q}}
routes:
  - path: /rooms/{room_id}/events
    rpc: ssebridge.demo.v1.ChatService/Subscribe
    upstream: app
    share: true
    event: {id: seq, name: {oneof: body}}
    resume: {field: after_seq}
    heartbeat: {every: 1h}
  - path: /rooms/{room_id}/visit
    rpc: ssebridge.demo.v1.ChatService/Subscribe
    upstream: app
    request: {headers: {x-forwarded-for: user_id}}
    replay: {linger: 10ms}
    heartbeat: {every: 1h}
  - path: /rooms/{room_id}/messages
    methods: [POST]
    rpc: ssebridge.demo.v1.ChatService/Send
    upstream: app
`

// stage is a backend and a bridge.
type stage struct {
	backend, address string
	config           string
	bridge           *bridgetest.Process
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{backend: bridgetest.FreeAddress(t), address: bridgetest.FreeAddress(t), config: filepath.Join(t.TempDir(), "ssebridge.yaml")}
	if err := os.WriteFile(s.config, fmt.Appendf(nil, configuration, s.address, s.backend), 0o600); err != nil {
		t.Fatal(err)
	}
	bridgetest.Start(t, bridgetest.Command(), "demo", "backend", "--listen", s.backend)
	bridgetest.AwaitAddress(t, s.backend)
	s.start(t)
	return s
}

// start starts the bridge, at the same address as before.
func (s *stage) start(t testing.TB) {
	t.Helper()
	s.bridge = bridgetest.Start(t, bridgetest.Command(), "serve", "--config", s.config)
	bridgetest.AwaitAddress(t, s.address)
}

// say says something in a room, past the proxy.
func (s *stage) say(t testing.TB, room, text string) {
	t.Helper()
	answer, err := http.Post("http://"+s.address+"/rooms/"+room+"/messages", "application/json",
		strings.NewReader(fmt.Sprintf(`{"author":"ann","text":%q}`, text)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // nothing is read from it
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", text, answer.Status)
	}
}

// front is a proxy with a file of deploy/proxy.
type front struct {
	name  string
	start func(t testing.TB, public, upstream string)
}

// fronts are the proxies that are run.
func fronts() []front {
	return []front{{"nginx", startNginx}, {"Caddy", startCaddy}}
}

// readdressed is a file of deploy/proxy with other addresses in it: each old one has to be there.
func readdressed(t testing.TB, name string, oldnew ...string) string {
	t.Helper()
	content := bridgetest.Read(t, "deploy/proxy/"+name)
	for i := 0; i < len(oldnew); i += 2 {
		if strings.Count(content, oldnew[i]) != 1 {
			t.Fatalf("%s has %q %d times", name, oldnew[i], strings.Count(content, oldnew[i]))
		}
	}
	return strings.NewReplacer(oldnew...).Replace(content)
}

// write writes a file for a proxy that may run as somebody else.
func write(t testing.TB, folder, name, content string) string {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// startNginx includes the file as Debian's nginx.conf includes what is in conf.d.
func startNginx(t testing.TB, public, upstream string) {
	t.Helper()
	folder := t.TempDir()
	site := write(t, folder, "ssebridge.conf", readdressed(t, "nginx.conf", "listen 80;", "listen "+public+";", "server 127.0.0.1:8080;", "server "+upstream+";"))
	var paths bytes.Buffer
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&paths, "%s_temp_path %s;\n", name, filepath.Join(folder, name))
	}
	// gzip is on in Debian's, for everything that the file does not take out.
	whole := write(t, folder, "nginx.conf", fmt.Sprintf(
		"daemon off;\nmaster_process off;\npid %s;\nevents {}\nhttp {\ngzip on;\ngzip_types *;\naccess_log off;\n%sinclude %s;\n}\n",
		filepath.Join(folder, "nginx.pid"), paths.String(), site))
	bridgetest.Start(t, "nginx", "-e", "stderr", "-p", folder, "-c", whole)
	bridgetest.AwaitAddress(t, public)
}

func startCaddy(t testing.TB, public, upstream string) {
	t.Helper()
	file := write(t, t.TempDir(), "Caddyfile", "{\n\tadmin off\n}\n"+
		readdressed(t, "Caddyfile", ":80 {", "http://"+public+" {", "reverse_proxy 127.0.0.1:8080 {", "reverse_proxy "+upstream+" {"))
	bridgetest.Start(t, "caddy", "run", "--config", file, "--adapter", "caddyfile")
	bridgetest.AwaitAddress(t, public)
}
