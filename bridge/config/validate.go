package config

import (
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

// Bounds of durations. A shorter one is a mistake in the unit; with a longer one nothing would ever
// happen.
const (
	least = Duration(time.Millisecond)
	hour  = Duration(time.Hour)
	month = Duration(30 * 24 * time.Hour)
)

// Bounds of numbers.
const (
	maxClients     = 10_000_000
	maxTopics      = 10_000_000
	maxCatchups    = 1_000_000
	maxUpstreams   = 1000
	maxRoutes      = 10_000
	maxConnections = 1024
	maxOpens       = 1_000_000
	maxRatePerIP   = 1_000_000
	maxAttempts    = 1_000_000
	maxEvents      = 10_000_000
	// maxMessage keeps the transport's limit, four times as large, within an int32.
	maxMessage  = 256 * MiB
	maxRequest  = 64 * MiB
	maxLogBytes = 16 * GiB
	maxReplay   = 1024 * GiB
)

// Validate returns all errors of c that can be found without a schema, as [Errors], or nil. It accepts
// a Config with or without its defaults. The bridge itself checks that path templates are well-formed
// and distinct.
//
// A key that has no effect because of other keys is an error. In a Config filled in Go, a key counts as written
// if its value is not the default; Parse knows the written keys.
func (c Config) Validate() error {
	return validate(&c, nil, nil).orNil()
}

// validate checks c. written reports whether the file has a key, and failed whether its value, or a
// parent, is invalid; both are nil without a file.
func validate(c *Config, written, failed func(path string) bool) Errors {
	v := &validator{config: c, written: written, failed: failed}
	v.addresses()
	v.serverTLS()
	v.trustedProxies()
	v.cors(v.config.CORS, place{}.key("cors"))
	v.auth()
	v.limits()
	v.drain()
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		v.upstream(name, place{}.key("upstreams").mapKey(name))
	}
	for i := range c.Routes {
		v.route(&c.Routes[i], place{}.key("routes").index(i))
	}
	v.count("upstreams", len(c.Upstreams), maxUpstreams)
	v.count("routes", len(c.Routes), maxRoutes)
	return v.errs
}

// validator collects errors. Its messages contain no values: a value may be a secret from the
// environment, and the snippet shows the line as written.
type validator struct {
	config  *Config
	written func(path string) bool
	failed  func(path string) bool
	errs    Errors
}

func (v *validator) errorf(path, format string, args ...any) {
	v.errs = append(v.errs, Errorf(path, format, args...))
}

// errorAtKey adds an error about a map's key itself.
func (v *validator) errorAtKey(path, message string) {
	v.errs = append(v.errs, &Error{Path: path, Message: message, atKey: true})
}

// isWritten reports whether the file has the key at path; without a file, whether the value differs from
// its default.
func (v *validator) isWritten(path string, differs bool) bool {
	if v.written != nil {
		return v.written(path)
	}
	return differs
}

// noEffect reports a key without effect because of another key of its route.
func (v *validator) noEffect(path, key, other string) {
	v.errorf(path, "%s has no effect with %s; remove one of them", key, other)
}

// has reports whether the file has the key at path; it is false for a Config filled in Go.
func (v *validator) has(path string) bool {
	return v.written != nil && v.written(path)
}

// refused reports whether the file's value at path is invalid, so that its zero value means nothing.
func (v *validator) refused(path string) bool {
	return v.failed != nil && v.failed(path)
}

// omitted reports whether a zero value was left out, so that the default applies.
func (v *validator) omitted(path string, isZero bool) bool {
	return isZero && !v.has(path)
}

// number checks a number whose zero means its default.
func (v *validator) number(path string, value, most int) {
	if !v.omitted(path, value == 0) && (value < 1 || value > most) {
		v.errorf(path, "must be from 1 to %d", most)
	}
}

// limit checks a number whose zero means no limit.
func (v *validator) limit(path string, value, most int) {
	if value < 0 || value > most {
		v.errorf(path, "must be from 0, which is no limit, to %d", most)
	}
}

// size checks a size whose zero means its default.
func (v *validator) size(path string, value, most Size) {
	if !v.omitted(path, value == 0) && (value < KiB || value > most) {
		v.errorf(path, "must be from %s to %s", KiB, most)
	}
}

// duration checks a duration whose zero means its default.
func (v *validator) duration(path string, value, from, most Duration) {
	if !v.omitted(path, value == 0) && (value < from || value > most) {
		v.errorf(path, "must be from %s to %s", from, most)
	}
}

// span checks a duration that may be zero; nil means its default.
func (v *validator) span(path string, value *Duration, most Duration) {
	if value != nil && (*value < 0 || *value > most) {
		v.errorf(path, "must be from 0s to %s", most)
	}
}

// enum checks a string with a few allowed values; empty means its default.
func (v *validator) enum(at place, value string) {
	allowed := allowedValues(at.pattern)
	switch {
	case v.omitted(at.path, value == ""), slices.Contains(allowed, value):
	case isUnsupported(at.pattern, value):
		v.errs = append(v.errs, &Error{Path: at.path, Message: unsupportedValue(at.pattern, value)})
	default:
		v.errorf(at.path, "must be %s", oneOf(allowed))
	}
}

// oneOf joins words as "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// count checks that n is at least one and at most most.
func (v *validator) count(key string, n, most int) {
	switch {
	case n == 0:
		v.errorf(key, "at least one is needed")
	case n > most:
		v.errorf(key, "at most %d are allowed", most)
	}
}

func (v *validator) limits() {
	at := place{}.key("limits")
	l := v.config.Limits
	v.number(at.key("clients").path, l.Clients, maxClients)
	v.limit(at.key("clients_per_ip").path, *ptrOr(l.ClientsPerIP, 0), maxClients)
	v.limit(at.key("opens_per_ip").path, *ptrOr(l.OpensPerIP, 0), maxRatePerIP)
	v.limit(at.key("connects_per_ip").path, *ptrOr(l.ConnectsPerIP, 0), maxRatePerIP)
	v.limit(at.key("requests_per_ip").path, *ptrOr(l.RequestsPerIP, 0), maxRatePerIP)
	v.limit(at.key("idle_per_ip").path, *ptrOr(l.IdlePerIP, 0), maxClients)
	v.number(at.key("topics").path, l.Topics, maxTopics)
	v.number(at.key("idle_topics").path, l.IdleTopics, maxTopics)
	v.size(at.key("replay_bytes").path, l.ReplayBytes, maxReplay)
	v.size(at.key("pending_bytes").path, l.PendingBytes, maxReplay)
	v.number(at.key("catchups").path, l.Catchups, maxCatchups)
	v.size(at.key("request_bytes").path, l.RequestBytes, maxRequest)
	v.size(at.key("message_bytes").path, l.MessageBytes, maxMessage)
	v.pending(at)
}

// requestsPending is the minimum number of largest requests that fit into limits.pending_bytes. Half of
// it is for requests, and reading one may take four times request_bytes: its head, its body, and the
// growing buffer of the body.
const requestsPending = 8

// pending checks that the limit admits a single large request, which would otherwise always be shed.
func (v *validator) pending(at place) {
	l := v.config.Limits
	pending, request := or(l.PendingBytes, defaultPending), or(l.RequestBytes, defaultRequest)
	path := at.key("pending_bytes").path
	switch {
	case request > maxRequest, pending >= requestsPending*request, v.refused(path), v.refused(at.key("request_bytes").path):
	case l.PendingBytes == 0:
		v.errorf(at.key("request_bytes").path, "needs pending_bytes of at least %s, %d times as much; write it, too", requestsPending*request, requestsPending)
	case pending >= KiB:
		v.errorf(path, "must be at least %s, %d times request_bytes", requestsPending*request, requestsPending)
	}
}

func (v *validator) drain() {
	at := place{}.key("drain")
	v.span(at.key("delay").path, v.config.Drain.Delay, hour)
	v.span(at.key("grace").path, v.config.Drain.Grace, hour)
}

// addresses checks listen and admin, and that they do not conflict.
func (v *validator) addresses() {
	listen, listenOK := v.address(place{}.key("listen"), v.config.Listen, defaultListen)
	given := *ptrOr(v.config.Admin, defaultAdmin)
	if given == "" {
		return
	}
	admin, adminOK := v.address(place{}.key("admin"), given, defaultAdmin)
	if listenOK && adminOK && sameListener(listen, admin) {
		path, other := "admin", "listen"
		if given == defaultAdmin { // only listen was written
			path, other = other, path
		}
		v.errorf(path, "asks for the same address as %s; change the %s of one", other,
			map[string]string{"tcp": "port", "unix": "path"}[admin.Network])
	}
}

// address checks a listener's address; empty means the default.
func (v *validator) address(at place, text, byDefault string) (Address, bool) {
	if v.omitted(at.path, text == "") {
		text = byDefault
	}
	address, err := ParseAddress(text)
	if err == nil {
		return address, true
	}
	if errors.Is(err, errHostPort) {
		_, port, _ := net.SplitHostPort(byDefault)
		none := ""
		if at.pattern == "admin" {
			none = `, or "" for none`
		}
		v.errorf(at.path, `%v, such as %s, or ":%s" for every address%s`, err, byDefault, port, none)
	} else {
		v.errorf(at.path, "%v", err)
	}
	return Address{}, false
}

// serverTLS checks the TLS of the public listener.
func (v *validator) serverTLS() {
	at := place{}.key("tls")
	t := v.config.TLS
	if t == nil {
		return
	}
	for _, f := range []struct{ key, value, what string }{
		{"cert", t.Cert, "the PEM file of the certificate"}, {"key", t.Key, "the PEM file of the certificate's key"},
	} {
		if path := at.key(f.key).path; f.value == "" && !v.refused(path) {
			v.errorf(path, "%s is required: %s", f.key, f.what)
		}
	}
	if path := at.key("client_ca").path; t.ClientCA == "" && v.has(path) {
		v.errorf(path, "must not be empty; leave the key out if callers need no certificate")
	}
}

// trustedProxies checks networks filled in Go.
func (v *validator) trustedProxies() {
	at := place{}.key("trusted_proxies")
	for i, prefix := range v.config.TrustedProxies {
		if path := at.index(i).path; !prefix.IsValid() && !v.refused(path) {
			v.errorf(path, "%v", errPrefix)
		}
	}
}
