package config

import "strings"

// isIdentifier reports whether s is a protobuf identifier.
func isIdentifier(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '_' {
			return false
		}
	}
	return s != "" && (s[0] < '0' || s[0] > '9')
}

// isDotted reports whether s consists of identifiers joined by dots.
func isDotted(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !isIdentifier(part) {
			return false
		}
	}
	return true
}

// isFieldPath reports whether s can name a field of a message. The first segment is an identifier; a
// later one may be a map key with any printable characters.
func isFieldPath(s string) bool {
	first, rest, nested := strings.Cut(s, ".")
	if !isIdentifier(first) || !nested {
		return isIdentifier(first)
	}
	for part := range strings.SplitSeq(rest, ".") {
		if part == "" {
			return false
		}
	}
	return isPrintable(rest)
}

// isPrintable reports whether s has no control character; spaces are allowed.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 })
}

// isPrintableASCII reports whether s can be a header's value: printable ASCII, without spaces at its
// edges, which a header does not keep.
func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}

// isHeaderName reports whether s is a token of RFC 9110, section 5.6.2.
func isHeaderName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// badMetadataName returns the problem with a name of gRPC metadata, or "". The allowed characters are
// those of the gRPC protocol's Header-Name.
func badMetadataName(name string) string {
	name = strings.ToLower(name) // as in HTTP/2
	switch {
	case name == "":
		return "must not be empty"
	case strings.HasPrefix(name, ":"):
		return `must not begin with ":", which is HTTP/2's own`
	case strings.HasPrefix(name, "grpc-"):
		return "must not begin with grpc-, which is gRPC's own"
	}
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c != '-' && c != '_' && c != '.' {
			return "must be letters, digits, '-', '_' and '.'"
		}
	}
	switch name {
	case "host", "te", "connection", "content-type", "content-length", "user-agent",
		"keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "trailer":
		return "cannot be sent as metadata: it belongs to the connection; remove it"
	}
	return ""
}

// jsonPath returns a field path in proto3 JSON names (room_id is roomId), so that both names of a field
// compare equal.
func jsonPath(path string) string {
	var b strings.Builder
	upper := false
	for i := range len(path) {
		c := path[i]
		switch {
		case c == '_':
			upper = true
			continue
		case upper && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		upper = false
		b.WriteByte(c)
	}
	return b.String()
}

// overlap reports whether two field paths are the same or one contains the other, in either spelling.
func overlap(a, b string) bool {
	a, b = jsonPath(a)+".", jsonPath(b)+"."
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

// pathFields returns the field paths of a path template's {field} and {field=…}. The route stage
// refuses malformed templates.
func pathFields(template string) []string {
	var fields []string
	for {
		_, after, opened := strings.Cut(template, "{")
		inside, rest, closed := strings.Cut(after, "}")
		if !opened || !closed {
			return fields
		}
		field, _, _ := strings.Cut(inside, "=")
		fields = append(fields, strings.TrimSpace(field))
		template = rest
	}
}
