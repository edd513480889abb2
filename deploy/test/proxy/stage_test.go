package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// configuration is the bridge's. A visit is a private stream; the backend tells the room the client's
// address, as it came with X-Forwarded-For.
const configuration = `
listen: %s
admin: %s
drain: {delay: %s, grace: %s}
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

// stage is a backend and its bridges.
type stage struct {
	backend string // its address
	bridges []*bridge
}

// bridge is one of them, which may be running or not.
type bridge struct {
	address, admin string
	config         string
	process        *bridgetest.Process
}

// newStage runs a backend and so many bridges, which drain for that long.
func newStage(t testing.TB, size int, delay, grace time.Duration) *stage {
	t.Helper()
	s := &stage{backend: bridgetest.FreeAddress(t)}
	bridgetest.Start(t, bridgetest.Command(), "demo", "backend", "--listen", s.backend)
	bridgetest.AwaitAddress(t, s.backend)
	// As on hosts of their own, the bridges have the same ports at other addresses.
	public, admin := bridgetest.FreeAddress(t), bridgetest.FreeAddress(t)
	for i := range size {
		host := fmt.Sprintf("127.0.0.%d:", i+1)
		b := &bridge{address: host + port(public), admin: host + port(admin), config: filepath.Join(t.TempDir(), "ssebridge.yaml")}
		text := fmt.Appendf(nil, configuration, b.address, b.admin, delay, grace, s.backend)
		if err := os.WriteFile(b.config, text, 0o600); err != nil {
			t.Fatal(err)
		}
		b.start(t)
		s.bridges = append(s.bridges, b)
	}
	return s
}

// start starts the bridge, at the same addresses as before.
func (b *bridge) start(t testing.TB) {
	t.Helper()
	b.process = bridgetest.Start(t, bridgetest.Command(), "serve", "--config", b.config, "--access-log", "off")
	bridgetest.Await(t, "http://"+b.admin+"/readyz", http.StatusOK)
}

// say says something in a room, past the proxy.
func (b *bridge) say(t testing.TB, room, text string) {
	t.Helper()
	answer, err := http.Post("http://"+b.address+"/rooms/"+room+"/messages", "application/json",
		strings.NewReader(fmt.Sprintf(`{"author":"ann","text":%q}`, text)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // nothing is read from it
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", text, answer.Status)
	}
}

// front is a proxy with a file of deploy/proxy, before one bridge or two.
type front struct {
	name  string
	start func(t testing.TB, public string, bridges []*bridge)
}

// fronts are the proxies that are run.
func fronts() []front {
	return []front{{"nginx", startNginx}, {"HAProxy", startHAProxy}, {"Caddy", startCaddy}, {"Apache", startApache}}
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

// write writes a file for a proxy that may run as another user.
func write(t testing.TB, folder, name, content string) string {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// startNginx includes the file as Debian's nginx.conf includes what is in conf.d.
func startNginx(t testing.TB, public string, bridges []*bridge) {
	t.Helper()
	folder := t.TempDir()
	site := write(t, folder, "ssebridge.conf", readdressed(t, "nginx.conf", slices.Concat(
		[]string{"listen 80;", "listen " + public + ";"},
		servers(bridges, "server 127.0.0.1:%d max_fails=0;", "# "))...))
	var paths bytes.Buffer
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&paths, "%s_temp_path %s;\n", name, filepath.Join(folder, name))
	}
	// gzip is on in Debian's, for everything that the file does not take out.
	whole := write(t, folder, "nginx.conf", fmt.Sprintf("daemon off;\nmaster_process off;\npid %s;\nevents { worker_connections 2048; }\n"+
		"http {\ngzip on;\ngzip_types *;\naccess_log off;\n%sinclude %s;\n}\n", filepath.Join(folder, "nginx.pid"), paths.String(), site))
	bridgetest.Start(t, "nginx", "-e", "stderr", "-p", folder, "-c", whole)
	bridgetest.AwaitAddress(t, public)
}

// servers are replacements for the lines of a file that name the bridges: of the first, and of the second, which is
// behind a comment. Such a line has the port of a bridge in it.
func servers(bridges []*bridge, line, comment string) []string {
	replacements := []string{fmt.Sprintf(line, 8080), strings.ReplaceAll(fmt.Sprintf(line, 8080), "127.0.0.1:8080", bridges[0].address)}
	if len(bridges) > 1 {
		second := fmt.Sprintf(line, 8081)
		replacements = append(replacements, comment+second, strings.ReplaceAll(second, "127.0.0.1:8081", bridges[1].address))
	}
	return replacements
}

// port is an address's port.
func port(address string) string {
	_, port, _ := strings.Cut(address, ":")
	return port
}

func startCaddy(t testing.TB, public string, bridges []*bridge) {
	t.Helper()
	upstreams := make([]string, len(bridges))
	for i, b := range bridges {
		upstreams[i] = b.address
	}
	file := write(t, t.TempDir(), "Caddyfile", "{\n\tadmin off\n}\n"+readdressed(t, "Caddyfile",
		":80 {", "http://"+public+" {",
		"\treverse_proxy 127.0.0.1:8080 {", "\treverse_proxy "+strings.Join(upstreams, " ")+" {",
		"health_port 9901", "health_port "+port(bridges[0].admin)))
	bridgetest.Start(t, "caddy", "run", "--config", file, "--adapter", "caddyfile")
	bridgetest.AwaitAddress(t, public)
}

func startHAProxy(t testing.TB, public string, bridges []*bridge) {
	t.Helper()
	folder := t.TempDir()
	away := write(t, folder, "ssebridge-away.http", bridgetest.Read(t, "deploy/proxy/ssebridge-away.http"))
	oldnew := []string{"bind :80\n", "bind " + public + "\n", "maxconn 20000", "maxconn 2000", "check port 9901", "check port " + port(bridges[0].admin)}
	for i, name := range []string{"one", "two"}[:len(bridges)] {
		comment := strings.Repeat("# ", i)
		old, now := fmt.Sprintf("server %s 127.0.0.1:%d", name, 8080+i), fmt.Sprintf("server %s %s", name, bridges[i].address)
		oldnew = append(oldnew, comment+old+"\n", now+"\n", comment+old+" track", now+" track")
	}
	content := strings.ReplaceAll(readdressed(t, "haproxy.cfg", oldnew...), "/etc/haproxy/ssebridge-away.http", away)
	bridgetest.Start(t, "haproxy", "-db", "-f", write(t, folder, "haproxy.cfg", content))
	bridgetest.AwaitAddress(t, public)
}

// startApache loads what `a2enmod` would, and includes the file as a site.
func startApache(t testing.TB, public string, bridges []*bridge) {
	t.Helper()
	folder := t.TempDir()
	for _, f := range []string{folder, filepath.Dir(folder)} { // its workers run as another user, and read the file for a bridge's absence
		if err := os.Chmod(f, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, folder, "ssebridge-away.asis", bridgetest.Read(t, "deploy/proxy/ssebridge-away.asis"))
	const line = "BalancerMember http://127.0.0.1:%d retry=1"
	content := readdressed(t, "apache.conf", slices.Concat([]string{"<VirtualHost *:80>", "<VirtualHost " + public + ">"}, servers(bridges, line, "# "))...)
	site := write(t, folder, "site.conf", strings.ReplaceAll(content, "/var/www/ssebridge", folder))
	var whole bytes.Buffer
	fmt.Fprintf(&whole, "ServerRoot %s\nServerName localhost\nPidFile %s\nErrorLog /dev/stderr\nListen %s\n", folder, filepath.Join(folder, "pid"), public)
	for _, module := range []string{
		"mpm_event", "authz_core", "env", "alias", "asis", "headers", "deflate", "filter",
		"proxy", "proxy_http", "proxy_balancer", "slotmem_shm", "lbmethod_bybusyness",
	} {
		fmt.Fprintf(&whole, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	// Compression is on in Debian's, for some types; here for this one too.
	fmt.Fprintf(&whole, "AddOutputFilterByType DEFLATE text/event-stream\nServerLimit 1\nThreadLimit 1024\nThreadsPerChild 1024\nMaxRequestWorkers 1024\nInclude %s\n", site)
	// Debian's default user, where the test runs as root.
	fmt.Fprintf(&whole, "User www-data\nGroup www-data\n")
	// -X: no processes of its own, which would outlive a test that is killed.
	bridgetest.Start(t, "apache2", "-X", "-f", write(t, folder, "apache2.conf", whole.String()))
	bridgetest.AwaitAddress(t, public)
}
