package route

import (
	"slices"
	"strings"
)

// OwnName returns the name of an Error's Field as the route or the schema spells it, so
// that it can be logged: the client may have written anything. Field paths end at the
// first list or map, since a key of a map is the client's. What the route does not have is unknown.
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

// hasHeader reports whether a name is that of a header that the route reads, in lower case.
func (b *Binder) hasHeader(name string) bool {
	return name == contentType || name == contentEncoding ||
		slices.ContainsFunc(b.headers, func(s source) bool { return strings.ToLower(s.name) == name }) ||
		slices.ContainsFunc(b.metadata, func(f forwarded) bool { return f.name == name })
}
