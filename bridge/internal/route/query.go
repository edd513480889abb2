package route

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxTexts is how many parameters of a query may be JSON. Each is read by itself, which
// takes some 20 µs.
const maxTexts = 1000

// bindQuery sets what the query says. It reads the query as browsers write it
// (WHATWG URL, application/x-www-form-urlencoded): only "&" separates, and order
// is kept, so that the first error is always the same.
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

// bindParameter sets the field that a parameter names. A name that the query may not
// set is an error, unless the route ignores it, whatever its value is.
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

// ignores reports whether a name is one of a pattern that the route ignores.
func (b *Binder) ignores(name string) bool {
	return slices.ContainsFunc(b.ignored, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// bindText sets a field to what a text says.
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

// bindJSON sets a field to what a JSON text says, as far as it is open to the query.
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
		at.given = node // what is beneath may come from several parameters, and from the body
	}

	value, err := b.readJSON(p, text, at, fromQuery)
	if err == nil {
		merge(p.around(m), value)
	}

	return err
}

// kindOfText says what the text of a field looks like.
func kindOfText(f protoreflect.FieldDescriptor) string {
	if f.Message() != nil {
		return scalarForm(f.Message())
	}

	return kindForm(f.Kind())
}

// ignoreHint ends the error of a name that the route has no use for: pages get names
// appended by others, and the 400 stops an EventSource for good. The page's author cannot
// write the route, so the hint says that it is the operator's.
const ignoreHint = " (for the operator: the route's request.ignore lists names to ignore)"

// unresolved is the error of a name that names no place.
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

// suggest returns the name that was probably meant, of those open to clients.
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

// openPlace finds the place of a name and checks that it is open to the query. The
// refusal is nil if it is. It is made into an error where it is told only: a query may
// have thousands of names that are ignored, and to find what was meant by each is work.
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

	// A part of a message or a map may be closed, or alone be open: its JSON shows which.
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

// noteParameter returns the ledger of a place and refuses what was given before.
func noteParameter(given *ledger, p place, name string) (*ledger, error) {
	// The body of a message whose JSON has no fields is the whole message.
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
