package route

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Spec says where the fields of a route's request message come from. Field paths name fields by JSON or
// proto name, and map entries as m.key or m[key].
type Spec struct {
	// Resume says which fields open the RPC at a cursor; nil if the route cannot resume. [Resume.Apply]
	// sets them over the fields that Bind sets.
	Resume *ResumeSpec
	// Set has constants by field path. Each is a proto3 JSON value: string, bool, any integer or float,
	// nil, or a []any or map[string]any of those.
	Set map[string]any
	// Params are the field paths that the path template binds.
	Params []string
	// Claims has field paths by the path of a claim.
	Claims map[string]string
	// Headers has field paths by HTTP header. A missing header leaves its field unset; several lines of
	// one header are the elements of a repeated field.
	Headers map[string]string
	// Query and Body are the fields that clients may set.
	Query, Body Fields
	// Reserved are query names that Bind skips before it looks for fields.
	Reserved []string
	// Ignored are query names that Bind skips too. A name that ends in * is a prefix; Bind still reads
	// the names with that prefix that the query may set.
	Ignored []string
	// Metadata are the HTTP headers that are forwarded to the upstream.
	Metadata []Metadata
}

// Fields are all fields, or the listed ones with everything beneath them. The zero value is no field.
type Fields struct {
	All   bool
	Paths []string
}

// Metadata is an HTTP header that is forwarded as gRPC metadata.
type Metadata struct {
	// Name is the header's name in any case.
	Name string
	// Key says that the header is part of the topic's identity. It has no effect on headers that differ
	// with each request: x-request-id and those of tracing.
	Key bool
}

// Resolver finds the types of Any messages and the extensions in bodies.
type Resolver interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// SpecError is an error of a Spec that does not fit its message or contradicts itself.
type SpecError struct {
	// Key is the route's configuration key: path, resume.field, request.set.limit, request.query[0], …
	Key string
	// Message is the problem, without the key.
	Message string
}

// Error returns the key and the message.
func (e *SpecError) Error() string { return e.Key + ": " + e.Message }

// Compile makes a Binder for a message type. A nil resolver knows no types. The error joins a
// *SpecError for each problem.
func Compile(spec Spec, input protoreflect.MessageDescriptor, resolver Resolver) (*Binder, error) {
	if resolver == nil {
		resolver = new(protoregistry.Types)
	}

	c := compiler{binder: &Binder{
		input:    input,
		resolver: resolver,
		closed:   &fieldSet{},
		reserved: slices.Clone(spec.Reserved),
	}}

	for _, name := range spec.Ignored {
		if prefix, isPattern := strings.CutSuffix(name, "*"); isPattern {
			c.binder.ignored = append(c.binder.ignored, prefix)
		} else {
			c.binder.reserved = append(c.binder.reserved, name)
		}
	}

	c.bindResume(spec.Resume)
	c.bindSet(spec.Set)
	c.bindParams(spec.Params)
	c.bindClaims(spec.Claims)
	c.bindHeaders(spec.Headers)
	c.closeSiblings()
	c.closeCursor(spec.Query, spec.Body)
	c.binder.query = c.open("request.query", spec.Query)
	c.binder.queryNames = listed(spec.Query.Paths)
	c.binder.body = c.open("request.body", spec.Body)
	c.forward(spec.Metadata)

	if by := c.binder.closed.any(); isOpaque(input) && by != nil && !c.binder.body.none() {
		c.failf("request.body", "the JSON of %s is its whole value, so nothing else may set its fields, as %s does",
			input.FullName(), by.key)
	}

	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	return c.binder, nil
}

// compiler builds a binder and collects the errors of its spec.
type compiler struct {
	binder    *Binder
	decisions []decision
	errs      []error
}

func (c *compiler) failf(key, format string, args ...any) {
	c.errs = append(c.errs, &SpecError{Key: key, Message: fmt.Sprintf(format, args...)})
}

// keyOf returns the configuration key of a mapping's entry.
func keyOf(mapping, key string) string {
	for _, r := range key {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return mapping + "[" + strconv.Quote(key) + "]"
		}
	}
	return mapping + "." + key
}

// resolve finds the place of a path in the spec; key is the configuration key to blame.
func (c *compiler) resolve(key, path string) (place, bool) {
	p, err := resolvePlace(c.binder.input, path)
	if err == nil {
		return p, true
	}

	var unknown *unknownFieldError
	if !errors.As(err, &unknown) {
		c.failf(key, "%s: %v", shown(path), err)
		return place{}, false
	}

	hint := fieldsOf(unknown.message)
	if near := nearestField(unknown.message, unknown.name, func(protoreflect.FieldDescriptor) bool { return true }); near != "" {
		hint = didYouMean(unknown.prefix + near)
	}

	c.failf(key, "%s has no field %s%s", unknown.message.FullName(), shown(path), hint)
	return place{}, false
}

// fieldsOf lists a message's fields for the end of an error.
func fieldsOf(m protoreflect.MessageDescriptor) string {
	names := make([]string, m.Fields().Len())
	for i := range names {
		names[i] = string(m.Fields().Get(i).Name())
	}

	if len(names) == 0 {
		return "; it has none"
	}
	return "; it has " + listed(names)
}

// listed joins names for an error, and cuts a long list.
func listed(names []string) string {
	const most = 12

	shownNames := make([]string, 0, most+1)

	for _, name := range names[:min(len(names), most)] {
		shownNames = append(shownNames, shown(name))
	}

	if len(names) > most {
		shownNames = append(shownNames, "…")
	}
	return strings.Join(shownNames, ", ")
}

// bind finds the place of a path and closes it to clients. If two keys bind one field, or two members
// of one oneof, the weaker key fails.
func (c *compiler) bind(key, path string) (place, bool) {
	p, ok := c.resolve(key, path)
	if !ok {
		return place{}, false
	}

	var prefix []string

	for _, s := range p.steps {
		if !c.decide(key, prefix, s.field) {
			return place{}, false
		}

		prefix = s.tokens(prefix)
	}

	if other := c.binder.closed.add(prefix, &membership{key: key, reason: "it is set by the route"}); other != nil {
		c.failf(key, "%s is bound by %s already", shown(path), other.key)
		return place{}, false
	}
	return p, true
}

// decision is a oneof's member that the route sets.
type decision struct {
	prefix []string
	member protoreflect.FieldDescriptor
	key    string
}

// decide records that a key binds a field or something beneath it, and so decides the field's oneof. It
// returns false if another member was decided.
func (c *compiler) decide(key string, prefix []string, member protoreflect.FieldDescriptor) bool {
	oneof := realOneof(member)
	if oneof == nil {
		return true
	}

	for _, d := range c.decisions {
		if realOneof(d.member) != oneof || !slices.Equal(d.prefix, prefix) {
			continue
		}

		if d.member == member {
			return true
		}

		c.failf(key, "%s and %s, which %s binds, are of the oneof %s: only one can be set",
			member.Name(), d.member.Name(), d.key, oneof.Name())
		return false
	}

	c.decisions = append(c.decisions, decision{prefix: slices.Clone(prefix), member: member, key: key})
	return true
}

// closeSiblings closes the other members of decided oneofs.
func (c *compiler) closeSiblings() {
	for _, d := range c.decisions {
		oneof := realOneof(d.member)
		reason := fmt.Sprintf("the route sets %s of the oneof %s", d.member.Name(), oneof.Name())

		for i := range oneof.Fields().Len() {
			if sibling := oneof.Fields().Get(i); sibling != d.member {
				tokens := append(slices.Clone(d.prefix), string(sibling.Name()))
				c.binder.closed.add(tokens, &membership{key: d.key, reason: reason})
			}
		}
	}
}

// realOneof returns the oneof of a field. It returns nil for a synthetic oneof, which only gives a
// proto3 field presence.
func realOneof(f protoreflect.FieldDescriptor) protoreflect.OneofDescriptor {
	if oneof := f.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
		return oneof
	}
	return nil
}

func (c *compiler) bindSet(set map[string]any) {
	for _, path := range slices.Sorted(maps.Keys(set)) {
		if constant, ok := c.bindConstant(keyOf("request.set", path), path, set[path]); ok {
			c.binder.set = append(c.binder.set, constant)
		}
	}
}

// bindConstant binds a field to a configured value.
func (c *compiler) bindConstant(key, path string, value any) (constant, bool) {
	p, ok := c.bind(key, path)
	if !ok {
		return constant{}, false
	}

	bound, err := c.binder.parseConstant(p, value)
	if err != nil {
		c.failf(key, "%v", err)
		return constant{}, false
	}
	return bound, true
}

func (c *compiler) bindParams(paths []string) {
	for _, path := range paths {
		p, ok := c.bind("path", path)
		if !ok {
			continue
		}

		if p.keyed() || p.repeated() || !takesText(p.field()) {
			c.failf("path", "%s is %s; a path variable needs a field with a single value", shown(path), kindOf(p))
			continue
		}

		c.binder.params = append(c.binder.params, source{name: path, place: p})
	}
}

func (c *compiler) bindHeaders(headers map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key, path := keyOf("request.headers", name), headers[name]

		p, ok := c.bind(key, path)
		if !ok {
			continue
		}

		canonicalName := http.CanonicalHeaderKey(name)
		if slices.ContainsFunc(c.binder.headers, func(s source) bool { return s.name == canonicalName }) {
			c.failf(key, "the header is bound twice")
			continue
		}

		c.binder.headers = append(c.binder.headers, source{name: canonicalName, place: p})
	}
}

// open returns the fields that a source may set.
func (c *compiler) open(source string, fields Fields) openness {
	if fields.All {
		return openness{all: true}
	}

	o := openness{}

	for i, path := range fields.Paths {
		key := fmt.Sprintf("%s[%d]", source, i)

		p, ok := c.resolve(key, path)
		if !ok {
			continue
		}

		if by := c.binder.closed.at(p.tokens()).covered(); by != nil {
			c.failf(key, "%s is closed to clients by %s: %s", shown(path), by.key, by.reason)
			continue
		}

		if o.only == nil {
			o.only = &fieldSet{}
		}

		if other := o.only.add(p.tokens(), &membership{key: key}); other != nil {
			c.failf(key, "%s is listed twice, itself or with what is beneath it", shown(path))
		}
	}
	return o
}

// kindOf describes a place that a path variable or a cursor does not fit.
func kindOf(p place) string {
	f := p.field()

	switch {
	case p.keyed():
		return "in a map"
	case f.IsMap():
		return "a map"
	case f.IsList():
		return "repeated"
	case f.Message() != nil:
		return "a " + string(f.Message().FullName())
	case f.Enum() != nil:
		return "an enum"
	default:
		return "a " + f.Kind().String()
	}
}
