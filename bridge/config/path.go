package config

import (
	"strconv"
	"strings"
)

// place is where the decoder stands: the path of the value, as errors print it, and
// the same with [] for every index and * for every key of a map, by which the keys
// that are not supported yet are listed.
type place struct{ path, pattern string }

// key is the place of a struct's key.
func (p place) key(name string) place {
	return place{path: joinPath(p.path, name), pattern: joinPath(p.pattern, name)}
}

// mapKey is the place of a map's key.
func (p place) mapKey(name string) place {
	return place{path: joinPath(p.path, name), pattern: p.pattern + ".*"}
}

// index is the place of a list's element.
func (p place) index(i int) place {
	return place{path: indexPath(p.path, i), pattern: p.pattern + "[]"}
}

// joinPath is the path of key below parent.
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

// indexPath is the path of element i of the list at parent.
func indexPath(parent string, i int) string {
	return parent + "[" + strconv.Itoa(i) + "]"
}

// isPlainKey says whether key stands in a path without quotes.
func isPlainKey(key string) bool {
	for i := range len(key) {
		if c := key[i]; !isAlnum(c) && c != '_' && c != '-' {
			return false
		}
	}

	return key != ""
}

// parentPath is path without its last segment; "" is the whole configuration. A path
// that is not of this syntax loses something too, so that climbing always ends.
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

// lastKey is the name of path's last segment, for messages that name a key.
func lastKey(path string) string {
	return strings.TrimPrefix(path[len(parentPath(path)):], ".")
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
