package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Bounds of CORS.
const (
	maxOrigins     = 1000
	maxCORSHeaders = 100
)

// The origins that are no address.
const (
	anyOrigin  = "*"
	nullOrigin = "null"
)

// cors checks who may read answers from other origins.
func (v *validator) cors(c *CORS, at place) {
	if c == nil || v.refused(at.path) {
		return
	}
	origins := at.key("origins")
	if len(c.Origins) == 0 {
		isWritten := func(key string) bool { return v.has(at.key(key).path) }
		if c.Credentials || len(c.Headers) > 0 || len(c.Expose) > 0 || c.MaxAge != nil ||
			slices.ContainsFunc([]string{"origins", "credentials", "headers", "expose"}, isWritten) {
			v.errorf(origins.path, "at least one origin is required, such as https://app.example.com; cors: none allows none")
		}
		return
	}
	if len(c.Origins) > maxOrigins {
		v.errorf(origins.path, "must be at most %d origins", maxOrigins)
	}
	for i, origin := range c.Origins {
		path := origins.index(i).path
		switch problem := originProblem(origin); {
		case v.refused(path):
		case problem != "":
			v.errorf(path, "%s", problem)
		case slices.Index(c.Origins, origin) < i:
			v.errorf(path, "the origin is listed twice; remove one")
		case origin == anyOrigin && c.Credentials:
			v.errorf(path, "* is not allowed with credentials: name the origins")
		case origin == anyOrigin && len(c.Origins) > 1:
			v.errorf(path, "* allows every origin; remove it or the others")
		}
	}
	v.headerNames(c.Headers, at.key("headers"))
	v.headerNames(c.Expose, at.key("expose"))
	v.span(at.key("max_age").path, c.MaxAge, 24*hour)
}

// headerNames checks a list of names of headers.
func (v *validator) headerNames(names []string, at place) {
	if len(names) > maxCORSHeaders {
		v.errorf(at.path, "must be at most %d headers", maxCORSHeaders)
	}
	for i, name := range names {
		path := at.index(i).path
		switch {
		case v.refused(path):
		case name == "*":
			v.errorf(path, "must be a header's name: * is none where credentials are sent; name each header")
		case !isHeaderName(name):
			v.errorf(path, "must be a header's name")
		case slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) < i:
			v.errorf(path, "the header is listed twice; remove one")
		}
	}
}

// originProblem returns why a text is no origin as browsers send it (RFC 6454, section 6.2), or "".
func originProblem(origin string) string {
	if origin == anyOrigin || origin == nullOrigin {
		return ""
	}
	const want = "must be scheme://host[:port], such as https://app.example.com"
	scheme, rest, found := strings.Cut(origin, "://")
	if !found || scheme == "" {
		return want
	}
	rest, isPattern := strings.CutPrefix(rest, "*.")
	if strings.Contains(rest, "*") {
		return "* may only stand for the first label of the host: https://*.example.com"
	}
	u, err := url.Parse(scheme + "://" + rest)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return want
	case u.Path == "/":
		return "must not end in /, since browsers send an origin without it"
	case u.Path != "":
		return want + "; an origin has no path"
	case origin != strings.ToLower(origin):
		return "must be in lower case, as browsers send it"
	case strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "must be in ASCII, as browsers send it (xn--… for other letters)"
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80", strings.HasSuffix(u.Host, ":"):
		return "must not have the scheme's default port, since browsers send an origin without it"
	case u.Port() != "" && !isPort(u.Port()):
		return "must have a port from 1 to 65535, or none"
	case isPattern && !strings.Contains(u.Hostname(), "."):
		return "* may not stand for a domain right below the top: name more of the host"
	case isPattern && isAddress(u.Hostname()):
		return "an address has no labels for * to stand for"
	}
	return ""
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
