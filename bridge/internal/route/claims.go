package route

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Client is what is known of a client besides its request. The zero Client is anonymous.
type Client struct {
	// Claims finds a claim by its path, as decoded JSON; nil: there are none.
	Claims func(path string) (value any, found bool)
	// Token is the verified credential as the request has it. In forwarded headers it does not count
	// towards Bound.Identity, so that a renewed token is the same client; what it proves has to count
	// elsewhere.
	Token string
}

// bindClaims binds fields to claims.
func (c *compiler) bindClaims(claims map[string]string) {
	for _, claim := range slices.Sorted(maps.Keys(claims)) {
		if p, ok := c.bind(keyOf("request.claims", claim), claims[claim]); ok {
			c.binder.claims = append(c.binder.claims, source{name: claim, place: p})
		}
	}
}

// bindClaims sets the fields that claims are bound to. A claim that is missing, or does not fit its field,
// refuses the request: an unset field might mean everything to the backend.
func (b *Binder) bindClaims(m protoreflect.Message, who Client) error {
	for _, s := range b.claims {
		var value any
		if who.Claims != nil {
			value, _ = who.Claims(s.name)
		}
		if value == nil {
			return denied("the credentials lack the claim %s", shown(s.name))
		}
		bound, err := b.parseConstant(s.place, listOf(s.place, s.name, value))
		if err != nil {
			return denied("the claim %s does not fit the field that the route binds to it", shown(s.name))
		}
		bound.put(m)
	}
	return nil
}

// listOf returns a claim's value in the form that its place needs: one value, or the words of scope, may
// stand for a list.
func listOf(p place, claim string, value any) any {
	text, isText := value.(string)
	switch {
	case !p.repeated():
		return value
	case isText && claim == "scope":
		var words []any
		for word := range strings.FieldsSeq(text) {
			words = append(words, word)
		}
		return words
	}
	if _, isList := value.([]any); isList {
		return value
	}
	return []any{value}
}

// denied returns a 403 about the client's claims. It has none of their values.
func denied(format string, args ...any) error {
	return &Error{Status: http.StatusForbidden, Message: fmt.Sprintf(format, args...)}
}
