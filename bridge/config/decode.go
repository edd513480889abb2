package config

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/ssebridge/ssebridge/internal/nearest"
)

// decoder fills a Config from the nodes of a file. It never stops at an error: what is
// wrong is noted and left at its zero value, so that all errors are told at once.
type decoder struct {
	src    *source
	lookup lookupFunc
	// values and keys are where each path that was written is shown.
	values, keys map[string]position
	// failed are the paths whose value could not be taken. An error that validation
	// finds at or below one would only be a consequence.
	failed map[string]bool
	errs   Errors
}

// nodeDecoder is a type with a YAML form of its own.
type nodeDecoder interface {
	decodeNode(d *decoder, n *node, at place)
}

// fail notes that the value at a path cannot be taken.
func (d *decoder) fail(at position, path, message string) {
	d.errs = append(d.errs, d.src.errorAt(at, path, message))
	d.failed[path] = true
}

// decodeConfig takes the file's root.
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

// decode takes n as v, whatever v's type is.
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

// decodeStruct takes the keys that v has and refuses the others.
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
			if len(d.errs) < maxErrors { // later ones are counted, not shown
				meant = didYouMean(e.key, names)
			}
			d.fail(e.keyAt, here.path, "unknown key "+quoted(e.key)+meant)
			if meant == "" {
				continue
			}
			if near := nearest.Name(e.key, names); near != "" && !n.has(near) {
				d.failed[joinPath(at.path, near)] = true // meant, so not missing
			}
		}
	}
}

// decodeMap takes every key as a name.
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

// entries are the keys of the mapping n, each with its place by below. A key that was
// there before is refused.
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

// shown is where an error about n is shown: where its entry is, if it has one.
func (d *decoder) shown(n *node, at place) position {
	if pos, ok := d.values[at.path]; ok {
		return pos
	}

	return n.at
}

// yamlFields are the indexes of a struct's fields by their keys.
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

// quoted is a key in a message, bounded and without what a terminal would obey.
func quoted(key string) string {
	const shown = 64
	if runes := []rune(key); len(runes) > shown {
		key = string(runes[:shown]) + "…"
	}

	return strconv.Quote(key)
}
