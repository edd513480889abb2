package route

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// bindQuery sets what the query says. It reads the query as browsers write it
// (WHATWG URL, application/x-www-form-urlencoded): only "&" separates, and order
// is kept, so that the first error is always the same.
func (b *Binder) bindQuery(m protoreflect.Message, raw string, given *ledger) error {
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}

		name, text, err := unescapePair(pair)
		if err != nil {
			return err
		}

		if slices.Contains(b.reserved, name) {
			continue
		}

		if err := b.bindParameter(m, name, text, given); err != nil {
			return err
		}
	}

	return nil
}

func unescapePair(pair string) (name, text string, err error) {
	rawName, rawText, _ := strings.Cut(pair, "=")

	if name, err = url.QueryUnescape(rawName); err != nil {
		return "", "", badRequest("the query has the malformed name %s", quoted(rawName))
	}

	if text, err = url.QueryUnescape(rawText); err != nil {
		return "", "", badField(name, "malformed percent-encoding: %s", quoted(rawText))
	}

	return name, text, nil
}

func (b *Binder) bindParameter(m protoreflect.Message, name, text string, given *ledger) error {
	if b.query.none() {
		return badField(name, "the route takes no query parameters")
	}

	p, err := resolvePlace(b.input, name)
	if err != nil {
		return b.unresolved(name, err)
	}

	tokens := p.tokens()
	if err := b.checkParameter(p, tokens, name); err != nil {
		return err
	}

	f := p.field()

	v, err := parseText(f, text)
	if err != nil {
		hint := ""
		if strings.Contains(text, " ") && kindOfText(f) == bytesForm {
			hint = "; a plus sign is sent as %2B"
		}

		return badField(name, "%v%s", err, hint)
	}

	if err := noteParameter(given, p, name); err != nil {
		return err
	}

	p.put(m, v)

	return nil
}

// kindOfText says what the text of a field looks like.
func kindOfText(f protoreflect.FieldDescriptor) string {
	if f.Message() != nil {
		return scalarForm(f.Message())
	}

	return kindForm(f.Kind())
}

// unresolved is the error of a name that names no place.
func (b *Binder) unresolved(name string, err error) error {
	var unknown *unknownFieldError
	if !errors.As(err, &unknown) {
		return badField(name, "%v", err)
	}

	return badField(name, "unknown field%s", didYouMean(b.suggest(unknown, b.query)))
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

// checkParameter checks that a place is open to the query and takes a text.
func (b *Binder) checkParameter(p place, tokens []string, name string) error {
	closed := b.closed.at(tokens)
	if by := closed.covered(); by != nil {
		return badField(name, "%s", by.reason)
	}

	if closed.any() != nil {
		return badField(name, "a part of it is set by the route")
	}

	if !b.query.at(tokens).all {
		return badField(name, "it is not open to the query")
	}

	f := p.field()

	switch {
	case takesText(f):
		return nil
	case f.IsMap():
		return badField(name, "it is a map: name a key, as in %s[key]=value", shown(name))
	case beyondText(f):
		return badField(name, "it cannot be sent in a query")
	default:
		return badField(name, "it is an object: name one of its fields")
	}
}

// noteParameter notes what is given and refuses what was given before.
func noteParameter(given *ledger, p place, name string) error {
	// The body of a message whose JSON has no fields is the whole message.
	if given.from == fromBody {
		return badField(name, "it is given in the query, but the body is the whole request")
	}

	for _, s := range p.steps {
		if err := given.choose(s.field, queryName(name)); err != nil {
			return err
		}

		for _, t := range s.tokens(nil) {
			given = given.child(t)
		}
	}

	switch {
	case given.from == fromBody:
		return badField(name, "it is given in both the query and the body")
	case given.from == fromQuery && !p.repeated():
		return badField(name, "it is given twice")
	}

	given.from = fromQuery

	return nil
}
