package config

// unsupported lists the keys and values that the configuration's contract has and this release lacks.
// They are refused by name, never ignored. Supporting one means removing its line.
//
// A pattern is a path with [] for every index and * for every map key. With a value, only that value of
// the key is refused.
func unsupported() []limitation {
	return []limitation{
		{pattern: "auth.forward"},
		{pattern: "auth.mtls"},
		{pattern: "auth.tickets"},
		{pattern: "upstreams.*.protocol", value: "grpcweb"},
		{pattern: "upstreams.*.protocol", value: "connect"},
		{pattern: "routes[].auth.by"},
		{pattern: "routes[].auth.renew"},
	}
}

type limitation struct{ pattern, value string }

// isUnsupported reports whether a key is refused or, with a value, that value of the key.
func isUnsupported(pattern, value string) bool {
	for _, l := range unsupported() {
		if l.pattern == pattern && l.value == value {
			return true
		}
	}
	return false
}

// unsupportedKeys returns the refused keys directly below a pattern.
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

// unsupportedValue returns the message for a value in the list of unsupported. Such a value is not a
// secret, so the message may contain it.
func unsupportedValue(pattern, value string) string {
	return value + " is not supported yet; must be " + oneOf(allowedValues(pattern))
}
