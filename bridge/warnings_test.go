package bridge_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// doubtful is a route whose ids are strings, and whose cursors are integers.
const doubtful = "  - {path: /feed, rpc: " + watch + ", upstream: app, share: true, event: {id: cursor}, resume: {field: after}}\n"

// Strings resume only if each is a value of resume.field. The route is served, and the warning
// names both fields, their types and the consequence.
func TestStringIDsForAnIntegerCursorCauseAWarning(t *testing.T) {
	target := backend(t).Target()
	for keys, want := range map[string]string{
		"event: {id: cursor}, resume: {field: after}": "routes[0].event.id: cursor is a string, and resume.field after is an integer: a client whose id is no value of it " +
			"is answered stream-gap expired after a restart of the bridge; name the field whose value after takes",
		"event: {id: cursor}, resume: {field: kinds.bytes_value}": "resume.field kinds.bytes_value is bytes: a client whose",
		"event: {id: cursor}, resume: {field: kinds.timestamp}":   "resume.field kinds.timestamp is a google.protobuf.Timestamp: a client whose",
		"event: {id: cursor}, resume: {field: topic}":             "",
		"event: {id: seq}, resume: {field: after}":                "",
		"event: {id: seq}, resume: {field: topic}":                "",
	} {
		cfg := parse(t, "upstreams: {app: {target: '"+target+"'}}\nroutes:\n  - {path: /feed, rpc: "+watch+", upstream: app, "+keys+"}\n")
		infos, err := bridge.Inspect(t.Context(), cfg, bridge.Options{})
		if err != nil || len(infos) != 1 {
			t.Fatalf("%s: %v, %v", keys, infos, err)
		}
		if got := infos[0].Warnings.Error(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", keys, got, want)
		}
	}
}

// They are logged when the schema is known, and not again by a reload that keeps the route. A
// client whose id is not an integer is sent the gap of which the warning speaks.
func TestWarningsAreLoggedOnce(t *testing.T) {
	const logged = `level=WARN msg="the configuration of a route is probably a mistake" route=/feed warning="routes[0].event.id: cursor is a string`
	b := backend(t)
	g := start(t, b.Target(), doubtful)
	awaitLogged(t, g.Log, logged)

	c := ssetest.Connect(t, g.URL+"/feed", ssetest.Options{LastEventID: "a-7"})
	if gap := c.AwaitNamed("stream-gap", 0); !strings.Contains(gap.Data, `"reason":"expired"`) {
		t.Errorf("got %s", gap.Data)
	}

	const other = "  - {path: /other, rpc: " + watch + ", upstream: app, share: true, event: {id: cursor}, resume: {field: after}}\n"
	if err := g.Bridge.Reload(parse(t, "upstreams:\n  app: {target: '"+b.Target()+"'}\ndrain: {delay: 0s, grace: 0s}\nroutes:\n"+doubtful+other)); err != nil {
		t.Fatal(err)
	}
	awaitLogged(t, g.Log, "route=/other warning=\"routes[1].event.id")
	if n := strings.Count(g.Log.String(), logged); n != 1 {
		t.Errorf("the warning about /feed was logged %d times:\n%s", n, g.Log)
	}
}

// These routes are bound before the bridge exists.
func TestWarningsOfSchemasFromFilesAreLogged(t *testing.T) {
	wire, err := proto.Marshal(backendtest.Descriptors())
	if err != nil {
		t.Fatal(err)
	}
	set := filepath.Join(t.TempDir(), "app.binpb")
	if err := os.WriteFile(set, wire, 0o600); err != nil {
		t.Fatal(err)
	}
	g := startWith(t, parse(t, "upstreams:\n  app: {target: '127.0.0.1:1', schema: {descriptor_set: '"+set+"'}}\nroutes:\n"+doubtful), bridge.Options{})
	awaitLogged(t, g.Log, "route=/feed warning=\"routes[0].event.id: cursor is a string")
}
