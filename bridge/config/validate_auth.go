package config

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

const (
	maxIssuers    = 100
	maxConditions = 100
	leastSecret   = 32 // bytes, RFC 7518, section 3.2
)

// auth checks the credentials that there are.
func (v *validator) auth() {
	issuers, at := v.config.Auth.JWT, place{}.key("auth").key("jwt")
	if len(issuers) > maxIssuers {
		v.errorf(at.path, "must be at most %d issuers", maxIssuers)
	}
	if len(issuers) == 0 && v.has(at.path) && !v.refused(at.path) {
		v.errorf(at.path, "at least one issuer is needed, such as %s", exampleOf(at.pattern))
	}
	for n, i := range issuers {
		here := at.index(n)
		if first := slices.IndexFunc(issuers, func(o Issuer) bool { return o.Issuer == i.Issuer }); first < n && i.Issuer != "" {
			v.errorf(here.key("issuer").path, "the same issuer as %s; give one of them both audiences, or remove one", at.index(first).path)
		}
		v.issuer(i, here)
	}
}

// issuer checks an issuer of tokens.
func (v *validator) issuer(i Issuer, at place) {
	issuer, jwks, secret := at.key("issuer").path, at.key("jwks").path, at.key("secret").path
	switch {
	case v.refused(issuer):
	case i.Issuer == "":
		v.errorf(issuer, "issuer is required: the claim iss of the tokens, such as https://id.example.com")
	case i.JWKS == "" && i.Secret == "" && !v.refused(jwks) && !v.refused(secret) && !isFetchable(i.Issuer):
		v.errorf(issuer, "must be an https:// URL, below which the issuer publishes its metadata; or write jwks or secret")
	}
	switch {
	case i.JWKS == "":
	case i.Secret != "":
		v.errorf(secret, "two kinds of keys: jwks and secret; keep one")
	case !isFetchable(i.JWKS) && !isFileURL(i.JWKS):
		v.errorf(jwks, "must be https://…, file:///path, or http:// of this machine: anybody who changes the keys on their way can sign tokens")
	}
	if i.Secret != "" && len(i.Secret) < leastSecret {
		v.errorf(secret, "must have %d bytes or more; a shorter one can be guessed", leastSecret)
	}
	v.audience(i.Audience, at.key("audience"))
	v.algorithms(i, at.key("algorithms"))
	v.span(at.key("leeway").path, i.Leeway, seconds(600))
	v.duration(at.key("refresh").key("every").path, i.Refresh.Every, seconds(1), 24*hour)
	v.duration(at.key("refresh").key("unknown").path, i.Refresh.Unknown, seconds(1), hour)
	v.tokenPlaces(i.From, at.key("from"))
	v.claimPaths(i.Key, at.key("key"))
	if i.Secret != "" && v.isWritten(at.key("refresh").path, i.Refresh != Refresh{}) && v.written != nil {
		v.errorf(at.key("refresh").path, "has no effect with secret, which is not read again; remove it")
	}
}

// audience checks the names of which a token must have one.
func (v *validator) audience(names []string, at place) {
	if len(names) == 0 && !v.refused(at.path) {
		v.errorf(at.path, "at least one audience is needed: without it a token that the issuer made for another service would be accepted")
	}
	v.distinct(names, at, "the name of this service in the tokens' claim aud")
}

// distinct checks that texts are neither empty nor there twice.
func (v *validator) distinct(texts []string, at place, want string) {
	for n, text := range texts {
		path := at.index(n).path
		switch {
		case v.refused(path):
		case text == "":
			v.errorf(path, "must be %s", want)
		case slices.Index(texts, text) < n:
			v.errorf(path, "is listed twice; remove one")
		}
	}
}

// algorithms checks the accepted algorithms.
func (v *validator) algorithms(i Issuer, at place) {
	for n, name := range i.Algorithms {
		here := at.index(n)
		isHMAC := slices.Contains(symmetric(), name)
		switch {
		case v.refused(here.path):
		case !isHMAC && !slices.Contains(asymmetric(), name):
			v.enum(here, name)
		case isHMAC && i.Secret == "" && !v.refused(at.path):
			v.errorf(here.path, "needs secret: the key that verifies such a token also signs one, so it is in no key set")
		case !isHMAC && i.Secret != "":
			v.errorf(here.path, "needs jwks in place of secret, which is for HS256, HS384 and HS512")
		case slices.Index(i.Algorithms, name) < n:
			v.errorf(here.path, "is listed twice; remove one")
		}
	}
}

// tokenPlaces checks where a token may be.
func (v *validator) tokenPlaces(places []string, at place) {
	v.distinct(places, at, "header, cookie:NAME or query:NAME")
	for n, where := range places {
		path := at.index(n).path
		kind, name, named := strings.Cut(where, ":")
		switch {
		case v.refused(path), where == "":
		case kind == "header" && !named, (kind == "cookie" || kind == "query") && isHeaderName(name):
			if name == "last_event_id" || name == "lastEventId" {
				v.errorf(path, "last_event_id and lastEventId carry the id a client resumes from; choose another name")
			}
		default:
			v.errorf(path, "must be header, cookie:NAME or query:NAME")
		}
	}
}

// claimPaths checks a list of paths of claims.
func (v *validator) claimPaths(paths []string, at place) {
	v.distinct(paths, at, "the path of a claim, such as sub or org.id")
}

// routeAuth checks who may use a route.
func (v *validator) routeAuth(r *Route, at place) {
	mode := at.key("mode")
	isLong := v.has(mode.path) || len(r.Auth.Allow) > 0 || v.has(at.key("allow").path)
	if isLong {
		if r.Auth.Mode == "" && !v.refused(mode.path) && !v.refused(at.path) {
			v.errorf(mode.path, "mode is required: %s", oneOf(allowedValues(mode.pattern)))
		}
		v.enum(mode, r.Auth.Mode)
	} else if r.Auth.Mode != "" && !slices.Contains(allowedValues(mode.pattern), r.Auth.Mode) {
		v.errorf(at.path, "must be %s", oneOf(allowedValues(mode.pattern)))
	}
	allow := at.key("allow")
	if len(r.Auth.Allow) > 0 && r.Auth.Mode != AuthRequired && !v.refused(mode.path) {
		v.errorf(allow.path, "needs mode: required: an anonymous client has no claims that could meet a condition")
	}
	if len(r.Auth.Allow) > maxConditions {
		v.errorf(allow.path, "must be at most %d conditions", maxConditions)
	}
	for n, c := range r.Auth.Allow {
		v.condition(c, pathFields(r.Path), allow.index(n))
	}
}

// condition checks a condition on a claim. variables are those of the route's path.
func (v *validator) condition(c Condition, variables []string, at place) {
	if c.Claim == "" && !v.refused(at.key("claim").path) {
		v.errorf(at.key("claim").path, "claim is required: the path of a claim, such as scope or org.id")
	}
	kinds := 0
	count := func(key string, isSet bool) {
		if isSet || v.has(at.key(key).path) {
			kinds++
		}
	}
	count("equals", c.Equals != "")
	count("in", len(c.In) > 0)
	count("has", c.Has != "")
	count("exists", c.Exists)
	if kinds != 1 && !v.refused(at.path) {
		v.errorf(at.path, "must have one of equals, in, has and exists")
	}
	if at := at.key("exists").path; v.has(at) && !c.Exists && !v.refused(at) {
		v.errorf(at, "must be true; a claim that must not be there is no condition")
	}
	v.conditionValue(c.Equals, variables, at.key("equals").path)
	v.conditionValue(c.Has, variables, at.key("has").path)
	if in := at.key("in"); v.has(in.path) && len(c.In) == 0 && !v.refused(in.path) {
		v.errorf(in.path, "at least one value is needed")
	}
	v.distinct(c.In, at.key("in"), "a value of the claim")
}

// conditionValue checks the value of a condition, which may stand for a variable of the path.
func (v *validator) conditionValue(value string, variables []string, path string) {
	name, isVariable := strings.CutPrefix(value, "{")
	name = strings.TrimSuffix(name, "}")
	switch {
	case v.refused(path):
	case value == "" && v.has(path):
		v.errorf(path, "must not be empty")
	case isVariable && !slices.Contains(variables, name):
		v.errorf(path, "is no variable of the path%s", didYouMean(name, variables))
	}
}

// claims checks the claims that are bound to fields, and binds those.
func (v *validator) claims(r *Route, at place, bind func(field, path string)) {
	mode := joinPath(parentPath(parentPath(at.path)), "auth")
	if len(r.Request.Claims) > 0 && r.Auth.Mode != AuthRequired && !v.refused(mode) {
		v.errorf(at.path, "request.claims needs auth: required: an anonymous client has no claims")
	}
	for _, claim := range slices.Sorted(maps.Keys(r.Request.Claims)) {
		here := at.mapKey(claim)
		if claim == "" {
			v.errorAtKey(here.path, "must be the path of a claim, such as sub or org.id")
			continue
		}
		if field := r.Request.Claims[claim]; isFieldPath(field) {
			bind(field, here.path)
		} else {
			v.errorf(here.path, "must be the path of a field, such as user_id")
		}
	}
}

// isFetchable reports whether keys may be read from a URL: by HTTPS, or in clear from this machine.
func isFetchable(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isThisMachine(u.Hostname())
}

// isThisMachine reports whether a host is a name or an address of the loopback interface.
func isThisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// isFileURL reports whether a URL names a file by its absolute path.
func isFileURL(text string) bool {
	name, isFile := strings.CutPrefix(text, "file://")
	return isFile && strings.HasPrefix(name, "/") && len(name) > 1
}
