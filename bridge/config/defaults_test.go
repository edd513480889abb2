package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The example documents each default in a comment. The test compares them with WithDefaults.
func TestDefaultsAreThoseOfTheExample(t *testing.T) {
	const name = "../../examples/ssebridge.yaml"
	file, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	bare := Config{
		Upstreams: map[string]Upstream{"app": {Target: "x"}},
		Routes:    []Route{{}, {Resume: &Resume{}}, {}, {}},
	}.WithDefaults()

	documented := regexp.MustCompile(`# default:? (.*)$`)
	seen := map[string]bool{}
	for path, at := range file.keys {
		comment := documented.FindStringSubmatch(file.src.line(at.line))
		if comment == nil {
			continue
		}
		value, ok := valueAt(reflect.ValueOf(bare), path)
		if !ok {
			continue // a key of the example's content, such as its metadata
		}
		if strings.HasPrefix(path, "routes[1].event.name.") || strings.HasPrefix(path, "routes[1].event.data.") {
			continue
		}
		seen[path] = true
		if want := shownDefault(path, value); !hasWord(comment[1], want) {
			t.Errorf("%s: the example says %q, the default is %s", path, comment[1], want)
		}
	}
	if len(seen) < 49 {
		t.Errorf("only %d defaults were compared: %v", len(seen), seen)
	}

	// "defaults; …" in the example marks a line that shows the defaults themselves.
	shown, want := file.Config.Routes[1], bare.Routes[1]
	if diff := cmp.Diff(want.Replay, shown.Replay); diff != "" {
		t.Errorf("replay (-default +shown):\n%s", diff)
	}
	if diff := cmp.Diff(want.Heartbeat, shown.Heartbeat); diff != "" {
		t.Errorf("heartbeat (-default +shown):\n%s", diff)
	}
}

// shownDefault returns a default in the example's form.
func shownDefault(path string, v reflect.Value) string {
	switch path {
	case "upstreams.app.schema":
		return "reflection"
	case "routes[1].auth":
		return "none"
	case "upstreams.app.connections":
		return "auto"
	case "upstreams.app.balance":
		return "spread"
	case "upstreams.app.health":
		return "false"
	case "routes[1].event.id":
		return "absent"
	case "routes[1].request.body":
		return "true where POST is allowed" // TestDefaultsResolveBody
	case "routes[1].event.data":
		return "{message: true}"
	case "routes[1].resume":
		return "none"
	case "routes[1].resume.expired.codes":
		return "these four" // TestDefaultsOfResuming
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case Fields:
		return strconv.FormatBool(value.All)
	case []string:
		if len(value) > 0 {
			return "[" + strings.Join(value, ", ") + "]"
		}
	}
	if v.IsZero() && (v.Kind() == reflect.String || v.Kind() == reflect.Map || v.Kind() == reflect.Struct) || v.Kind() == reflect.Slice {
		return "none"
	}
	return fmt.Sprint(v.Interface())
}

// hasWord reports whether text begins with word as a whole.
func hasWord(text, word string) bool {
	rest, ok := strings.CutPrefix(text, word)
	return ok && (rest == "" || strings.ContainsAny(rest[:1], " ;:.,"))
}

// valueAt returns the value at a path, or false if the path does not exist.
func valueAt(v reflect.Value, path string) (reflect.Value, bool) {
	for _, segment := range regexp.MustCompile(`\w[\w-]*`).FindAllString(path, -1) {
		for v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		switch v.Kind() {
		case reflect.Struct:
			index, ok := yamlFields(v.Type())[segment]
			if !ok {
				return v, false
			}
			v = v.Field(index)
		case reflect.Map:
			v = v.MapIndex(reflect.ValueOf(segment))
		case reflect.Slice:
			var i int
			if _, err := fmt.Sscan(segment, &i); err != nil || i >= v.Len() {
				return v, false
			}
			v = v.Index(i)
		default:
			return v, false
		}
		if !v.IsValid() {
			return v, false
		}
	}
	return v, true
}

// With alone, a draining bridge does not wait unless the keys ask for it.
func TestDefaultsOfDrain(t *testing.T) {
	for text, want := range map[string][2]Duration{
		"{}":                                   {seconds(5), seconds(25)},
		"{alone: false}":                       {seconds(5), seconds(25)},
		"{alone: true}":                        {0, 0},
		"{alone: true, delay: 2s}":             {seconds(2), 0},
		"{alone: true, delay: 0s, grace: 10s}": {0, seconds(10)},
	} {
		file, err := Parse("a.yaml", []byte("drain: "+text+"\nupstreams: {app: {target: 'x:1'}}\nroutes: [{path: /a, rpc: a.B/C, upstream: app}]\n"),
			func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		drain := file.Config.WithDefaults().Drain
		if got := [2]Duration{*drain.Delay, *drain.Grace}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestDefaultsResolveBody(t *testing.T) {
	for _, c := range []struct {
		methods []string
		body    *Fields
		want    Fields
	}{
		{nil, nil, Fields{}},
		{[]string{"GET"}, nil, Fields{}},
		{[]string{"POST"}, nil, Fields{All: true}},
		{[]string{"GET", "POST"}, nil, Fields{All: true}},
		{[]string{"POST"}, &Fields{}, Fields{}},
		{[]string{"POST"}, &Fields{Paths: []string{"a"}}, Fields{Paths: []string{"a"}}},
	} {
		got := Config{Routes: []Route{{Methods: c.methods, Request: Request{Body: c.body}}}}.WithDefaults().Routes[0].Request.Body
		if diff := cmp.Diff(&c.want, got); diff != "" {
			t.Errorf("%v %v (-want +got):\n%s", c.methods, c.body, diff)
		}
	}
}

// A route takes its missing reconnect keys from its upstream.
func TestDefaultsOfReconnect(t *testing.T) {
	for _, c := range []struct {
		name                  string
		upstream, route, want *Reconnect
	}{
		{"nothing", nil, nil, &Reconnect{[]string{"UNAVAILABLE"}, Duration(1e8), seconds(10), new(0)}},
		{
			"upstream", &Reconnect{Codes: []string{"ABORTED"}, Max: seconds(5)}, nil,
			&Reconnect{[]string{"ABORTED"}, Duration(1e8), seconds(5), new(0)},
		},
		{
			"both", &Reconnect{[]string{"ABORTED"}, seconds(1), seconds(5), new(3)}, &Reconnect{Initial: seconds(2), Attempts: new(0)},
			&Reconnect{[]string{"ABORTED"}, seconds(2), seconds(5), new(0)},
		},
		{
			"route", nil, &Reconnect{Codes: []string{}, Max: seconds(60), Attempts: new(7)},
			&Reconnect{[]string{}, Duration(1e8), seconds(60), new(7)},
		},
	} {
		d := Config{
			Upstreams: map[string]Upstream{"a": {Reconnect: c.upstream}},
			Routes:    []Route{{Upstream: "a", Reconnect: c.route}, {Upstream: "none"}},
		}.WithDefaults()
		if diff := cmp.Diff(c.want, d.Routes[0].Reconnect); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(new(defaultReconnect()), d.Routes[1].Reconnect); diff != "" {
			t.Errorf("%s: without an upstream (-want +got):\n%s", c.name, diff)
		}
		if d.Upstreams["a"].Reconnect == nil || d.Routes[0].Reconnect == d.Upstreams["a"].Reconnect {
			t.Errorf("%s: %p, %p", c.name, d.Routes[0].Reconnect, d.Upstreams["a"].Reconnect)
		}
	}
}

func TestDefaultsOfResuming(t *testing.T) {
	d := Config{Routes: []Route{{Resume: &Resume{Field: "a", Set: map[string]any{"b": 1}}}, {}}}.WithDefaults()
	want := &Resume{
		Field: "a", Set: map[string]any{"b": int64(1)}, Ordered: new(true),
		Expired: Expired{Codes: []string{"OUT_OF_RANGE", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}},
	}
	if diff := cmp.Diff(want, d.Routes[0].Resume); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if d.Routes[1].Resume != nil || d.Limits.Catchups != 256 {
		t.Errorf("%+v, %d", d.Routes[1].Resume, d.Limits.Catchups)
	}
}

// WithDefaults keeps set pointers, and leaves only those pointers nil for which nil has a meaning.
func TestDefaultsKeepSetKeys(t *testing.T) {
	c := Config{
		Admin: new(""), Drain: Drain{Delay: new(Duration(0)), Grace: new(Duration(0))},
		Upstreams: map[string]Upstream{"a": {Reconnect: &Reconnect{Attempts: new(3)}}},
		Routes: []Route{{
			Upstream:  "a",
			OpenGrace: new(Duration(0)), Heartbeat: Heartbeat{Every: new(Duration(0))}, Replay: Replay{Linger: new(Duration(0))},
			Resume:    &Resume{Ordered: new(false), Expired: Expired{Codes: []string{}}},
			Reconnect: &Reconnect{Codes: []string{}, Attempts: new(0)},
			Event:     Event{ID: new("")}, Request: Request{Metadata: []Metadata{{Name: "a", Key: new(false)}, {Name: "b"}}},
		}},
	}
	d := c.WithDefaults()
	r := d.Routes[0]
	if *d.Admin != "" || *d.Drain.Delay != 0 || *d.Drain.Grace != 0 || *r.OpenGrace != 0 ||
		*r.Heartbeat.Every != 0 || *r.Replay.Linger != 0 || *r.Event.ID != "" || *r.Request.Metadata[0].Key {
		t.Errorf("%+v", d)
	}
	if *r.Resume.Ordered || len(r.Resume.Expired.Codes) != 0 || len(r.Reconnect.Codes) != 0 || *r.Reconnect.Attempts != 0 {
		t.Errorf("%+v %+v", r.Resume, r.Reconnect)
	}
	if !*r.Request.Metadata[1].Key || d.Upstreams["a"].TLS != nil || d.Upstreams["a"].Schema.Proto != nil {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff(d, d.WithDefaults()); diff != "" {
		t.Errorf("not idempotent:\n%s", diff)
	}
}

// The only upstream is required, unless the configuration says otherwise.
func TestDefaultsRequireAnOnlyUpstream(t *testing.T) {
	for text, want := range map[string]map[string]bool{
		"upstreams: {a: {target: a:1}}":                                   {"a": true},
		"upstreams: {a: {target: a:1, required: false}}":                  {"a": false},
		"upstreams: {a: {target: a:1}, b: {target: b:1}}":                 {"a": false, "b": false},
		"upstreams: {a: {target: a:1}, b: {target: b:1, required: true}}": {"a": false, "b": true},
	} {
		file, err := Parse("a.yaml", []byte(text+"\nroutes: [{path: /a, rpc: a.B/C, upstream: a}]\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, required := range want {
			if got := *file.Config.WithDefaults().Upstreams[name].Required; got != required {
				t.Errorf("%s: %s is required: %t", text, name, got)
			}
		}
	}
}

// The result of WithDefaults shares no memory with its receiver.
func TestDefaultsShareNothing(t *testing.T) {
	load := func() Config {
		file, err := Parse("app.yaml", append(readFile(t, "../../examples/ssebridge.yaml"), []byte(`
  - {path: /z, rpc: a.B/C, upstream: app, event: {id: a}, resume: {field: r, set: {s: [1]}, ordered: true}, reconnect: {codes: [ABORTED], attempts: 1}, request: {set: {l: [1, 2]}, query: [a], body: [b], metadata: [{name: x, key: true}]}, methods: [POST], trailers: [t]}
`)...), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		app := file.Config.Upstreams["app"]
		app.TLS = &TLS{CA: "ca"}
		app.Schema.Proto = &ProtoSources{ImportPaths: []string{"p"}, Files: []string{"f"}}
		file.Config.Upstreams["app"] = app
		return file.Config
	}
	c, untouched := load(), load()
	d := c.WithDefaults()
	scramble(reflect.ValueOf(&d).Elem())
	if diff := cmp.Diff(untouched, c); diff != "" {
		t.Errorf("changed through the copy:\n%s", diff)
	}
}

// scramble changes everything that v refers to.
func scramble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && v.Kind() == reflect.Pointer {
			scramble(v.Elem())
		} else if list, ok := reflect.TypeAssert[[]any](v); ok {
			list[0] = "scrambled"
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			scramble(field)
		}
	case reflect.Slice:
		for i := range v.Len() {
			scramble(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			return
		}
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			scramble(value)
			v.SetMapIndex(key, value)
		}
		v.SetMapIndex(reflect.ValueOf("scrambled"), reflect.Zero(v.Type().Elem()))
	case reflect.String:
		v.SetString("scrambled")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	default:
		v.SetInt(-7)
	}
}

// Methods and the names of headers, metadata and trailers are case-insensitive.
func TestNamesInAnyCase(t *testing.T) {
	const text = `upstreams: {app: {target: a:1, metadata: {X-Bridge: b}}}
routes:
  - {path: /a, rpc: a.B/C, upstream: app, methods: [get, Post], trailers: [X-Cost], request: {body: true, metadata: [Authorization, {name: X-Team, key: false}]}}
`
	file, err := Parse("a.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := file.Config.WithDefaults()
	r := cfg.Routes[0]
	got := []string{r.Methods[0], r.Methods[1], r.Trailers[0], r.Request.Metadata[0].Name, r.Request.Metadata[1].Name, cfg.Upstreams["app"].Metadata["x-bridge"]}
	if diff := cmp.Diff([]string{"GET", "POST", "x-cost", "authorization", "x-team", "b"}, got); diff != "" {
		t.Error(diff)
	}
	for change, want := range map[string]string{
		"methods: [get, GET, Post]":                                     "routes[0].methods[1]: GET is listed twice; remove one",
		"trailers: [X-Cost, x-cost]":                                    "routes[0].trailers[1]: the same as routes[0].trailers[0]; remove one of them",
		"metadata: [authorization, {name: X-Team, key: false}, x-team]": "routes[0].request.metadata[2]: the same as routes[0].request.metadata[1]; remove one of them",
		"metadata: {X-Bridge: b, x-bridge: c}":                          `upstreams.app.metadata.x-bridge: "x-bridge" and "X-Bridge" are the same name; remove one`,
	} {
		key, _, _ := strings.Cut(change, " ")
		at := strings.LastIndex(text, key)
		if strings.HasPrefix(change, "metadata: {") {
			at = strings.Index(text, key)
		}
		end := at + strings.IndexAny(text[at:], "]}") + 1
		if strings.Contains(change, "X-Team") {
			end = at + strings.Index(text[at:], "]") + 1
		}
		_, err := Parse("a.yaml", []byte(text[:at]+change+text[end:]), nil)
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: got %v, want %s", change, err, want)
		}
	}
}
