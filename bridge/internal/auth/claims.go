package auth

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
)

// Claims are what a provider vouches for about a client, as decoded JSON: strings, bools, json.Number,
// []any and map[string]any. Nobody changes them.
type Claims map[string]any

// Lookup returns the claim at a path, such as sub or org.id. A claim whose own name has dots, such as
// https://example.com/roles, is found by that name.
func (c Claims) Lookup(path string) (value any, found bool) {
	if value, found = c[path]; found {
		return value, true
	}
	for i, r := range path {
		if r != '.' {
			continue
		}
		if inner, isMap := c[path[:i]].(map[string]any); isMap {
			if value, found = Claims(inner).Lookup(path[i+1:]); found {
				return value, true
			}
		}
	}
	return nil, false
}

// isVolatile reports whether a claim differs between two tokens of one client: by when they were issued
// (RFC 7519, section 4.1) and by the login that they come from (OpenID Connect Core, section 2).
func isVolatile(claim string) bool {
	switch claim {
	case "exp", "iat", "nbf", "jti", "auth_time", "nonce", "at_hash", "c_hash", "sid", "session_state":
		return true
	default:
		return false
	}
}

// Key identifies a client for sharing: clients with equal keys may share a stream.
type Key [sha256.Size]byte

// KeyOf returns the key of claims of an issuer. by are the paths of the claims that distinguish clients;
// nil means all claims that a renewed token keeps. With an empty list that is not nil, all clients have
// the zero Key.
func KeyOf(issuer string, claims Claims, by []string) Key {
	if by != nil && len(by) == 0 {
		return Key{}
	}
	kept := map[string]any{}
	if by == nil {
		for name, value := range claims {
			if !isVolatile(name) {
				kept[name] = canonical(name, value)
			}
		}
	}
	for _, path := range by {
		if value, found := claims.Lookup(path); found {
			kept[path] = canonical(path, value)
		}
	}
	// The issuer always counts: another one may call somebody else by the same name.
	text, err := json.Marshal([]any{issuer, kept})
	if err != nil {
		panic(err) // decoded JSON always has a JSON form, with the members of objects in order
	}
	return sha256.Sum256(text)
}

// canonical returns a claim's value in the form in which equal values have equal JSON. The words of
// scope have no order (RFC 6749, section 3.3).
func canonical(name string, value any) any {
	if text, isText := value.(string); isText && name == "scope" {
		words := strings.Fields(text)
		slices.Sort(words)
		return slices.Compact(words)
	}
	return value
}
