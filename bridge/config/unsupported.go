package config

// unsupported is what the configuration's contract has and this release lacks. It is
// refused by name, never accepted and ignored. Lifting one is to remove its line.
//
// A pattern is a path with [] for every index and * for every name of a map. With a
// value, only that value of the key is refused.
func unsupported() []limitation {
	return []limitation{
		{pattern: "cors"},
		{pattern: "auth"},
		{pattern: "upstreams.*.protocol", value: "grpcweb"},
		{pattern: "upstreams.*.protocol", value: "connect"},
		{pattern: "routes[].auth", value: "required"},
		{pattern: "routes[].request.claims"},
	}
}

type limitation struct{ pattern, value string }

// isUnsupported says whether a key, or with a value that value of it, is refused.
func isUnsupported(pattern, value string) bool {
	for _, l := range unsupported() {
		if l.pattern == pattern && l.value == value {
			return true
		}
	}

	return false
}

// unsupportedKeys are the names of the keys directly below a pattern that are refused.
func unsupportedKeys(parent string) []string {
	var names []string
	for _, l := range unsupported() {
		if l.value == "" && parentPath(l.pattern) == parent {
			names = append(names, lastKey(l.pattern))
		}
	}

	return names
}

func unsupportedKey(key string) string { return key + " is not supported yet; remove it" }

// unsupportedValue is told of a value that stands in the list above, so it is no
// secret.
func unsupportedValue(pattern, value string) string {
	return value + " is not supported yet; must be " + oneOf(allowedValues(pattern))
}
