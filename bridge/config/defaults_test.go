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

// The example documents each default in a comment; these are compared with what
// WithDefaults gives, so that neither can change alone.
func TestDefaultsAreThoseOfTheExample(t *testing.T) {
	const name = "../../examples/ssebridge.yaml"
	file, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	bare := Config{
		Upstreams: map[string]Upstream{"app": {Target: "x"}},
		Routes:    []Route{{}, {}, {}, {}},
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
			continue // a key of what the line shows, such as an example's metadata
		}
		if strings.HasPrefix(path, "routes[1].event.name.") || strings.HasPrefix(path, "routes[1].event.data.") {
			continue
		}
		seen[path] = true
		if want := shownDefault(path, value); !hasWord(comment[1], want) {
			t.Errorf("%s: the example says %q, the default is %s", path, comment[1], want)
		}
	}
	if len(seen) < 38 {
		t.Errorf("only %d defaults were compared: %v", len(seen), seen)
	}

	// "defaults; …": the line shows the defaults themselves.
	shown, want := file.Config.Routes[1], bare.Routes[1]
	if diff := cmp.Diff(want.Replay, shown.Replay); diff != "" {
		t.Errorf("replay (-default +shown):\n%s", diff)
	}
	if diff := cmp.Diff(want.Heartbeat, shown.Heartbeat); diff != "" {
		t.Errorf("heartbeat (-default +shown):\n%s", diff)
	}
}

// shownDefault is a default as the example writes it.
func shownDefault(path string, v reflect.Value) string {
	switch path {
	case "upstreams.app.schema":
		return "reflection"
	case "upstreams.app.connections":
		return "auto"
	case "routes[1].event.id":
		return "absent"
	case "routes[1].request.body":
		return "true where POST is allowed" // TestDefaultsResolveBody
	case "routes[1].event.data":
		return "{message: true}"
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
	if _, isText := reflect.TypeAssert[fmt.Stringer](v); !isText && v.IsZero() && v.Kind() != reflect.Bool || v.Kind() == reflect.Slice {
		return "none"
	}

	return fmt.Sprint(v.Interface())
}

// hasWord says whether text begins with word as a whole.
func hasWord(text, word string) bool {
	rest, ok := strings.CutPrefix(text, word)

	return ok && (rest == "" || strings.ContainsAny(rest[:1], " ;:.,"))
}

// valueAt is the value at a path; false where the path leads into what is not there.
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

// A set pointer is taken as it is, and only those that mean something by nil stay nil.
func TestDefaultsKeepWhatIsSet(t *testing.T) {
	c := Config{
		Admin: new(""), Drain: Drain{Delay: new(Duration(0)), Grace: new(Duration(0))},
		Upstreams: map[string]Upstream{"a": {}},
		Routes: []Route{{
			OpenGrace: new(Duration(0)), Heartbeat: Heartbeat{Every: new(Duration(0))}, Replay: Replay{Linger: new(Duration(0))},
			Event: Event{ID: new("")}, Request: Request{Metadata: []Metadata{{Name: "a", Key: new(false)}, {Name: "b"}}},
		}},
	}
	d := c.WithDefaults()
	r := d.Routes[0]
	if *d.Admin != "" || *d.Drain.Delay != 0 || *d.Drain.Grace != 0 || *r.OpenGrace != 0 ||
		*r.Heartbeat.Every != 0 || *r.Replay.Linger != 0 || *r.Event.ID != "" || *r.Request.Metadata[0].Key {
		t.Errorf("%+v", d)
	}
	if !*r.Request.Metadata[1].Key || d.Upstreams["a"].TLS != nil || d.Upstreams["a"].Schema.Proto != nil {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff(d, d.WithDefaults()); diff != "" {
		t.Errorf("not idempotent:\n%s", diff)
	}
}

// WithDefaults is pure: what it gives can be changed without changing what it was given.
func TestDefaultsShareNothing(t *testing.T) {
	load := func() Config {
		file, err := Parse("app.yaml", append(readFile(t, "../../examples/ssebridge.yaml"), []byte(`
  - {path: /z, rpc: a.B/C, upstream: app, request: {set: {l: [1, 2]}, query: [a], body: [b], metadata: [{name: x, key: true}]}, methods: [POST], trailers: [t]}
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

// scramble changes everything that v leads to.
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
