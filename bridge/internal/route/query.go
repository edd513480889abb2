package route

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxTexts is how many query parameters may be JSON. Each one takes some 20 µs.
const maxTexts = 1000

// bindQuery sets the fields of the query. It follows the URL standard (WHATWG URL,
// application/x-www-form-urlencoded): only "&" separates parameters. It keeps their order, so that the
// first error is stable.
func (b *Binder) bindQuery(m protoreflect.Message, raw string, given *ledger) error {
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}

		rawName, rawText, _ := strings.Cut(pair, "=")

		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return badRequest("the query has the malformed name %s", quoted(rawName))
		}

		if slices.Contains(b.reserved, name) {
			continue
		}

		if err := b.bindParameter(m, name, rawText, given); err != nil {
			return err
		}
	}
	return nil
}

// bindParameter sets the field of one parameter. A name that the query may not set is an error, unless
// the route ignores it; its value is not read then.
func (b *Binder) bindParameter(m protoreflect.Message, name, rawText string, given *ledger) error {
	p, refusal := b.openPlace(name)
	if refusal != nil {
		if b.ignores(name) {
			return nil
		}
		return refusal()
	}

	text, err := url.QueryUnescape(rawText)
	if err != nil {
		return badField(name, "malformed percent-encoding: %s", quoted(rawText))
	}

	node, err := noteParameter(given, p, name)
	if err != nil {
		return err
	}

	if isJSON(p.field(), text) {
		if given.texts++; given.texts > maxTexts {
			return badField(name, "the query has more than %d parameters that are JSON", maxTexts)
		}

		err = b.bindJSON(m, p, name, text, node)
	} else {
		err = bindText(m, p, name, text)
	}

	if err == nil {
		node.from = fromQuery
	}
	return err
}

// ignores reports whether a name matches one of the route's ignored patterns.
func (b *Binder) ignores(name string) bool {
	return slices.ContainsFunc(b.ignored, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// bindText sets a field from a text.
func bindText(m protoreflect.Message, p place, name, text string) error {
	f := p.field()

	v, err := parseText(f, text)
	if err != nil {
		hint := ""
		if strings.Contains(text, " ") && kindOfText(f) == bytesForm {
			hint = "; a plus sign is sent as %2B"
		}
		return badField(name, "%v%s", err, hint)
	}

	p.put(m, v)
	return nil
}

// bindJSON sets the fields that a JSON text names and that are open to the query.
func (b *Binder) bindJSON(m protoreflect.Message, p place, name, text string, node *ledger) error {
	if hint := hintFor(p.field(), name, text); hint != "" {
		return badField(name, "%s", hint)
	}

	tokens := p.tokens()
	at := &spot{
		up: &spot{}, written: name, depth: len(p.steps),
		closed: b.closed.at(tokens), open: b.query.at(tokens),
	}

	if f := p.field(); f.IsMap() || !f.IsList() && !isOpaque(f.Message()) {
		at.given = node // other parameters and the body may set other parts
	}

	value, err := b.readJSON(p, text, at, fromQuery)
	if err == nil {
		merge(p.parent(m), value)
	}
	return err
}

// kindOfText describes the text form of a field.
func kindOfText(f protoreflect.FieldDescriptor) string {
	if f.Message() != nil {
		return scalarForm(f.Message())
	}
	return kindForm(f.Kind())
}

// ignoreHint ends the error about an unknown name. Other sites append names to a page's URL, and the
// 400 stops an EventSource for good. The hint addresses the operator, since the page's author cannot
// change the route.
const ignoreHint = " (for the operator: the route's request.ignore lists names to ignore)"

// unresolved returns the error for a name that resolvePlace refused.
func (b *Binder) unresolved(name string, err error) error {
	var unknown *unknownFieldError
	if !errors.As(err, &unknown) {
		return badField(name, "%v", err)
	}

	hint := didYouMean(b.suggest(unknown, b.query))
	if hint == "" && b.queryNames != "" {
		hint = "; the query takes " + b.queryNames
	}
	return badField(name, "unknown field%s%s", hint, ignoreHint)
}

// suggest returns the nearest field that is open to the source.
func (b *Binder) suggest(unknown *unknownFieldError, source openness) string {
	tokens := unknown.parent.tokens()
	open, closed := source.at(tokens), b.closed.at(tokens)

	near := nearestField(unknown.message, unknown.name, func(f protoreflect.FieldDescriptor) bool {
		token := string(f.Name())
		return !open.child(token).none() && closed.child(token).covered() == nil
	})
	if near == "" {
		return ""
	}
	return unknown.prefix + near
}

// openPlace finds the place of a name and checks that it is open to the query. If it is not, refusal
// returns the error. Only a caller that reports the error calls it, since a query may have thousands of
// ignored names and searching for the nearest name for each is slow.
func (b *Binder) openPlace(name string) (p place, refusal func() error) {
	refuse := func(format string, args ...any) (place, func() error) {
		return place{}, func() error { return badField(name, format, args...) }
	}

	if b.query.none() {
		return refuse("the route takes no query parameters%s", ignoreHint)
	}

	p, err := resolvePlace(b.input, name)
	if err != nil {
		return place{}, func() error { return b.unresolved(name, err) }
	}

	tokens, f := p.tokens(), p.field()

	closed, open := b.closed.at(tokens), b.query.at(tokens)
	if by := closed.covered(); by != nil {
		return refuse("%s", by.reason)
	}

	// The route may close a part of a message or map, or open only a part; only its JSON shows which
	// parts are set.
	inParts := f.IsMap() || !f.IsList() && f.Message() != nil && !isOpaque(f.Message())

	switch {
	case closed.any() != nil && !inParts:
		return refuse("a part of it is set by the route")
	case open.none() || !open.all && !inParts:
		if b.queryNames != "" {
			return refuse("it is not open to the query, which takes %s", b.queryNames)
		}
		return refuse("it is not open to the query")
	}
	return p, nil
}

// noteParameter returns the ledger of a place. It fails if the query or the body has already set the
// place.
func noteParameter(given *ledger, p place, name string) (*ledger, error) {
	// An opaque message as body is the whole request.
	if given.from == fromBody {
		return nil, badField(name, "it is given in the query, but the body is the whole request")
	}

	for _, s := range p.steps {
		if err := given.choose(s.field, queryName(name)); err != nil {
			return nil, err
		}

		for _, t := range s.tokens(nil) {
			given = given.child(t)
		}
	}

	switch {
	case given.from == fromBody:
		return nil, badField(name, "it is given in both the query and the body")
	case given.from == fromQuery && !p.repeated():
		return nil, badField(name, "it is given twice")
	}
	return given, nil
}
