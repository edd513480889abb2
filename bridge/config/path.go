package config

import (
	"strconv"
	"strings"
)

// place is the decoder's position in the configuration. path is the form in errors. pattern has [] for
// every index and * for every map key; it identifies a key in the tables of this package.
type place struct{ path, pattern string }

// key returns the place of a struct's key.
func (p place) key(name string) place {
	return place{path: joinPath(p.path, name), pattern: joinPath(p.pattern, name)}
}

// mapKey returns the place of a map's key.
func (p place) mapKey(name string) place {
	return place{path: joinPath(p.path, name), pattern: p.pattern + ".*"}
}

// index returns the place of a list's element.
func (p place) index(i int) place {
	return place{path: indexPath(p.path, i), pattern: p.pattern + "[]"}
}

// joinPath returns the path of key below parent.
func joinPath(parent, key string) string {
	switch {
	case !isPlainKey(key):
		return parent + "[" + strconv.Quote(key) + "]"
	case parent == "":
		return key
	default:
		return parent + "." + key
	}
}

// indexPath returns the path of element i of the list at parent.
func indexPath(parent string, i int) string {
	return parent + "[" + strconv.Itoa(i) + "]"
}

// isPlainKey reports whether key needs no quotes in a path.
func isPlainKey(key string) bool {
	for i := range len(key) {
		if c := key[i]; !isAlnum(c) && c != '_' && c != '-' {
			return false
		}
	}
	return key != ""
}

// parentPath returns path without its last segment; "" is the whole configuration. It shortens
// malformed paths too, so that loops over parents end.
func parentPath(path string) string {
	if strings.HasSuffix(path, `"]`) {
		for i := strings.Index(path, `["`); i >= 0; {
			quoted, err := strconv.QuotedPrefix(path[i+1:])
			if err != nil {
				break
			}
			end := i + 1 + len(quoted) + len("]")
			if end >= len(path) {
				return path[:i]
			}
			next := strings.Index(path[end:], `["`)
			if next < 0 {
				break
			}
			i = end + next
		}
	}
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// lastKey returns the name of path's last segment.
func lastKey(path string) string {
	return strings.TrimPrefix(path[len(parentPath(path)):], ".")
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
