package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// The default addresses are loopback, so that a bridge without configured addresses is reachable only
// from its machine.
const (
	defaultListen = "127.0.0.1:8080"
	defaultAdmin  = "127.0.0.1:9901"
)

// The defaults of limits that depend on each other.
const (
	defaultPending = 64 * MiB
	defaultRequest = 64 * KiB
)

func (d Drain) withDefaults() Drain {
	if d.Alone {
		d.Delay, d.Grace = ptrOr(d.Delay, seconds(0)), ptrOr(d.Grace, seconds(0))
		return d
	}
	d.Delay, d.Grace = ptrOr(d.Delay, seconds(5)), ptrOr(d.Grace, seconds(25))
	return d
}

// WithDefaults returns c with the defaults of all missing keys. It shares no memory with c. In the
// result every pointer except TLS, Event.ID, Route.Resume, Upstream.Ping, Upstream.TLS and Schema.Proto
// is set, every route has Methods, Request.Body is resolved, and a route's Reconnect includes its
// upstream's.
func (c Config) WithDefaults() Config {
	c.Listen = or(c.Listen, defaultListen)
	c.Admin = ptrOr(c.Admin, defaultAdmin)
	c.TrustedProxies = slices.Clone(c.TrustedProxies)
	c.TLS = clonePtr(c.TLS)
	c.CORS = c.CORS.withDefaults()
	c.Auth = c.Auth.withDefaults()
	c.Limits.Clients = or(c.Limits.Clients, 10000)
	c.Limits.Topics = or(c.Limits.Topics, 10000)
	c.Limits.IdleTopics = or(c.Limits.IdleTopics, 1000)
	c.Limits.ClientsPerIP = ptrOr(c.Limits.ClientsPerIP, 500)
	c.Limits.OpensPerIP = ptrOr(c.Limits.OpensPerIP, 20)
	c.Limits.ConnectsPerIP = ptrOr(c.Limits.ConnectsPerIP, 50)
	c.Limits.RequestsPerIP = ptrOr(c.Limits.RequestsPerIP, 200)
	c.Limits.IdlePerIP = ptrOr(c.Limits.IdlePerIP, 100)
	c.Limits.ReplayBytes = or(c.Limits.ReplayBytes, 256*MiB)
	c.Limits.PendingBytes = or(c.Limits.PendingBytes, defaultPending)
	c.Limits.Catchups = or(c.Limits.Catchups, 256)
	c.Limits.RequestBytes = or(c.Limits.RequestBytes, defaultRequest)
	c.Limits.MessageBytes = or(c.Limits.MessageBytes, 4*MiB)
	c.Drain = c.Drain.withDefaults()

	upstreams := make(map[string]Upstream, len(c.Upstreams))
	for name, u := range c.Upstreams {
		upstreams[name] = u.withDefaults(len(c.Upstreams) == 1)
	}
	c.Upstreams = upstreams

	routes := make([]Route, len(c.Routes))
	for i, r := range c.Routes {
		routes[i] = r.withDefaults(c.reconnectOf(r.Upstream))
		if r.CORS == nil {
			routes[i].CORS = c.CORS
		}
	}
	c.Routes = routes
	return c
}

// withDefaults returns c with its defaults. It shares no memory with c.
func (c *CORS) withDefaults() *CORS {
	if c.Off() {
		return &CORS{}
	}
	return &CORS{
		Origins: slices.Clone(c.Origins), Credentials: c.Credentials, Headers: slices.Clone(c.Headers), Expose: slices.Clone(c.Expose),
		MaxAge: ptrOr(c.MaxAge, seconds(600)),
	}
}

func (a Auth) withDefaults() Auth {
	issuers := make(Issuers, len(a.JWT))
	for n, i := range a.JWT {
		i.Audience = slices.Clone(i.Audience)
		i.Algorithms = slices.Clone(i.Algorithms)
		if len(i.Algorithms) == 0 {
			i.Algorithms = asymmetric()
			if i.Secret != "" {
				i.Algorithms = symmetric()
			}
		}
		i.Leeway = ptrOr(i.Leeway, seconds(30))
		i.Refresh.Every = or(i.Refresh.Every, seconds(15*60))
		i.Refresh.Unknown = or(i.Refresh.Unknown, seconds(30))
		i.From = slices.Clone(i.From)
		if len(i.From) == 0 {
			i.From = []string{"header"}
		}
		i.Key = slices.Clone(i.Key)
		issuers[n] = i
	}
	return Auth{JWT: issuers}
}

func (a RouteAuth) withDefaults() RouteAuth {
	a.Mode = or(a.Mode, AuthNone)
	a.Allow = slices.Clone(a.Allow)
	for i := range a.Allow {
		a.Allow[i].In = slices.Clone(a.Allow[i].In)
	}
	return a
}

// reconnectOf returns the reconnect of an upstream with defaults, or only the defaults if the upstream
// does not exist.
func (c Config) reconnectOf(upstream string) Reconnect {
	return c.Upstreams[upstream].Reconnect.over(defaultReconnect())
}

func defaultReconnect() Reconnect {
	return Reconnect{
		Codes:   []string{"UNAVAILABLE"},
		Initial: Duration(100 * time.Millisecond), Max: seconds(10), Attempts: new(0),
	}
}

// over returns r with its missing keys taken from base. The result shares no memory with either.
func (r *Reconnect) over(base Reconnect) Reconnect {
	whole := Reconnect{Codes: slices.Clone(base.Codes), Initial: base.Initial, Max: base.Max, Attempts: clonePtr(base.Attempts)}
	if r == nil {
		return whole
	}
	if r.Codes != nil {
		whole.Codes = slices.Clone(r.Codes)
	}
	whole.Initial = or(r.Initial, whole.Initial)
	whole.Max = or(r.Max, whole.Max)
	whole.Attempts = ptrOr(r.Attempts, *whole.Attempts)
	return whole
}

// withDefaults returns u with its defaults; only says that it is the only upstream.
func (u Upstream) withDefaults(only bool) Upstream {
	u.Required = ptrOr(u.Required, only)
	u.Protocol = or(u.Protocol, ProtocolGRPC)
	u.TLS = clonePtr(u.TLS)
	u.Metadata = lowerNames(u.Metadata)
	if p := clonePtr(u.Schema.Proto); p != nil {
		p.ImportPaths = slices.Clone(p.ImportPaths)
		if len(p.ImportPaths) == 0 {
			p.ImportPaths = []string{"."}
		}
		p.Files = slices.Clone(p.Files)
		u.Schema.Proto = p
	}
	u.Opens = or(u.Opens, 100)
	u.OpenTimeout = or(u.OpenTimeout, seconds(10))
	if u.Ping = clonePtr(u.Ping); u.Ping != nil {
		u.Ping.Every = or(u.Ping.Every, seconds(30))
		u.Ping.Timeout = or(u.Ping.Timeout, seconds(10))
	}
	u.Keepalive = or(u.Keepalive, seconds(30))
	u.Reconnect = new(u.Reconnect.over(defaultReconnect()))
	return u
}

func (r Route) withDefaults(reconnect Reconnect) Route {
	r.Methods = slices.Clone(r.Methods)
	for i, method := range r.Methods {
		r.Methods[i] = strings.ToUpper(method)
	}
	if len(r.Methods) == 0 {
		r.Methods = []string{"GET"}
	}
	r.Auth = r.Auth.withDefaults()
	r.CORS = r.CORS.withDefaults()
	r.Request = r.Request.withDefaults(slices.Contains(r.Methods, "POST"))
	r.Event.ID = clonePtr(r.Event.ID)
	r.Event.Cursor = or(r.Event.Cursor, CursorUnique)
	r.Resume = r.Resume.withDefaults()
	r.Reconnect = new(r.Reconnect.over(reconnect))
	r.Join = or(r.Join, JoinLive)
	r.Replay.Events = or(r.Replay.Events, 1024)
	r.Replay.Bytes = or(r.Replay.Bytes, 8*MiB)
	r.Replay.Age = or(r.Replay.Age, seconds(600))
	r.Replay.Linger = ptrOr(r.Replay.Linger, seconds(30))
	r.SlowClient = or(r.SlowClient, SlowClientDisconnect)
	r.WriteTimeout = or(r.WriteTimeout, seconds(20))
	r.OnComplete = or(r.OnComplete, OnCompleteEnd)
	r.OnBadMessage = or(r.OnBadMessage, OnBadMessageGap)
	r.OpenGrace = ptrOr(r.OpenGrace, Duration(250*time.Millisecond))
	r.Heartbeat.Every = ptrOr(r.Heartbeat.Every, seconds(15))
	r.Compress = ptrOr(r.Compress, true)
	r.Heartbeat.As = or(r.Heartbeat.As, HeartbeatComment)
	r.Retry = or(r.Retry, seconds(3))
	r.Trailers = slices.Clone(r.Trailers)
	for i, name := range r.Trailers {
		r.Trailers[i] = strings.ToLower(name)
	}
	r.Timeout = or(r.Timeout, seconds(30))
	return r
}

func (r Request) withDefaults(post bool) Request {
	r.Query.Paths = slices.Clone(r.Query.Paths)
	r.Ignore = slices.Clone(r.Ignore)
	body := Fields{All: post}
	if r.Body != nil {
		body = Fields{All: r.Body.All, Paths: slices.Clone(r.Body.Paths)}
	}
	r.Body = &body
	r.Set = cloneSet(r.Set)
	r.Claims = maps.Clone(r.Claims)
	r.Headers = maps.Clone(r.Headers)
	r.Metadata = slices.Clone(r.Metadata)
	for i := range r.Metadata {
		r.Metadata[i].Name = strings.ToLower(r.Metadata[i].Name)
		r.Metadata[i].Key = ptrOr(r.Metadata[i].Key, true)
	}
	return r
}

// withDefaults returns a copy of r with its defaults; nil, for a route without resume, stays nil.
func (r *Resume) withDefaults() *Resume {
	r = clonePtr(r)
	if r == nil {
		return nil
	}
	r.Set = cloneSet(r.Set)
	r.Ordered = ptrOr(r.Ordered, true)
	if r.Expired.Codes == nil {
		r.Expired.Codes = []string{"OUT_OF_RANGE", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
	}
	r.Expired.Codes = slices.Clone(r.Expired.Codes)
	return r
}

// cloneSet copies the constants of a request, normalized to the types of decoded YAML.
func cloneSet(set map[string]any) map[string]any {
	set = maps.Clone(set)
	for key, value := range set {
		set[key], _ = normalConstant(value)
	}
	return set
}

// lowerNames returns a copy of metadata with lower-case names, as gRPC requires.
func lowerNames(metadata map[string]string) map[string]string {
	if metadata == nil {
		return nil
	}
	lower := make(map[string]string, len(metadata))
	for name, value := range metadata {
		lower[strings.ToLower(name)] = value
	}
	return lower
}

// or returns value, or fallback if value is zero.
func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// ptrOr returns a new pointer to a copy of *p, or of fallback if p is nil.
func ptrOr[T any](p *T, fallback T) *T {
	if p == nil {
		return &fallback
	}
	return clonePtr(p)
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

func seconds(n int) Duration { return Duration(time.Duration(n) * time.Second) }
