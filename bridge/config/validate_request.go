package config

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"
)

// request checks which source may set which field of the request message.
func (v *validator) request(r *Route, at place) {
	body := at.key("body")
	posts := slices.ContainsFunc(r.Methods, func(m string) bool { return strings.EqualFold(m, "POST") })
	allowsBody := r.Request.Body != nil && (r.Request.Body.All || len(r.Request.Body.Paths) > 0)
	if !posts && !v.refused(joinPath(parentPath(at.path), "methods")) && v.isWritten(body.path, allowsBody) {
		v.errorf(body.path, "request.body has no effect where methods does not name POST; remove it, or write methods: [GET, POST]")
	}
	bound := v.bindings(r, at)
	v.fields(r.Request.Query, at.key("query"), bound)
	if r.Request.Body != nil {
		v.fields(*r.Request.Body, body, bound)
	}
	v.ignored(r.Request, at.key("ignore"))
	v.forwarded(r, at.key("metadata"))
}

// ignored checks the ignored query names.
func (v *validator) ignored(r Request, at place) {
	for i, name := range r.Ignore {
		path := at.index(i).path
		prefix := strings.TrimSuffix(name, "*")
		switch first := slices.Index(r.Ignore, name); {
		case name == "" || strings.Contains(prefix, "*") || !isPrintable(name):
			v.errorf(path, "must be the name of a query parameter, or its beginning and *, such as utm_*")
		case first < i:
			v.errorf(path, "the same as %s; remove one of them", at.index(first).path)
		case name == "last_event_id" || name == "lastEventId":
			v.errorf(path, "last_event_id and lastEventId carry the id a client resumes from and cannot be ignored; remove it")
		case slices.ContainsFunc(r.Query.Paths, func(p string) bool { return jsonPath(p) == jsonPath(name) }):
			v.errorf(path, "request.query allows this field, so that it cannot be ignored; remove one of the two")
		}
	}
}

// binding is a field that the route binds, and the key that binds it.
type binding struct{ field, key string }

// bindings checks resume, set, the path, claims and headers. No field may have two sources among the last
// four, or within resume, which overrides them. It returns the fields that are closed to query and
// body.
func (v *validator) bindings(r *Route, at place) []binding {
	route := parentPath(at.path)
	var bound []binding
	bind := func(field, path string) {
		key := strings.TrimPrefix(path, route+".")
		for _, b := range bound {
			switch {
			case !overlap(b.field, field):
				continue
			case b.key == key:
				v.errorf(path, "two segments of the path set one field; rename one")
			default:
				v.errorf(path, "two sources for one field: %s and %s; keep one", b.key, key)
			}
			return
		}
		bound = append(bound, binding{field, key})
	}

	if r.Resume != nil {
		resume := place{path: joinPath(route, "resume")}
		if isFieldPath(r.Resume.Field) {
			bind(r.Resume.Field, resume.key("field").path)
		}
		v.constants(r.Resume.Set, resume.key("set"), bind)
		bound = nil
	}
	v.constants(r.Request.Set, at.key("set"), bind)
	for _, field := range pathFields(r.Path) {
		bind(field, joinPath(route, "path"))
	}
	v.claims(r, at.key("claims"), bind)
	headers := at.key("headers")
	for _, name := range slices.Sorted(maps.Keys(r.Request.Headers)) {
		here := headers.mapKey(name)
		v.headerName(name, r.Request.Headers, here)
		if field := r.Request.Headers[name]; isFieldPath(field) {
			bind(field, here.path)
		} else {
			v.errorf(here.path, "must be the path of a field, such as user_id")
		}
	}
	return bound
}

// constants checks fields with constant values, and binds them.
func (v *validator) constants(set map[string]any, at place, bind func(field, path string)) {
	for _, field := range slices.Sorted(maps.Keys(set)) {
		here := at.mapKey(field)
		if !isFieldPath(field) {
			v.errorAtKey(here.path, quoted(field)+" is not the path of a field, such as limit or filter.kind")
			continue
		}
		if _, ok := normalConstant(set[field]); !ok && v.written == nil {
			v.errorf(here.path, "must be nil, a string, a boolean, a number, or a list or a map of those")
		}
		bind(field, here.path)
	}
}

// headerName checks the name of a header that is bound to a field.
func (v *validator) headerName(name string, all map[string]string, at place) {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !isHeaderName(name):
		v.errorAtKey(at.path, quoted(name)+" is not the name of an HTTP header")
		return
	case canonical == "Host" || canonical == "Transfer-Encoding" || canonical == "Trailer" || canonical == "Connection":
		v.errorAtKey(at.path, quoted(name)+" belongs to the connection and cannot be bound to a field; remove it")
		return
	}
	for other := range all {
		if other < name && strings.EqualFold(other, name) {
			v.errorAtKey(at.path, quoted(name)+" and "+quoted(other)+" are the same header; remove one")
		}
	}
}

// fields checks a list of fields that query or body may set.
func (v *validator) fields(f Fields, at place, bound []binding) {
	if f.All && len(f.Paths) > 0 {
		v.errorf(at.path, "allows all fields and lists some; keep one of the two")
	}
	for i, field := range f.Paths {
		path := at.index(i).path
		if !isFieldPath(field) {
			v.errorf(path, "must be the path of a field, such as limit or filter.kind")
			continue
		}
		if first := slices.IndexFunc(f.Paths, func(p string) bool { return jsonPath(p) == jsonPath(field) }); first < i {
			v.errorf(path, "the same field as %s; remove one of them", at.index(first).path)
		}
		if field == "last_event_id" || field == "lastEventId" {
			v.errorf(path, "last_event_id and lastEventId carry the id a client resumes from and reach no field; remove it")
		}
		for _, b := range bound {
			// A parent of a bound field stays open for its other members.
			if strings.HasPrefix(jsonPath(field)+".", jsonPath(b.field)+".") {
				v.noEffect(path, "this field", b.key+", which binds it")
			}
		}
	}
}

// forwarded checks the headers that are forwarded as metadata.
func (v *validator) forwarded(r *Route, at place) {
	static := lowerNames(v.config.Upstreams[r.Upstream].Metadata)
	for i, m := range r.Request.Metadata {
		m.Name = strings.ToLower(m.Name)
		path := at.index(i).path
		if v.has(at.index(i).key("name").path) {
			path = at.index(i).key("name").path
		}
		first := slices.IndexFunc(r.Request.Metadata, func(o Metadata) bool { return strings.EqualFold(o.Name, m.Name) })
		_, sent := static[m.Name]
		switch wrong := badMetadataName(m.Name); {
		case m.Name == "":
			v.errorf(path, "name is required: the header to forward")
		case wrong != "":
			v.errorf(path, "%s", wrong)
		case first < i:
			v.errorf(path, "the same as %s; remove one of them", at.index(first).path)
		case sent:
			v.errorf(path, "two sources for one name: the upstream's metadata sends it with every call; remove one of them")
		case m.Key != nil && *m.Key && neverKey(m.Name) && v.has(at.index(i).key("key").path):
			v.errorf(at.index(i).key("key").path, "this header differs with every request and never keeps clients apart; remove key: true")
		}
	}
}

// neverKey reports whether a forwarded header is never part of a topic's identity.
func neverKey(name string) bool {
	switch name {
	case "x-request-id", "traceparent", "tracestate", "baggage":
		return true
	default:
		return false
	}
}
