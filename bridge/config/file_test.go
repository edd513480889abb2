package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestExamplesLoad(t *testing.T) {
	for _, name := range []string{"../../examples/ssebridge.yaml", "../../examples/health.yaml"} {
		file, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Config.WithDefaults().Validate(); err != nil {
			t.Errorf("%s with its defaults: %v", name, err)
		}
	}
}

// Load refuses a special or endless file without reading it.
func TestSpecialFilesAreNotLoaded(t *testing.T) {
	folder := t.TempDir()
	pipe, large := filepath.Join(folder, "pipe"), filepath.Join(folder, "large.yaml")
	if err := errors.Join(unix.Mkfifo(pipe, 0o600), os.WriteFile(large, nil, 0o600), os.Truncate(large, 1<<40)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		pipe:        "reading the configuration: open " + pipe + ": not a regular file",
		folder:      "reading the configuration: open " + folder + ": not a regular file",
		os.DevNull:  "reading the configuration: open " + os.DevNull + ": not a regular file",
		"/dev/zero": "reading the configuration: open /dev/zero: not a regular file",
		large:       large + ": larger than 1MiB; a configuration is smaller than that",
	} {
		if _, err := Load(name); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// The example names every key, if only in a comment.
func TestExampleNamesEveryKey(t *testing.T) {
	text := string(readFile(t, "../../examples/ssebridge.yaml"))
	for _, key := range keysBelow(reflect.TypeFor[Config]()) {
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(text) {
			t.Errorf("%s is not in the example", key)
		}
	}
}

// keysBelow returns the keys of a type and of all types in it.
func keysBelow(t reflect.Type) (keys []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return keysBelow(t.Elem())
	case reflect.Struct:
		for key, i := range yamlFields(t) {
			keys = append(append(keys, key), keysBelow(t.Field(i).Type)...)
		}
		return keys
	default:
		return nil
	}
}

// The smallest example stays small.
func TestHealthExampleHasSixLines(t *testing.T) {
	if n := strings.Count(string(readFile(t, "../../examples/health.yaml")), "\n"); n != 6 {
		t.Errorf("%d lines", n)
	}
}

func TestLoadOfMissingFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestParseKeepsWrittenValues(t *testing.T) {
	const text = "\ufefflisten: \":80\"\r\nadmin: \"\"\r\n" + `
limits: {topics: 5, message_bytes: 2048}
drain: {delay: 0s}
upstreams:
  a.b:
    target: dns:///app:1
    tls: {}
    connections: auto
    schema: {proto: {files: [a.proto]}}
  two: {target: "unix:///run/app.sock", connections: 3, schema: reflection, balance: first, health: true}
  three: {target: "consul:///app", balance: {rebalance: 5m}, health: {service: p.S}}
routes:
  - path: /a
    methods: [POST, GET]
    rpc: p.S/M
    upstream: a.b
    request:
      query: false
      body: [x, y.z]
      set: {b: true, i: -1, u: 18446744073709551615, f: 1.5, s: "1", l: [a, 2], n: 0}
      metadata: [authorization, {name: x-a, key: false}]
    event: {id: "", name: {field: kind}, data: {oneof: body}}
    heartbeat: {every: 0s}
    open_grace: 0s
  - {path: /b, rpc: p.S/M, upstream: two, event: {name: tick, data: {message: true}}}
`
	file, err := Parse("app.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen: ":80", Admin: new(""),
		Limits: Limits{Topics: 5, MessageBytes: 2 * KiB}, Drain: Drain{Delay: new(Duration(0))},
		Upstreams: map[string]Upstream{
			"a.b": {
				Target: "dns:///app:1", TLS: &TLS{},
				Schema: Schema{Proto: &ProtoSources{ImportPaths: []string{"."}, Files: []string{"a.proto"}}},
			},
			"two":   {Target: "unix:///run/app.sock", Connections: 3, Balance: Balance{First: true}, Health: Health{On: true}},
			"three": {Target: "consul:///app", Balance: Balance{Rebalance: seconds(300)}, Health: Health{On: true, Service: "p.S"}},
		},
		Routes: []Route{
			{
				Path: "/a", Methods: []string{"POST", "GET"}, RPC: "p.S/M", Upstream: "a.b",
				Request: Request{
					Body: &Fields{Paths: []string{"x", "y.z"}},
					Set: map[string]any{
						"b": true, "i": int64(-1), "u": uint64(18446744073709551615), "f": 1.5, "s": "1",
						"l": []any{"a", int64(2)}, "n": int64(0),
					},
					Metadata: []Metadata{{Name: "authorization"}, {Name: "x-a", Key: new(false)}},
				},
				Event:     Event{ID: new(""), Name: EventName{Field: "kind"}, Data: EventData{Oneof: "body"}},
				Heartbeat: Heartbeat{Every: new(Duration(0))}, OpenGrace: new(Duration(0)),
			},
			{Path: "/b", RPC: "p.S/M", Upstream: "two", Event: Event{Name: EventName{Constant: "tick"}}},
		},
	}
	if diff := cmp.Diff(want, file.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

// Relative file names are relative to the configuration, not to the process's working directory.
func TestFilesAreRelativeToTheConfiguration(t *testing.T) {
	const text = oneUpstream + `    tls: {ca: ca.crt, cert: certs/a.crt, key: /abs/a.key}
    schema: {proto: {import_paths: [proto, ../shared], files: [a/a.proto]}}
  other: {target: "localhost:1", schema: {descriptor_set: app.binpb}}
`
	dir := t.TempDir()
	name := filepath.Join(dir, "conf", "app.yaml")
	if err := os.Mkdir(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Dir(name)
	want := map[string]Upstream{
		"app": {
			Target: "localhost:1",
			TLS:    &TLS{CA: conf + "/ca.crt", Cert: conf + "/certs/a.crt", Key: "/abs/a.key"},
			Schema: Schema{Proto: &ProtoSources{ImportPaths: []string{conf + "/proto", dir + "/shared"}, Files: []string{"a/a.proto"}}},
		},
		"other": {Target: "localhost:1", Schema: Schema{DescriptorSet: conf + "/app.binpb"}},
	}
	if diff := cmp.Diff(want, file.Config.Upstreams); diff != "" {
		t.Errorf("upstreams (-want +got):\n%s", diff)
	}
}

func TestLocate(t *testing.T) {
	file, err := Parse("app.yaml", []byte(minimal+`    event: {id: ""}
    request:
      set:
        "a.b": 1
      metadata:
        - x-a
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                              "1:1",
		"listen":                        "1:1", // not in the file: what is nearest above
		"upstreams.app.target":          "1:27",
		"upstreams.app.tls.ca":          "1:18",
		"routes[0]":                     "3:5",
		"routes[0].rpc":                 "4:10",
		"routes[0].event.id":            "6:17",
		"routes[0].event.name.oneof":    "6:12",
		"routes[0].request":             "7:5",
		`routes[0].request.set["a.b"]`:  "9:16",
		"routes[0].request.set.a.b":     "8:7",
		"routes[0].request.metadata[0]": "11:11",
		"routes[0].request.metadata[9]": "10:7",
		"routes[7].rpc":                 "2:1",
		`x["`:                           "1:1",
		`x["a"]["b"].c["]`:              "1:1",
		"]].[":                          "1:1",
	} {
		e := Errorf(path, "wrong")
		if got := file.Locate(e); !errors.Is(got, e) {
			t.Errorf("%s: another error came back", path)
		}
		if got := fmt.Sprintf("%d:%d", e.Line, e.Column); got != want || e.File != "app.yaml" {
			t.Errorf("%s: %s:%s, want %s", path, e.File, got, want)
		}
	}
}

func TestLocateWalksTheTree(t *testing.T) {
	file, err := Parse("app.yaml", []byte(minimal), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := Errorf("routes[0].rpc", "a"), Errorf("routes[0].path", "b"), Errorf("upstreams", "c")
	there := &Error{File: "other.yaml", Line: 9, Message: "is located"}
	plain := errors.New("plain")
	_ = file.Locate(errors.Join(plain, fmt.Errorf("wrapped: %w", a), Errors{b, there}, fmt.Errorf("%w and %w", plain, c)))

	if a.Line != 4 || b.Line != 3 || c.Line != 1 {
		t.Errorf("lines %d, %d, %d", a.Line, b.Line, c.Line)
	}
	if there.File != "other.yaml" || there.Line != 9 {
		t.Errorf("moved: %v", there)
	}
	if !errors.Is(file.Locate(plain), plain) || file.Locate(nil) != nil {
		t.Error("an error of another package was changed")
	}
	want := "app.yaml:4:10: routes[0].rpc: a\n        rpc: p.S/M\n             ^"
	if a.Error() != want {
		t.Errorf("%q, want %q", a.Error(), want)
	}
}

// All errors are reported at once, of every kind and in file order.
func TestAllErrorsAtOnce(t *testing.T) {
	const text = `listen: localhost
tls: {}
limits: {topics: many}
upstreams:
  app: {target: "${NOPE}", keepalive: 1s}
routes:
  - path: a
    rpc: p.S/M
    upstream: ap
    hartbeat: 1
  - &anchor {path: /b}
  - path: /c
    path: /d
    rpc: p
    upstream: app
`
	_, err := Parse("app.yaml", []byte(text), nil)
	var all Errors
	if !errors.As(err, &all) {
		t.Fatalf("%T", err)
	}
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%d %s", e.Line, e.Path))
	}
	want := []string{
		"1 listen", "2 tls.cert", "2 tls.key", "3 limits.topics", "5 upstreams.app.target", "5 upstreams.app.keepalive",
		"7 routes[0].path", "9 routes[0].upstream", "10 routes[0].hartbeat", "11 ", "13 routes[2].path", "14 routes[2].rpc",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, err := Parse("app.yaml", []byte(minimal+strings.Repeat("    retry: x\n", 500)), nil)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != maxErrors+1 {
		t.Fatalf("%d errors", len(errs))
	}
	if last := errs[maxErrors].Error(); last != "app.yaml: and 400 more errors" {
		t.Error(last)
	}
}

// Suggesting a key takes time, and a file may have thousands of unknown keys, so only the reported
// errors have suggestions.
func TestOnlyReportedErrorsSuggestKeys(t *testing.T) {
	src, bad := newSource("app.yaml", []byte(minimal+strings.Repeat("    retri: 5s\n", 1)+strings.Repeat("  - {zzqx: 1}\n", 500)))
	if bad != nil {
		t.Fatal(bad)
	}
	root, errs := parseYAML(src)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	suggestions, unknown := 0, 0
	for _, err := range (&File{src: src}).decode(root, nil, nil) {
		if strings.Contains(err.Message, "unknown key") {
			unknown++
		}
		if strings.Contains(err.Message, "did you mean") || strings.Contains(err.Message, "known here") {
			suggestions++
		}
	}
	if unknown != 501 || suggestions == 0 || suggestions > maxErrors {
		t.Errorf("%d of %d unknown keys have suggestions", suggestions, unknown)
	}
}

// README shows an example that is identical with the file in the repository.
func TestExampleOfTheReadme(t *testing.T) {
	readme, example := string(readFile(t, "../../README.md")), string(readFile(t, "../../examples/rooms.yaml"))
	_, block, _ := strings.Cut(readme, "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	_, shown, ok := strings.Cut(example, "upstreams:\n")
	if !ok || block != "upstreams:\n"+shown {
		t.Errorf("README shows\n%s\nand examples/rooms.yaml is\n%s", block, example)
	}
}
