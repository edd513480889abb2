package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

const (
	schemaFile       = "../../docs/ssebridge.schema.json"
	descriptionsFile = "descriptions.json"
	regenerate       = "regenerate it by: go generate ./bridge/config"
)

func TestJSONSchemaIsCommitted(t *testing.T) {
	docs := fieldComments(t)
	described, err := json.MarshalIndent(docs, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonSchema(docs)
	if err != nil {
		t.Fatal(err)
	}

	for name, want := range map[string][]byte{descriptionsFile: append(described, '\n'), schemaFile: schema} {
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatalf("%v; %s", err, regenerate)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is out of date; %s\n%s", name, regenerate, diff)
		}
	}
	if *update {
		return // the embedded descriptions are still the old ones
	}
	if exported, err := JSONSchema(); err != nil || !bytes.Equal(exported, schema) {
		t.Errorf("JSONSchema differs from the committed file (%v); %s", err, regenerate)
	}
}

// fieldComments returns the comments of config.go's fields, each as one line.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	for node := range ast.Preorder(file) {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			continue
		}
		body, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, field := range body.Fields.List {
			text := strings.Join(strings.Fields(field.Doc.Text()), " ")
			if text == "" {
				t.Errorf("%s.%s has no comment", spec.Name, field.Names[0])
			}
			for _, name := range field.Names {
				docs[spec.Name.Name+"."+name.Name] = text
			}
		}
	}
	return docs
}

func TestJSONSchemaAcceptsTheExamples(t *testing.T) {
	resolved := committedSchema(t)
	for _, name := range []string{"../../examples/ssebridge.yaml", "../../examples/health.yaml", "../../examples/rooms.yaml"} {
		if err := resolved.Validate(yamlValue(t, readFile(t, name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The schema finds typos in an editor: it refuses each of these files.
func TestJSONSchemaRefuses(t *testing.T) {
	resolved := committedSchema(t)
	for _, bad := range []string{
		"routes: []",
		"upstreams: {a: {target: x}}",
		"{upstreams: {a: {}}, routes: []}",
		minimal + "hartbeat: 1",
		minimal + "    hartbeat: {every: 1s}",
		minimal + "    share: sometimes",
		minimal + "    methods: [PUT]",
		minimal + "    retry: 3",
		minimal + "    replay: {bytes: 8MB}",
		minimal + "    replay: {events: many}",
		minimal + "    event: {data: {message: false}}",
		minimal + "    event: {data: {field: a, oneof: b}}",
		minimal + "    request: {query: yes please}",
		minimal + "    request: {metadata: [{key: false}]}",
		minimal + "    auth: maybe",
		minimal + "    auth: {allow: []}",
		minimal + "auth: {jwt: {issuer: a}}",
		minimal + "    resume: {}",
		minimal + "    resume: {field: a, offset: much}",
		minimal + "    resume: {field: a, expired: {codes: [not_found]}}",
		minimal + "    reconnect: {codes: [OK]}",
		minimal + "    reconnect: {attempts: often}",
	} {
		if err := resolved.Validate(yamlValue(t, []byte(bad))); err == nil {
			t.Errorf("accepted:\n%s", bad)
		}
	}
}

// The schema accepts exactly the durations that Parse accepts.
func TestJSONSchemaOfDurations(t *testing.T) {
	resolved := committedSchema(t)
	for _, c := range []struct {
		text string
		good bool
	}{
		{"0", true},
		{"0s", true},
		{"+0", true},
		{".5s", true},
		{"+5s", true},
		{"1.s", true},
		{"1h30m", true},
		{"1.5h.5m", true},
		{"100us", true},
		{"100µs", true},
		{"100μs", true},
		{"3", false},
		{"s", false},
		{".s", false},
		{"5 s", false},
		{"5S", false},
		{"++5s", false},
		{"1d", false},
		{"", false},
	} {
		_, parses := ParseDuration(c.text)
		schema := resolved.Validate(yamlValue(t, []byte(minimal+"    open_grace: "+strconv.Quote(c.text)+"\n")))
		if (parses == nil) != c.good || (schema == nil) != c.good {
			t.Errorf("%q: Parse says %v, the schema %v", c.text, parses, schema)
		}
	}
	if err := resolved.Validate(yamlValue(t, []byte(minimal+"    open_grace: 0\n"))); err != nil {
		t.Error(err)
	}
}

// The schema and Parse accept variables in the same places.
func TestJSONSchemaAcceptsVariables(t *testing.T) {
	const text = `
upstreams: {app: {target: "${T}", connections: "${N}", keepalive: "${D}", schema: "${S}", opens: "${N}"}}
routes:
  - {path: /a, rpc: a.B/C, upstream: "${U}", share: "${SHARE}", retry: "${D}", replay: {bytes: "${SIZE}"}, event: {emit_defaults: "${B}"}, request: {query: "${B}"}}
`
	env := map[string]string{
		"T": "localhost:1", "N": "2", "D": "15s", "S": "reflection", "U": "app", "SHARE": "true", "SIZE": "8MiB", "B": "true",
	}
	if err := committedSchema(t).Validate(yamlValue(t, []byte(text))); err != nil {
		t.Error(err)
	}
	if _, err := Parse("v.yaml", []byte(text), lookupIn(env)); err != nil {
		t.Error(err)
	}
}

// The schema has exactly the keys of the structs.
func TestJSONSchemaHasEveryKey(t *testing.T) {
	var schema struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(readFile(t, schemaFile), &schema); err != nil {
		t.Fatal(err)
	}
	fields := yamlFields(reflect.TypeFor[Config]())
	if len(fields) != len(schema.Properties) {
		t.Errorf("%d properties, %d fields", len(schema.Properties), len(fields))
	}
	for key := range fields {
		if schema.Properties[key] == nil {
			t.Errorf("%s is not in the schema", key)
		}
	}
}

func committedSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	var schema jsonschema.Schema
	if err := json.Unmarshal(readFile(t, schemaFile), &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// yamlValue returns a YAML text as the JSON value that an editor checks.
func yamlValue(t *testing.T, text []byte) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	var value any
	if err := json.Unmarshal(asJSON, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
