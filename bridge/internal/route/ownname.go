package route

import (
	"slices"
	"strings"
)

// OwnName returns an Error's Field in the spelling of the route or the schema, so that it is safe to
// log: a client can write anything into Field. The path ends at the first list or map, since a map's
// key comes from the client. OwnName writes unknown for a name that the route does not have.
func (b *Binder) OwnName(name, unknown string) string {
	if b.hasHeader(name) {
		return name
	}

	var known []string

	for message := b.input; ; {
		first := name[:indexAny(name, ".[")]

		f := fieldByName(message, first)
		if f == nil {
			return strings.Join(append(known, unknown), ".")
		}

		known = append(known, string(f.Name()))
		message = (&step{field: f}).fields()

		if name = name[len(first):]; message == nil || !strings.HasPrefix(name, ".") {
			return strings.Join(known, ".")
		}

		name = name[1:]
	}
}

// hasHeader reports whether the route reads a header with this lower-case name.
func (b *Binder) hasHeader(name string) bool {
	return name == contentType || name == contentEncoding ||
		slices.ContainsFunc(b.headers, func(s source) bool { return strings.ToLower(s.name) == name }) ||
		slices.ContainsFunc(b.metadata, func(f forwarded) bool { return f.name == name })
}
