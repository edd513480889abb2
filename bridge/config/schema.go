package config

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

//go:generate go test -run ^TestJSONSchemaIsCommitted$ . -update

// descriptions are the field comments of config.go by "Type.Field", so that an editor shows the
// source's text.
//
//go:embed descriptions.json
var descriptions []byte

// JSONSchema returns the JSON Schema (draft 2020-12) of the YAML, for editors. It is generated from the
// structs, their comments and their defaults. [Parse] checks more, and may refuse a file that the
// schema accepts.
func JSONSchema() ([]byte, error) {
	docs := map[string]string{}
	if err := json.Unmarshal(descriptions, &docs); err != nil {
		return nil, fmt.Errorf("the descriptions of the configuration: %w", err)
	}
	return jsonSchema(docs)
}

func jsonSchema(docs map[string]string) ([]byte, error) {
	g := schemaGenerator{docs: docs}
	// One upstream and one route provide the defaults within them.
	defaults := Config{
		Upstreams: map[string]Upstream{"": {}},
		Routes:    []Route{{Resume: &Resume{}}},
	}.WithDefaults()
	defaults.Routes[0].Reconnect = nil // its defaults are its upstream's
	root := g.object(reflect.ValueOf(defaults), place{})
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "ssebridge configuration"
	root.Defs = scalarDefs()

	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("the configuration's JSON Schema: %w", err)
	}
	return append(text, '\n'), nil
}

// The types of JSON Schema.
const (
	typeString = "string"
	typeArray  = "array"
)

// durationPattern matches the durations that ParseDuration reads, except negative ones, which no key
// accepts.
const durationPattern = `^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`

// schemaGenerator walks the structs together with their defaults.
type schemaGenerator struct{ docs map[string]string }

// scalarDefs are the schemas of the YAML's scalars. Each also accepts a text with a variable.
func scalarDefs() map[string]*jsonschema.Schema {
	or := func(s *jsonschema.Schema) *jsonschema.Schema {
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, ref("variable")}}
	}
	return map[string]*jsonschema.Schema{
		"variable": {Type: typeString, Pattern: `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`},
		"boolean":  or(&jsonschema.Schema{Type: "boolean"}),
		"number":   or(&jsonschema.Schema{Type: "integer"}),
		"duration": {AnyOf: []*jsonschema.Schema{
			{Type: typeString, Pattern: durationPattern},
			{Enum: []any{0}},
			ref("variable"),
		}},
		"size": {AnyOf: []*jsonschema.Schema{
			{Type: "integer", Minimum: new(0.0)},
			{Type: typeString, Pattern: `^[0-9]+(B|KiB|MiB|GiB)?$`},
			ref("variable"),
		}},
		"constant": {Types: []string{"null", typeString, "boolean", "number", typeArray, "object"}},
	}
}

func ref(def string) *jsonschema.Schema { return &jsonschema.Schema{Ref: "#/$defs/" + def} }

// object returns the schema of a struct with the default v.
func (g schemaGenerator) object(v reflect.Value, at place) *jsonschema.Schema {
	t := v.Type()
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           map[string]*jsonschema.Schema{},
		AdditionalProperties: never(),
		Required:             requiredKeys(t),
	}
	for i := range t.NumField() {
		key := t.Field(i).Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		here := at.key(key)
		property := g.value(v.Field(i), here)
		if text := g.docs[t.Name()+"."+t.Field(i).Name]; text != "" {
			property.Description = text
		}
		property.Default = defaultOf(v.Field(i))
		s.Properties[key] = property
		s.PropertyOrder = append(s.PropertyOrder, key)
	}
	return s
}

// value returns the schema of a field by its type.
func (g schemaGenerator) value(v reflect.Value, at place) *jsonschema.Schema {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return g.value(reflect.Zero(v.Type().Elem()), at)
		}
		return g.value(v.Elem(), at)
	}
	if s := g.form(v, at); s != nil {
		return s
	}

	switch v.Kind() {
	case reflect.Struct:
		return g.object(v, at)
	case reflect.Map:
		return &jsonschema.Schema{Type: "object", AdditionalProperties: g.element(v, at.mapKey(""))}
	case reflect.Slice:
		return &jsonschema.Schema{Type: typeArray, Items: g.element(v, at.index(0))}
	case reflect.Interface:
		return ref("constant")
	case reflect.Bool:
		return ref("boolean")
	case reflect.Int, reflect.Int64:
		return ref("number")
	case reflect.String:
		return stringOf(at)
	default:
		panic("config: no JSON Schema for " + v.Type().String())
	}
}

// element returns the schema of a map's or a slice's elements, with the defaults of the sample's only
// element.
func (g schemaGenerator) element(v reflect.Value, at place) *jsonschema.Schema {
	switch {
	case v.Kind() == reflect.Map && v.MapIndex(reflect.ValueOf("")).IsValid():
		return g.value(v.MapIndex(reflect.ValueOf("")), at)
	case v.Kind() == reflect.Slice && v.Len() > 0:
		return g.value(v.Index(0), at)
	default:
		return g.value(reflect.Zero(v.Type().Elem()), at)
	}
}

// form returns the schema of a type with a YAML form of its own, or nil.
func (g schemaGenerator) form(v reflect.Value, at place) *jsonschema.Schema {
	text := &jsonschema.Schema{Type: typeString}
	switch v.Interface().(type) {
	case Duration:
		return ref("duration")
	case Size:
		return ref("size")
	case Connections:
		auto := &jsonschema.Schema{Enum: []any{"auto"}}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{auto, {Type: "integer", Minimum: new(1.0)}, ref("variable")}}
	case Fields:
		list := &jsonschema.Schema{Type: typeArray, Items: text}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{ref("boolean"), list}}
	case Prefixes:
		return &jsonschema.Schema{Type: typeArray, Items: text}
	case Metadata, EventName:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text, g.object(v, at)}}
	case EventData:
		o := g.object(v, at)
		o.Properties["message"] = &jsonschema.Schema{Enum: []any{true}, Description: "Message sends the whole message."}
		o.MinProperties, o.MaxProperties = new(1), new(1)
		return o
	case Balance:
		o := g.object(v, at)
		o.MinProperties = new(1)
		words := &jsonschema.Schema{Enum: []any{balanceSpread, balanceFirst}}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{words, o, ref("variable")}}
	case Health:
		o := g.object(v, at)
		o.MinProperties = new(1)
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{ref("boolean"), o}}
	case CORS:
		o := g.object(v, at)
		o.MinProperties = new(1)
		o.Required = []string{"origins"}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: []any{"none"}}, o, ref("variable")}}
	case Issuers:
		o := g.element(reflect.ValueOf([]Issuer(nil)), at.index(0))
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{o, {Type: typeArray, Items: o}}}
	case RouteAuth:
		words := &jsonschema.Schema{Enum: []any{AuthNone, AuthOptional, AuthRequired}}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{words, g.object(v, at), ref("variable")}}
	case Schema:
		o := g.object(v, at)
		o.MinProperties, o.MaxProperties = new(1), new(1)
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: []any{"reflection"}}, o, ref("variable")}}
	default:
		return nil
	}
}

// stringOf returns the schema of a string: any string, or the allowed values.
func stringOf(at place) *jsonschema.Schema {
	allowed := allowedValues(at.pattern)
	switch {
	case at.pattern == "routes[].methods[]":
		allowed = []string{"GET", "POST", "get", "post"}
	case strings.HasSuffix(at.pattern, ".codes[]"):
		allowed = codeNames()
	}
	if allowed == nil {
		return &jsonschema.Schema{Type: typeString}
	}
	values := make([]any, len(allowed))
	for i, value := range allowed {
		values[i] = value
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: values}, ref("variable")}}
}

// defaultOf returns a default in YAML form, or nil if there is none to show.
func defaultOf(v reflect.Value) json.RawMessage {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	} else if v.IsZero() {
		return nil
	}
	var shown any
	switch value := v.Interface().(type) {
	case fmt.Stringer: // Duration and Size
		shown = value.String()
	case string, int, bool, []string:
		shown = value
	default:
		return nil
	}
	text, err := json.Marshal(shown)
	if err != nil {
		return nil
	}
	return text
}

// requiredKeys returns the required keys of a struct.
func requiredKeys(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[Config]():
		return []string{"upstreams", "routes"}
	case reflect.TypeFor[ServerTLS]():
		return []string{"cert", "key"}
	case reflect.TypeFor[Upstream]():
		return []string{"target"}
	case reflect.TypeFor[Route]():
		return []string{"path", "rpc", "upstream"}
	case reflect.TypeFor[Resume]():
		return []string{"field"}
	case reflect.TypeFor[ProtoSources]():
		return []string{"files"}
	case reflect.TypeFor[Metadata]():
		return []string{"name"}
	case reflect.TypeFor[Issuer]():
		return []string{"issuer", "audience"}
	case reflect.TypeFor[RouteAuth]():
		return []string{"mode"}
	case reflect.TypeFor[Condition]():
		return []string{"claim"}
	default:
		return nil
	}
}

// never returns a schema without valid values, for unknown keys.
func never() *jsonschema.Schema { return &jsonschema.Schema{Not: &jsonschema.Schema{}} }
