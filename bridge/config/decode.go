package config

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/ssebridge/ssebridge/internal/nearest"
)

// decoder fills a Config from the nodes of a file. An error does not stop it: it records the error and
// leaves the zero value, so that all errors are reported at once.
type decoder struct {
	src    *source
	lookup lookupFunc
	// values and keys have the positions of each written path's value and key.
	values, keys map[string]position
	// failed are the paths with an invalid value. Validation errors at or below them are only
	// consequences.
	failed map[string]bool
	errs   Errors
}

// nodeDecoder is a type with a YAML form of its own.
type nodeDecoder interface {
	decodeNode(d *decoder, n *node, at place)
}

// fail records an invalid value at a path.
func (d *decoder) fail(at position, path, message string) {
	d.errs = append(d.errs, d.src.errorAt(at, path, message))
	d.failed[path] = true
}

// decodeConfig decodes the file's root.
func (d *decoder) decodeConfig(root *node, c *Config) {
	if root.kind != kindMap {
		if root.kind != kindRefused {
			d.fail(root.at, "", "a configuration is a mapping of keys, such as upstreams: and routes:")
		}
		d.failed[""] = true
		return
	}
	d.decode(root, reflect.ValueOf(c).Elem(), place{})
}

// decode decodes n into v by v's type.
func (d *decoder) decode(n *node, v reflect.Value, at place) {
	if v.Kind() == reflect.Interface { // request.set and resume.set
		if constant := d.constant(n, at); constant != nil {
			v.Set(reflect.ValueOf(constant))
		}
		return
	}
	switch n.kind {
	case kindRefused:
		d.failed[at.path] = true
		return
	case kindNull:
		fix := "leave the key out for the default"
		switch {
		case strings.HasSuffix(at.pattern, "[]"):
			fix = "remove it"
		case at.pattern == "upstreams", at.pattern == "routes":
			fix = "what belongs to it is indented below it"
		}
		d.fail(d.shown(n, at), at.path, "must not be null; "+fix)
		return
	default:
	}
	if own, ok := reflect.TypeAssert[nodeDecoder](v.Addr()); ok {
		own.decodeNode(d, n, at)
		return
	}

	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), at)
	case reflect.Struct:
		d.decodeStruct(n, v, at)
	case reflect.Map:
		d.decodeMap(n, v, at)
	case reflect.Slice:
		d.decodeList(n, v, at)
	case reflect.String:
		v.SetString(d.text(n, at))
	case reflect.Bool:
		v.SetBool(d.boolean(n, at))
	case reflect.Int, reflect.Int64:
		v.SetInt(d.number(n, at, v.Type().Bits()))
	default:
		panic("config: no decoding for " + v.Type().String())
	}
}

// decodeStruct decodes the keys of v's fields and refuses all others.
func (d *decoder) decodeStruct(n *node, v reflect.Value, at place) {
	fields := yamlFields(v.Type())
	for e, here := range d.entries(n, at, place.key) {
		index, known := fields[e.key]
		switch {
		case known:
			d.decode(e.value, v.Field(index), here)
		case isUnsupported(here.pattern, ""):
			d.fail(e.keyAt, here.path, unsupportedKey(e.key))
		default:
			names := append(unsupportedKeys(at.pattern), keysOf(fields)...)
			meant := ""
			if len(d.errs) < maxErrors { // later errors are only counted
				meant = didYouMean(e.key, names)
			}
			d.fail(e.keyAt, here.path, "unknown key "+quoted(e.key)+meant)
			if meant == "" {
				continue
			}
			if near := nearest.Name(e.key, names); near != "" && !n.has(near) {
				d.failed[joinPath(at.path, near)] = true // a misspelt key is not missing
			}
		}
	}
}

// decodeMap decodes a mapping with arbitrary keys.
func (d *decoder) decodeMap(n *node, v reflect.Value, at place) {
	m := reflect.MakeMap(v.Type())
	for e, here := range d.entries(n, at, place.mapKey) {
		if strings.Contains(e.key, "${") {
			d.fail(e.keyAt, here.path, "variables are expanded in values, not in keys; write the key out")
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.decode(e.value, elem, here)
		m.SetMapIndex(reflect.ValueOf(e.key), elem)
	}
	v.Set(m)
}

func (d *decoder) decodeList(n *node, v reflect.Value, at place) {
	if n.kind != kindList {
		d.fail(d.shown(n, at), at.path, mustBe("a list", at.pattern, n.kind))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		here := at.index(i)
		d.values[here.path] = item.at
		d.decode(item, list.Index(i), here)
	}
	v.Set(list)
}

// entries yields the entries of the mapping n, each with its place from below. It refuses duplicate
// keys.
func (d *decoder) entries(n *node, at place, below func(place, string) place) func(func(entry, place) bool) {
	return func(yield func(entry, place) bool) {
		if n.kind != kindMap {
			d.fail(d.shown(n, at), at.path, mustBe("a mapping", at.pattern, n.kind))
			return
		}
		first := make(map[string]int, len(n.entries))
		for _, e := range n.entries {
			here := below(at, e.key)
			if line, again := first[e.key]; again {
				d.fail(e.keyAt, here.path, "duplicate key "+quoted(e.key)+"; it is on line "+strconv.Itoa(line)+" already")
				continue
			}
			first[e.key] = e.keyAt.line
			d.keys[here.path], d.values[here.path] = e.keyAt, e.at()
			if !yield(e, here) {
				return
			}
		}
	}
}

// shown returns the position for an error about n: the position of its entry, if it has one.
func (d *decoder) shown(n *node, at place) position {
	if pos, ok := d.values[at.path]; ok {
		return pos
	}
	return n.at
}

// yamlFields returns the indexes of a struct's fields by key.
func yamlFields(t reflect.Type) map[string]int {
	fields := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" && key != "-" {
			fields[key] = i
		}
	}
	return fields
}

func keysOf(fields map[string]int) []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	return names
}

// quoted quotes a key for an error, cut and without terminal control characters.
func quoted(key string) string {
	const shown = 64
	if runes := []rune(key); len(runes) > shown {
		key = string(runes[:shown]) + "…"
	}
	return strconv.Quote(key)
}
