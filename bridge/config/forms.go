package config

import "reflect"

// The keys with values of several forms.

// decodeNode decodes true, false or a list of field paths.
func (f *Fields) decodeNode(d *decoder, n *node, at place) {
	switch n.kind {
	case kindList:
		d.decodeList(n, reflect.ValueOf(&f.Paths).Elem(), at)
	case kindMap:
		d.fail(d.shown(n, at), at.path, "must be true, false or a list of fields, not a mapping")
	default:
		word, ok := d.word(n, at, "true, false or a list of fields")
		switch {
		case !ok:
		case word == "true":
			f.All = true
		case word != "false":
			d.fail(d.shown(n, at), at.path, "must be true, false or a list of fields")
		}
	}
}

// decodeNode decodes a header's name, or {name:, key:}.
func (m *Metadata) decodeNode(d *decoder, n *node, at place) {
	if n.kind == kindMap {
		d.decodeStruct(n, reflect.ValueOf(m).Elem(), at)
		return
	}
	m.Name = d.text(n, at)
}

// decodeNode decodes a constant, {field:} or {oneof:}.
func (e *EventName) decodeNode(d *decoder, n *node, at place) {
	if n.kind != kindMap {
		e.Constant = d.text(n, at)
		return
	}
	wrong := len(d.errs)
	d.decodeStruct(n, reflect.ValueOf(e).Elem(), at)
	if len(d.errs) > wrong {
		d.failed[at.path] = true // the missing form is a consequence
	}
	if len(n.entries) == 0 {
		d.fail(d.shown(n, at), at.path, "must be a string, {field: PATH} or {oneof: NAME}")
	}
}

// decodeNode decodes {message: true}, {field:} or {oneof:}.
func (e *EventData) decodeNode(d *decoder, n *node, at place) {
	forms := struct {
		Message bool   `yaml:"message"`
		Field   string `yaml:"field"`
		Oneof   string `yaml:"oneof"`
	}{}
	wrong := len(d.errs)
	d.decodeStruct(n, reflect.ValueOf(&forms).Elem(), at)
	if len(d.errs) > wrong {
		d.failed[at.path] = true // the missing form is a consequence
	}
	e.Field, e.Oneof = forms.Field, forms.Oneof

	const want = "must be one of {message: true}, {field: PATH} and {oneof: NAME}"
	_, written := d.values[joinPath(at.path, "message")]
	switch {
	case d.failed[at.path] || d.failed[joinPath(at.path, "message")]:
	case n.kind == kindMap && len(n.entries) == 0,
		written && !forms.Message,
		written && (e.Field != "" || e.Oneof != ""):
		d.fail(d.shown(n, at), at.path, want)
	}
}

// decodeNode decodes reflection, {descriptor_set:} or {proto:}.
func (s *Schema) decodeNode(d *decoder, n *node, at place) {
	const want = "must be reflection, {descriptor_set: FILE} or {proto: {import_paths: [DIR], files: [FILE]}}"
	d.decodeWordOrStruct(n, reflect.ValueOf(s).Elem(), at, want, func(word string) bool { return word == "reflection" })
}

// decodeWordOrStruct decodes a non-empty mapping into a struct, and a string by take, which returns
// false for an unknown word.
func (d *decoder) decodeWordOrStruct(n *node, v reflect.Value, at place, want string, take func(word string) bool) {
	switch n.kind {
	case kindMap:
		d.decodeStruct(n, v, at)
		if len(n.entries) == 0 {
			d.fail(d.shown(n, at), at.path, want)
		}
	case kindString:
		if word, _, ok := d.expanded(n, at); ok && !take(word) {
			d.fail(d.shown(n, at), at.path, want)
		}
	default:
		d.fail(d.shown(n, at), at.path, want)
	}
}

// decodeNode decodes spread, first or {rebalance:}.
func (b *Balance) decodeNode(d *decoder, n *node, at place) {
	const want = "must be spread, first or {rebalance: DURATION}"
	d.decodeWordOrStruct(n, reflect.ValueOf(b).Elem(), at, want, func(word string) bool {
		b.First = word == balanceFirst
		return b.First || word == balanceSpread
	})
}

// The words of Balance.
const (
	balanceSpread = "spread"
	balanceFirst  = "first"
)

// decodeNode decodes true, false or {service:}.
func (h *Health) decodeNode(d *decoder, n *node, at place) {
	const want = "true, false or {service: NAME}"
	if n.kind == kindMap {
		h.On = true
		d.decodeStruct(n, reflect.ValueOf(h).Elem(), at)
		if len(n.entries) == 0 {
			d.fail(d.shown(n, at), at.path, "must be "+want)
		}
		return
	}
	switch word, ok := d.word(n, at, want); {
	case !ok:
	case word == "true":
		h.On = true
	case word != "false":
		d.fail(d.shown(n, at), at.path, "must be "+want)
	}
}

// decodeNode decodes none or a mapping.
func (c *CORS) decodeNode(d *decoder, n *node, at place) {
	const want = "must be none or {origins: [ORIGIN]}"
	d.decodeWordOrStruct(n, reflect.ValueOf(c).Elem(), at, want, func(word string) bool { return word == "none" })
}

// decodeNode decodes one issuer or a list of them. The only issuer of a mapping has the paths of the first
// of a list.
func (i *Issuers) decodeNode(d *decoder, n *node, at place) {
	if n.kind == kindMap {
		*i = make(Issuers, 1)
		here := at.index(0)
		d.values[here.path] = n.at
		d.decodeStruct(n, reflect.ValueOf(&(*i)[0]).Elem(), here)
		return
	}
	d.decodeList(n, reflect.ValueOf((*[]Issuer)(i)).Elem(), at)
}

// decodeNode decodes a mode or a mapping.
func (a *RouteAuth) decodeNode(d *decoder, n *node, at place) {
	const want = "must be none, optional, required or {mode: required, allow: [CONDITION]}"
	d.decodeWordOrStruct(n, reflect.ValueOf(a).Elem(), at, want, func(word string) bool {
		a.Mode = word
		return word == AuthNone || word == AuthOptional || word == AuthRequired
	})
}
