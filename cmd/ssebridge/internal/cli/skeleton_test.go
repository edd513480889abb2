package cli

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

func serverStream(rpc string) bridge.RouteInfo { return bridge.RouteInfo{RPC: rpc, Streaming: true} }

func TestServerStreamsOnlyBecomeRoutes(t *testing.T) {
	got, left := routesOf([]bridge.RouteInfo{
		serverStream("a.v1.FeedService/Watch"),
		{RPC: "a.v1.FeedService/Get"},
		{RPC: "a.v1.FeedService/Chat", Streaming: true, Uploading: true},
		{RPC: "grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Streaming: true, Uploading: true},
	}, false)
	if len(left) != 2 || left[0].rpc != "a.v1.FeedService/Get" || left[1].rpc != "a.v1.FeedService/Chat" {
		t.Errorf("left out %v", left)
	}
	if len(got) != 1 || got[0].Path != "/feed/watch" || got[0].RPC != "a.v1.FeedService/Watch" {
		t.Fatalf("got %+v", got)
	}
}

func TestPathsOfRoutesAreUnique(t *testing.T) {
	got, _ := routesOf([]bridge.RouteInfo{
		serverStream("a.v1.FeedService/Watch"), serverStream("a.v1.FeedService/watch"),
		serverStream("a.v2.FeedService/Watch"), serverStream("b.Service/Watch"), serverStream("Bare/Watch"),
	}, false)
	seen := map[string]bool{}
	for _, s := range got {
		if seen[s.Path] {
			t.Errorf("%s twice", s.Path)
		}
		seen[s.Path] = true
	}
	if len(got) != 5 || !seen["/feed/watch"] || !seen["/service/watch"] || !seen["/bare/watch"] {
		t.Errorf("got %v", seen)
	}
}

func TestKebab(t *testing.T) {
	for name, want := range map[string]string{
		"Watch": "watch", "WatchAll": "watch-all", "GetHTTPStatus": "get-http-status", "HTTP": "http", "V1Beta": "v1-beta",
		"snake_case": "snake-case", "Mixed_Case": "mixed-case", "a.b.FeedService": "a.b.feed-service", "X": "x", "getX": "get-x",
	} {
		if got := kebab(name); got != want {
			t.Errorf("kebab(%q) = %q, want %q", name, got, want)
		}
	}
}

// A comment that names the fields for a query names none that a query cannot set.
func TestFieldsThatAQueryCannotSetAreNotNamed(t *testing.T) {
	routes, _ := routesOf([]bridge.RouteInfo{{RPC: "p.S/M", Streaming: true, Fields: []string{"last_event_id", "room", "lastEventId"}}}, false)
	if len(routes) != 1 || !slices.Equal(routes[0].Fields, []string{"room"}) {
		t.Errorf("got %+v", routes)
	}
}

// Any target reads back from the file as it was given.
func TestSkeletonKeepsTheTarget(t *testing.T) {
	for _, target := range []string{"localhost:1", "unix:///run/$HOME/x.sock", `a"b:1`, "dns:///[::1]:5", "${X}:1", "a#b:1", "{{.}}:1"} {
		text, err := (&skeleton{Target: target, Streams: []stream{{Path: "/a", RPC: "p.S/M", Event: "p.M"}}}).render()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := config.Parse("x.yaml", text, os.LookupEnv)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if got := parsed.Config.Upstreams["backend"].Target; got != target {
			t.Errorf("got %q, want %q", got, target)
		}
	}
}

func TestInitByTLSNamesTheRootsRelativeToTheFile(t *testing.T) {
	authority := backendtest.NewAuthority(t)
	backend := backendtest.Start(t, backendtest.WithTLS(authority))
	out := filepath.Join(t.TempDir(), "conf.yaml")

	code, _, stderr := run(t, "init", "--upstream", backend.Target(), "--ca", authority.CAFile, "--out", out)
	if code != ExitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `tls: {ca: "..`) {
		t.Errorf("the roots are not named relative to the file:\n%s", text)
	}
	if code, stdout, stderr := run(t, "check", "--connect", "--config", out); code != ExitOK || !strings.Contains(stdout, "/feed/watch") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr := run(t, "init", "--upstream", backend.Target(), "--tls", "--timeout", "2s"); code != ExitError {
		t.Errorf("the system's roots verified a stranger: exit %d: %s", code, stderr)
	}
}

func TestInitRefusesABackendWithoutStreams(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	reflection.Register(server) // streams both ways, which is no route
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})

	code, stdout, stderr := run(t, "init", "--upstream", listener.Addr().String())
	if code != ExitError || stdout != "" || !strings.Contains(stderr, "no server-streaming method") {
		t.Fatalf("exit %d, %q, %q", code, stdout, stderr)
	}
}

// A target is refused as a configuration refuses it. One without a host is this machine's.
func TestInitTakesTheTargetsThatAConfigurationTakes(t *testing.T) {
	for target, want := range map[string]string{
		"http://127.0.0.1:1": "--upstream http://127.0.0.1:1: a gRPC target has no http://; write host:port, such as",
		"127.0.0.1":          "--upstream 127.0.0.1: must be host:port or a gRPC target with a scheme",
		"app:":               "--upstream app:: must be host:port or a gRPC target with a scheme",
	} {
		if code, _, stderr := run(t, "init", "--upstream", target); code != ExitError || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", target, code, stderr)
		}
	}
	backend := backendtest.Start(t)
	_, port, err := net.SplitHostPort(backend.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := run(t, "init", "--upstream", ":"+port); code != ExitOK || !strings.Contains(stdout, `target: ":`+port+`"`) {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

// A backend without reflection is reported at once, with the flags that help.
func TestInitSaysTheWayOutWithoutReflection(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone))
	code, stdout, stderr := run(t, "init", "--upstream", backend.Target(), "--timeout", "10m")
	if code != ExitError || stdout != "" {
		t.Errorf("exit %d, %q", code, stdout)
	}
	for _, want := range []string{"does not tell its types", "reflection.Register(server)", "--descriptor-set app.binpb", "--proto app.proto"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in:\n%s", want, stderr)
		}
	}
	conf := file(t, "ssebridge.yaml", "upstreams: {app: {target: '"+backend.Target()+"'}}\n"+
		"routes:\n  - {path: /a, rpc: a.B/C, upstream: app}\n  - {path: /b, rpc: a.B/D, upstream: app}\n")
	code, _, stderr = run(t, "check", "--connect", "--timeout", "10m", "--config", conf)
	if code != ExitError || strings.Count(stderr, "reflection") != 2 || strings.Count(stderr, "upstreams.app.schema: ") != 1 || strings.Contains(stderr, "routes[") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// The routes of init can be opened by a GET, whatever the request is made of.
func TestInitWritesRoutesThatWork(t *testing.T) {
	backend := backendtest.Start(t)
	out := filepath.Join(t.TempDir(), "conf.yaml")
	if code, _, stderr := run(t, "init", "--upstream", backend.Target(), "--unary", "--out", out); code != ExitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"path: /feed/get\n    methods: [GET]",
		"path: /feed/put\n    methods: [POST]\n    rpc: ssebridge.test.v1.FeedService/Put\n    upstream: backend\n    # The body is the request as JSON: name, kinds\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	for _, never := range []string{"FeedService/Chat", "FeedService/Upload"} {
		if strings.Contains(string(text), never) {
			t.Errorf("%s became a route", never)
		}
	}
}

// What looks like a cursor is written as a comment, which is a route that resumes once its marks are taken away.
func TestInitSuggestsTheCursor(t *testing.T) {
	backend := backendtest.Start(t)
	out := filepath.Join(t.TempDir(), "conf.yaml")
	code, _, stderr := run(t, "init", "--upstream", backend.Target(), "--out", out)
	if code != ExitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	const hint = "The backend may require fields of the request, and answer 400 without them. Add them: '/feed/watch?topic=...'\n"
	if !strings.HasSuffix(stderr, hint) {
		t.Errorf("the last line is not about fields:\n%s", stderr)
	}
	written, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	text := string(written)
	const marked, unmarked = "    # event: {id: seq}\n    # resume: {field: after}\n", "    event: {id: seq}\n    resume: {field: after}\n"
	for _, want := range []string{
		"if after asks for what comes after: read its contract.\n" + marked,
		"query: true              # any field of the request: topic, history, limit, kinds; resume closes after\n",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is not once in:\n%s", want, text)
		}
	}
	conf := file(t, "ssebridge.yaml", strings.Replace(text, marked, unmarked, 1))
	if code, stdout, stderr := run(t, "check", "--connect", "--config", conf); code != ExitOK || strings.Contains(stderr, "warning") {
		t.Errorf("with the cursor: exit %d: %s%s", code, stdout, stderr)
	}
}

// Where nothing looks like a cursor, the two keys are named, and no field of the request is missed by a request without any.
func TestInitNamesTheKeysOfResumingWithoutACursor(t *testing.T) {
	for name, s := range map[string]stream{
		"no cursor": {Path: "/a", RPC: "p.S/M", Event: "p.M", Fields: []string{"room"}}, "no fields": {Path: "/a", RPC: "p.S/M", Event: "p.M"},
	} {
		text, err := (&skeleton{Target: "a:1", Streams: []stream{s}}).render()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), "    # event.id and resume make resuming exact over restarts, if") != 1 || strings.Contains(string(text), "# resume:") {
			t.Errorf("%s:\n%s", name, text)
		}
		var report strings.Builder
		if err := (generated{routes: []stream{s}}).report(&report, "x.yaml"); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Contains(report.String(), "may require"), len(s.Fields) > 0; got != want {
			t.Errorf("%s: the report says %q", name, report.String())
		}
	}
}

// A request whose only field is the cursor can still set it, until resume is written.
func TestTheCursorIsNamedApartFromTheQuery(t *testing.T) {
	cursor := bridge.CursorFields{ID: "seq", Field: "after"}
	for want, s := range map[string]stream{
		"any field of the request: room":                      {Fields: []string{"room"}},
		"any field of the request: room; resume closes after": {Fields: []string{"after", "room"}, Cursor: cursor},
		"any field of the request; resume closes after":       {Fields: []string{"after"}, Cursor: cursor},
	} {
		if got := s.QueryFields(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
