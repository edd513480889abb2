package auth

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// Identity is who a request comes from. A nil Identity is anonymous.
type Identity struct {
	Claims Claims
	Key    Key
	// Expires is when the credential ceases to prove anything; zero: never.
	Expires time.Time
	// Token is the credential as the request has it, which a refreshed one replaces; empty: none.
	Token string
	Place Place // of the token
	// Ambient is set if a browser sends the credential with requests of any page, as it does a cookie.
	Ambient bool
}

// Place is where a request may have a token: the header Authorization, or a cookie, or a query
// parameter of the given name. The zero Place is the header.
type Place struct{ Cookie, Query string }

// errTwice says that a request has two credentials where only one is meant.
var errTwice = errors.New("two credentials in one place")

// Token returns the token that a request has at a place, or "" if it has none. An error says that it has
// more than one.
func (p Place) Token(r *http.Request) (string, error) {
	switch {
	case p.Cookie != "":
		found := r.CookiesNamed(p.Cookie)
		if len(found) == 0 {
			return "", nil
		}
		if len(found) > 1 {
			return "", errTwice
		}
		return found[0].Value, nil
	case p.Query != "":
		if !strings.Contains(r.URL.RawQuery, p.Query) {
			return "", nil // most requests: no parsing
		}
		found := r.URL.Query()[p.Query]
		if len(found) == 0 {
			return "", nil
		}
		if len(found) > 1 {
			return "", errTwice
		}
		return found[0], nil
	}
	lines := r.Header["Authorization"]
	if len(lines) > 1 {
		return "", errTwice
	}
	if len(lines) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil // another scheme is no credential of the bridge's
	}
	return strings.TrimLeft(token, " "), nil
}
