package site

import (
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
	"github.com/ssebridge/ssebridge/upstream"
)

// compiler binds a route to a schema.
type compiler struct {
	route        config.Route // with defaults
	written      config.Route // without defaults
	messageBytes int          // limits.message_bytes
	tokenNames   []string     // query parameters that carry credentials
	logger       *slog.Logger
}

// compile binds the route to a schema. Errors are config.Errors, with paths within the route.
func (c compiler) compile(schema *upstream.Schema) (*Binding, error) {
	method, err := schema.Method(c.route.RPC)
	if err != nil {
		return nil, configerr.Join(config.Errorf("rpc", "%v", err))
	}
	if method.IsStreamingClient() {
		return nil, configerr.Join(config.Errorf("rpc",
			"%s takes a stream of requests, which a browser cannot send; only unary and server-streaming methods can be bridged", c.route.RPC))
	}
	binder, bindErr := route.Compile(c.spec(), method.Input(), schema.Resolver(c.route.RPC))
	plan, planErr := transcode.Compile(method.Output(), c.transcoding(schema))
	b := &Binding{Schema: schema, Method: method, Binder: binder, Plan: plan}
	err = configerr.Join(c.checkKind(method), c.specErrors(bindErr), c.tapErrors(planErr), c.compileResume(b))
	if err == nil {
		err = configerr.Join(c.checkNames(plan))
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// spec returns the route's configuration of requests.
func (c compiler) spec() route.Spec {
	request := c.route.Request
	template, err := route.ParseTemplate(c.route.Path)
	if err != nil {
		panic(err) // the table has parsed the same template
	}
	spec := route.Spec{
		Params:   template.Params(),
		Query:    route.Fields{All: request.Query.All, Paths: request.Query.Paths},
		Set:      request.Set,
		Claims:   request.Claims,
		Headers:  request.Headers,
		Reserved: append(sse.IDQueryNames(), c.tokenNames...),
		Ignored:  request.Ignore,
		Resume:   c.resumeSpec(),
	}
	if request.Body != nil {
		spec.Body = route.Fields{All: request.Body.All, Paths: request.Body.Paths}
	}
	for _, m := range request.Metadata {
		spec.Metadata = append(spec.Metadata, route.Metadata{Name: m.Name, Key: m.Key == nil || *m.Key})
	}
	return spec
}

// transcoding returns the route's configuration of events.
func (c compiler) transcoding(schema *upstream.Schema) transcode.Options {
	event := c.route.Event
	options := transcode.Options{
		EmitDefaults: event.EmitDefaults,
		ProtoNames:   event.ProtoNames,
		EnumNumbers:  event.EnumNumbers,
		Resolver:     schema.Resolver(c.route.RPC),
		MaxBytes:     4 * c.messageBytes,
	}
	if event.ID != nil {
		options.Taps.ID = *event.ID
	}
	options.Taps.Name = transcode.NameTap{Field: event.Name.Field, Oneof: event.Name.Oneof}
	options.Taps.Data = transcode.DataTap{Field: event.Data.Field, Oneof: event.Data.Oneof}
	return options
}

// specErrors converts errors of route.Compile to errors of the configuration.
func (c compiler) specErrors(err error) error {
	var found config.Errors
	for _, part := range configerr.Parts(err) {
		spec := new(route.SpecError)
		if !errors.As(part, &spec) {
			return part
		}
		found = append(found, config.Errorf(spec.Key, "%s", spec.Message))
	}
	return configerr.Join(found)
}

// tapErrors converts errors of transcode.Compile to errors of the configuration.
func (c compiler) tapErrors(err error) error {
	var found config.Errors
	for _, part := range configerr.Parts(err) {
		tap := new(transcode.TapError)
		if !errors.As(part, &tap) {
			return part
		}
		key := "event." + tap.Tap
		switch {
		case key == "event.name" && c.route.Event.Name.Field != "", key == "event.data" && c.route.Event.Data.Field != "":
			key += ".field"
		case key != "event.id":
			key += ".oneof"
		}
		found = append(found, config.Errorf(key, "%s", tap.Message))
	}
	return configerr.Join(found)
}

// checkNames refuses event names of the schema that clients could not distinguish, and logs
// those that are changed.
func (c compiler) checkNames(plan *transcode.Plan) error {
	seen := map[string]string{}
	for _, name := range plan.NameConstants() {
		shown := string(sse.AppendName(nil, []byte(name)))
		if other, taken := seen[shown]; taken {
			return config.Errorf("event.name",
				"%q and %q would both be sent as the event name %q; choose another field or oneof, or a constant", other, name, shown)
		}
		seen[shown] = name
		if shown != name {
			c.logger.Warn("an event name is reserved or too long and is sent under another", "route", c.route.Path, "name", name, "sent_as", shown)
		}
	}
	return nil
}

// checkKind returns an error for each key that has no effect on a method of this kind.
func (c compiler) checkKind(method protoreflect.MethodDescriptor) error {
	if method.IsStreamingServer() {
		if c.written.Timeout != 0 {
			return config.Errorf("timeout", "is for unary methods, and %s is a stream; leave it out, or use max_age", c.route.RPC)
		}
		if c.route.Safe {
			return config.Errorf("safe", "is for unary methods, and %s is a stream, which GET may open anyway; leave it out", c.route.RPC)
		}
		return nil
	}
	var found config.Errors
	for _, key := range streamKeys(c.written) {
		found = append(found, config.Errorf(key, "is for streams, and rpc %s is a unary method, which answers once, as plain JSON; leave it out", c.route.RPC))
	}
	for _, verb := range c.route.Methods {
		if verb == http.MethodGet && !c.route.Safe && !HasNoSideEffects(method) {
			found = append(found, config.Errorf("methods",
				"%s is unary and may change something, which a GET must not; write methods: [POST], or safe: true if it changes nothing",
				c.route.RPC))
		}
	}
	return configerr.Join(found)
}

// HasNoSideEffects reports whether the schema declares that a method has no side effects.
func HasNoSideEffects(method protoreflect.MethodDescriptor) bool {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// unaryKeys are the keys of a route that have an effect on a unary method. A mapping that is not
// listed as a whole is listed by its keys.
func unaryKeys() []string {
	return []string{
		"path", "methods", "safe", "rpc", "upstream", "auth", "request", "timeout",
		"event.emit_defaults", "event.proto_names", "event.enum_numbers",
	}
}

// streamKeys returns the keys that a route sets and that have no effect on a unary method.
func streamKeys(r config.Route) []string {
	keys := append(setKeys("", r), setKeys("event.", r.Event)...)
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == "event" || slices.Contains(unaryKeys(), key) })
	slices.Sort(keys)
	return keys
}

// setKeys returns the keys of a mapping that are set, with a prefix.
func setKeys(prefix string, mapping any) (keys []string) {
	v := reflect.ValueOf(mapping)
	for i := range v.NumField() {
		key, value := v.Type().Field(i).Tag.Get("yaml"), v.Field(i)
		empty := value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0
		if !empty {
			keys = append(keys, prefix+key)
		}
	}
	return keys
}
