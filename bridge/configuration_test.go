package bridge_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
)

// appProto is the schema of the routes in these tests.
const appProto = `syntax = "proto3";
package app;

service Rooms {
  rpc Watch(WatchRequest) returns (stream Event);
  rpc Send(Message) returns (Message);
  rpc Read(Message) returns (Message) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Upload(stream Message) returns (Message);
  rpc Talk(stream Message) returns (stream Message);
}

message WatchRequest {
  string room_id = 1;
  int64 after = 2;
  repeated string tags = 3;
  Message nested = 4;
  oneof who { string user = 5; int32 number = 6; }
}

message Message { string text = 1; }

message Event {
  int64 seq = 1;
  double weight = 2;
  Message message = 3;
  map<string, string> labels = 4;
  oneof body {
    string a_member_whose_name_has_more_than_sixty_four_bytes_and_is_cut_so_one = 5;
    string a_member_whose_name_has_more_than_sixty_four_bytes_and_is_cut_so_two = 6;
  }
  oneof fine { string error = 7; Message open = 8; }
}
`

// The error has the line.
func TestContradictionsWithASchemaFromFilesAreConfigurationErrors(t *testing.T) {
	for _, test := range []struct{ name, route, want string }{
		{
			"an unknown service", `{path: /a, rpc: app.Room/Watch, upstream: app}`,
			`ssebridge.yaml:3:21: routes[0].rpc: service "app.Room" is not known to the backend; did you mean "app.Rooms"?`,
		},
		{
			"an unknown method", `{path: /a, rpc: app.Rooms/Wach, upstream: app}`,
			`ssebridge.yaml:3:21: routes[0].rpc: service "app.Rooms" has no method "Wach"; did you mean "Watch"?`,
		},
		{
			"a client stream", `{path: /a, rpc: app.Rooms/Upload, upstream: app}`,
			`ssebridge.yaml:3:21: routes[0].rpc: app.Rooms/Upload takes a stream of requests, which a browser cannot send; only unary and server-streaming methods can be bridged`,
		},
		{
			"both ways", `{path: /a, rpc: app.Rooms/Talk, upstream: app}`,
			`ssebridge.yaml:3:21: routes[0].rpc: app.Rooms/Talk takes a stream of requests, which a browser cannot send; only unary and server-streaming methods can be bridged`,
		},
		{
			"GET of what is not safe", `{path: /a, rpc: app.Rooms/Send, upstream: app}`,
			`ssebridge.yaml:3:5: routes[0].methods: app.Rooms/Send is unary and may change something, which a GET must not; write methods: [POST], or safe: true if it changes nothing`,
		},
		{"GET of what the route says is safe", `{path: /a, rpc: app.Rooms/Send, upstream: app, safe: true}`, ""},
		{"GET and POST of what is safe", `{path: /a, rpc: app.Rooms/Send, upstream: app, methods: [GET, POST], safe: true}`, ""},
		{
			"a stream that is said to be safe", `{path: /a, rpc: app.Rooms/Watch, upstream: app, safe: true}`,
			`ssebridge.yaml:3:59: routes[0].safe: is for unary methods, and app.Rooms/Watch is a stream, which GET may open anyway; leave it out`,
		},
		{
			"any JSON as a constant", `{path: /a, rpc: app.Rooms/Watch, upstream: app, request: {set: {nested: {text: x}, tags: []}}}`, "",
		},
		{
			"wrong JSON as a constant", `{path: /a, rpc: app.Rooms/Watch, upstream: app, request: {set: {nested: {txt: x}}}}`,
			`ssebridge.yaml:3:77: routes[0].request.set.nested: txt: unknown field; did you mean text?`,
		},
		{
			"a stream's keys on a unary method", `{path: /a, rpc: app.Rooms/Read, upstream: app, retry: 5s, event: {name: text}, replay: {linger: 1s}}`,
			`ssebridge.yaml:3:77: routes[0].event.name: is for streams, and rpc app.Rooms/Read is a unary method, which answers once, as plain JSON; leave it out
ssebridge.yaml:3:92: routes[0].replay: is for streams, and rpc app.Rooms/Read is a unary method, which answers once, as plain JSON; leave it out
ssebridge.yaml:3:59: routes[0].retry: is for streams, and rpc app.Rooms/Read is a unary method, which answers once, as plain JSON; leave it out`,
		},
		{
			"a unary method's key on a stream", `{path: /a, rpc: app.Rooms/Watch, upstream: app, timeout: 5s}`,
			`ssebridge.yaml:3:62: routes[0].timeout: is for unary methods, and app.Rooms/Watch is a stream; leave it out, or use max_age`,
		},
		{
			"an unknown field in the path", `{path: "/a/{room}", rpc: app.Rooms/Watch, upstream: app}`,
			`ssebridge.yaml:3:12: routes[0].path: app.WatchRequest has no field room; did you mean room_id?`,
		},
		{
			"unknown fields of the request", `{path: /a, rpc: app.Rooms/Watch, upstream: app, request: {query: [roomid], set: {aftr: 1}, headers: {x-user: usr}}}`,
			`ssebridge.yaml:3:92: routes[0].request.set.aftr: app.WatchRequest has no field aftr; did you mean after?
ssebridge.yaml:3:114: routes[0].request.headers.x-user: app.WatchRequest has no field usr; did you mean user?
ssebridge.yaml:3:71: routes[0].request.query[0]: app.WatchRequest has no field roomid; did you mean roomId?`,
		},
		{
			"wrong types of the request", `{path: "/a/{tags}", rpc: app.Rooms/Watch, upstream: app, request: {set: {after: soon, nested: 1}}}`,
			`ssebridge.yaml:3:85: routes[0].request.set.after: want a 64-bit integer, got "soon"
ssebridge.yaml:3:99: routes[0].request.set.nested: want an object, got 1
ssebridge.yaml:3:12: routes[0].path: tags is repeated; a path variable needs a field with a single value`,
		},
		{
			"a oneof twice", `{path: /a, rpc: app.Rooms/Watch, upstream: app, request: {set: {user: x, number: 1}}}`,
			`ssebridge.yaml:3:75: routes[0].request.set.user: user and number, which request.set.number binds, are of the oneof who: only one can be set`,
		},
		{
			"an unknown id", `{path: /a, rpc: app.Rooms/Watch, upstream: app, event: {id: seqq}, share: true}`,
			`ssebridge.yaml:3:65: routes[0].event.id: app.Event has no field "seqq"; did you mean "seq"?`,
		},
		{
			"an id that cannot be one", `{path: /a, rpc: app.Rooms/Watch, upstream: app, event: {id: weight}, share: true}`,
			`ssebridge.yaml:3:65: routes[0].event.id: "weight" in app.Event is a double; an id is a string, bytes, an integer or a google.protobuf.Timestamp`,
		},
		{
			"an id through a map", `{path: /a, rpc: app.Rooms/Watch, upstream: app, event: {id: labels}, share: true}`,
			`ssebridge.yaml:3:65: routes[0].event.id: "labels" in app.Event is a map; an id is a string, bytes, an integer or a google.protobuf.Timestamp`,
		},
		{
			"an unknown name", `{path: /a, rpc: app.Rooms/Watch, upstream: app, event: {name: {oneof: bod}}}`,
			`ssebridge.yaml:3:75: routes[0].event.name.oneof: app.Event has no oneof "bod"; did you mean "body"?`,
		},
		{
			"names that collide", `{path: /a, rpc: app.Rooms/Watch, upstream: app, event: {name: {oneof: body}}}`,
			`ssebridge.yaml:3:67: routes[0].event.name: "a_member_whose_name_has_more_than_sixty_four_bytes_and_is_cut_so_one" and ` +
				`"a_member_whose_name_has_more_than_sixty_four_bytes_and_is_cut_so_two" would both be sent as the event name ` +
				`"a_member_whose_name_has_more_than_sixty_four_bytes_and_is_cut_so"; choose another field or oneof, or a constant`,
		},
		{
			"routes that match the same request", "{path: \"/a/{room_id}\", rpc: app.Rooms/Watch, upstream: app}\n  - {path: \"/{room_id}/b\", rpc: app.Rooms/Watch, upstream: app}",
			`ssebridge.yaml:4:12: routes[1].path: GET /a/b matches routes[0] (/a/{room_id}) too; no request may match two routes`,
		},
		{
			"templates that do not parse", `{path: "/a/{room_id", rpc: app.Rooms/Watch, upstream: app}`,
			`ssebridge.yaml:3:12: routes[0].path: the variable "room_id" is not closed`,
		},
		{"nothing wrong", `{path: "/a/{room_id}", rpc: app.Rooms/Watch, upstream: app, event: {id: seq, name: {oneof: fine}, data: {oneof: fine}}, share: true}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := checked(t, "  - "+test.route+"\n")
			if got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// checked returns the errors of Check about routes, without the folder and the snippets. It checks that New fails, too.
func checked(t *testing.T, routes string) string {
	t.Helper()
	quiet := bridge.Options{Logger: slog.New(slog.DiscardHandler)}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.proto"), []byte(appProto), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := config.Parse(filepath.Join(dir, "ssebridge.yaml"),
		[]byte("upstreams: {app: {target: '127.0.0.1:1', schema: {proto: {files: [app.proto]}}}}\nroutes:\n"+routes),
		func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	err = file.Locate(bridge.Check(file.Config, quiet))
	b, newErr := bridge.New(file.Config, quiet)
	if newErr == nil {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if (newErr == nil) != (err == nil) {
		t.Errorf("Check says %v, New says %v", err, newErr)
	}
	if err == nil {
		return ""
	}
	var all config.Errors
	if !errors.As(err, &all) {
		t.Fatalf("%T is not config.Errors", err)
	}
	var lines []string
	for _, one := range all {
		if one.Line == 0 || one.Snippet == "" {
			t.Errorf("an error without a position: %v", one)
		}
		line, _, _ := strings.Cut(one.Error(), "\n")
		lines = append(lines, strings.TrimPrefix(line, dir+"/"))
	}
	return strings.Join(lines, "\n")
}

func TestKeysWithoutEffectOnAReadyConnectionAreRefused(t *testing.T) {
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	opts := bridge.Options{Logger: slog.New(slog.DiscardHandler), Upstreams: map[string]grpc.ClientConnInterface{"app": conn}}
	for key, text := range map[string]string{
		"balance": "balance: {rebalance: 5m}",
		"health":  "health: true",
		"ping":    "ping: {every: 30s}",
		"":        "balance: spread, health: false, opens: 7, open_timeout: 3s, reconnect: {max: 1s}",
	} {
		cfg := parse(t, "upstreams: {app: {target: '127.0.0.1:1', "+text+"}}\n"+feedRoute(""))
		want := ""
		if key != "" {
			want = "upstreams.app." + key + ": has no effect on a connection that the program brings; remove it"
		}
		got := ""
		if err := bridge.Check(cfg, opts); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// A path template that only the bridge can parse is reported together with the errors that the configuration finds
// itself, and a path that is wrong for both is reported once.
func TestAllErrorsOfAConfigurationAreReportedAtOnce(t *testing.T) {
	quiet := bridge.Options{Logger: slog.New(slog.DiscardHandler)}
	cfg := config.Config{
		Upstreams: map[string]config.Upstream{"app": {Target: "127.0.0.1:1"}},
		Routes: []config.Route{
			{Path: "/rooms/{room", RPC: "a.B/C", Upstream: "app"},
			{Path: "rooms", RPC: "a.B/C", Upstream: "app"},
			{Path: "/twice", RPC: "a.B/C", Upstream: "nowhere"},
			{Path: "/twice", RPC: "a.B/C", Upstream: "app"},
		},
	}
	right := config.Config{Upstreams: cfg.Upstreams, Routes: []config.Route{{Path: "/a", RPC: "a.B/C", Upstream: "app"}}}
	running, err := bridge.New(right, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := running.Close(); err != nil {
			t.Error(err)
		}
	}()
	for name, load := range map[string]func() error{
		"New":     func() error { _, err := bridge.New(cfg, quiet); return err },
		"Check":   func() error { return bridge.Check(cfg, quiet) },
		"Inspect": func() error { _, err := bridge.Inspect(t.Context(), cfg, quiet); return err },
		"Reload":  func() error { return running.Reload(cfg) },
	} {
		var all config.Errors
		if err := load(); !errors.As(err, &all) {
			t.Errorf("%s returns %v", name, err)
		}
		var paths []string
		for _, one := range all {
			paths = append(paths, one.Path)
		}
		slices.Sort(paths)
		if want := []string{"routes[0].path", "routes[1].path", "routes[2].upstream", "routes[3].path"}; !slices.Equal(paths, want) {
			t.Errorf("%s reports %q, want %q", name, paths, want)
		}
	}
}
