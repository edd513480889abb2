package config

import (
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

// Bounds of durations: below the least a value is a slip of the unit, above the most
// nothing would ever happen.
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
	// maxMessage keeps the transport's limit, four times higher, within an int32.
	maxMessage  = 256 * MiB
	maxRequest  = 64 * MiB
	maxLogBytes = 16 * GiB
	maxReplay   = 1024 * GiB
)

// Validate says everything that is wrong with c as [Errors], as far as it can be seen
// without a schema; nil is nothing. It takes a Config as written as well as one with
// its defaults. Whether path templates are well formed and apart is for the bridge.
//
// A key that other keys make void is an error. In a Config that was filled in Go a key
// counts as written when its value is not the default; Parse knows what was written.
func (c Config) Validate() error {
	return validate(&c, nil, nil).orNil()
}

// validate checks c. written says whether the file has a key, and failed whether its
// value, or one above it, could not be taken; nil where there is no file.
func validate(c *Config, written, failed func(path string) bool) Errors {
	v := &validator{config: c, written: written, failed: failed}
	v.addresses()
	v.serverTLS()
	v.trustedProxies()
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

// validator collects what is wrong. Its messages hold no values: one may have come from
// the environment and be a secret, and the snippet shows what the file says.
type validator struct {
	config  *Config
	written func(path string) bool
	failed  func(path string) bool
	errs    Errors
}

func (v *validator) errorf(path, format string, args ...any) {
	v.errs = append(v.errs, Errorf(path, format, args...))
}

// errorAtKey is an error about a map's key itself.
func (v *validator) errorAtKey(path, message string) {
	v.errs = append(v.errs, &Error{Path: path, Message: message, atKey: true})
}

// wrote says whether the key at path was written, where that can be known; else
// whether it differs from its default.
func (v *validator) wrote(path string, differs bool) bool {
	if v.written != nil {
		return v.written(path)
	}

	return differs
}

// void refuses the key at path, which the other key of its route makes meaningless.
func (v *validator) void(path, key, other string) {
	v.errorf(path, "%s has no effect with %s; remove one of them", key, other)
}

// has says whether the file has the key at path; never of a Config filled in Go.
func (v *validator) has(path string) bool {
	return v.written != nil && v.written(path)
}

// refused says whether the file's value at path could not be taken, so that its zero
// says nothing.
func (v *validator) refused(path string) bool {
	return v.failed != nil && v.failed(path)
}

// left says whether a value that is zero was left out, so that the default holds.
func (v *validator) left(path string, isZero bool) bool {
	return isZero && !v.has(path)
}

// number checks a number whose zero is its default.
func (v *validator) number(path string, value, most int) {
	if !v.left(path, value == 0) && (value < 1 || value > most) {
		v.errorf(path, "must be from 1 to %d", most)
	}
}

// limit checks a number whose zero is no limit.
func (v *validator) limit(path string, value, most int) {
	if value < 0 || value > most {
		v.errorf(path, "must be from 0, which is no limit, to %d", most)
	}
}

// size checks a size whose zero is its default.
func (v *validator) size(path string, value, most Size) {
	if !v.left(path, value == 0) && (value < KiB || value > most) {
		v.errorf(path, "must be from %s to %s", KiB, most)
	}
}

// duration checks a duration whose zero is its default.
func (v *validator) duration(path string, value, from, most Duration) {
	if !v.left(path, value == 0) && (value < from || value > most) {
		v.errorf(path, "must be from %s to %s", from, most)
	}
}

// span checks a duration that may be zero; nil is its default.
func (v *validator) span(path string, value *Duration, most Duration) {
	if value != nil && (*value < 0 || *value > most) {
		v.errorf(path, "must be from 0s to %s", most)
	}
}

// enum checks a string that has a few allowed values, the empty one being its default.
func (v *validator) enum(at place, value string) {
	allowed := allowedValues(at.pattern)
	switch {
	case v.left(at.path, value == ""), slices.Contains(allowed, value):
	case isUnsupported(at.pattern, value):
		v.errs = append(v.errs, &Error{Path: at.path, Message: unsupportedValue(at.pattern, value)})
	default:
		v.errorf(at.path, "must be %s", oneOf(allowed))
	}
}

// oneOf is a, b or c.
func oneOf(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}

	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// count checks that there is at least one of something, and not absurdly many.
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

// requestsPending is how many of the largest requests limits.pending_bytes has room for
// at least. Half of it is for requests, and one may take four times request_bytes while
// it is read: its head, its body, and the buffer that the body grows in.
const requestsPending = 8

// pending checks that a single large request is not shed for ever.
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

// addresses checks listen and admin, and that they do not ask for the same port.
func (v *validator) addresses() {
	listen, listenOK := v.address(place{}.key("listen"), v.config.Listen, defaultListen)
	given := *ptrOr(v.config.Admin, defaultAdmin)
	if given == "" {
		return
	}
	admin, adminOK := v.address(place{}.key("admin"), given, defaultAdmin)
	if listenOK && adminOK && sameListener(listen, admin) {
		path, other := "admin", "listen"
		if given == defaultAdmin { // listen was chosen, the default of admin was not
			path, other = other, path
		}
		v.errorf(path, "asks for the same address as %s; change the %s of one", other,
			map[string]string{"tcp": "port", "unix": "path"}[admin.Network])
	}
}

// address checks a listener's address, whose empty value is the default.
func (v *validator) address(at place, text, byDefault string) (Address, bool) {
	if v.left(at.path, text == "") {
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

// serverTLS checks how the public listener is secured.
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

// trustedProxies checks networks that were filled in Go.
func (v *validator) trustedProxies() {
	at := place{}.key("trusted_proxies")
	for i, prefix := range v.config.TrustedProxies {
		if path := at.index(i).path; !prefix.IsValid() && !v.refused(path) {
			v.errorf(path, "%v", errPrefix)
		}
	}
}
