package config

import (
	"maps"
	"slices"
	"strings"
)

// route checks one route.
func (v *validator) route(r *Route, at place) {
	v.path(at.key("path").path, r.Path)
	v.methods(r.Methods, at.key("methods"))
	v.safe(r, at.key("safe"))
	v.rpc(at.key("rpc").path, r.RPC)
	v.reference(at.key("upstream").path, r.Upstream)
	v.routeAuth(r, at.key("auth"))
	v.cors(r.CORS, at.key("cors"))
	v.request(r, at.key("request"))
	v.event(r.Event, at.key("event"))
	v.resume(r, at)
	v.reconnect(r.Reconnect, v.config.reconnectOf(r.Upstream), "taken from the upstream", at.key("reconnect"))
	v.enum(at.key("join"), r.Join)
	v.replay(r.Replay, at.key("replay"))
	v.enum(at.key("slow_client"), r.SlowClient)
	v.duration(at.key("write_timeout").path, r.WriteTimeout, least, hour)
	v.enum(at.key("on_complete"), r.OnComplete)
	v.enum(at.key("on_bad_message"), r.OnBadMessage)
	v.span(at.key("open_grace").path, r.OpenGrace, seconds(60))
	v.heartbeat(r.Heartbeat, at.key("heartbeat"))
	v.duration(at.key("retry").path, r.Retry, least, hour)
	if r.IdleTimeout != 0 && (r.IdleTimeout < 100*least || r.IdleTimeout > month) {
		v.errorf(at.key("idle_timeout").path, "must be 0s, which is off, or from %s to %s", 100*least, month)
	}
	if r.MaxAge != 0 && (r.MaxAge < 100*least || r.MaxAge > month) {
		v.errorf(at.key("max_age").path, "must be 0s, which is unlimited, or from %s to %s", 100*least, month)
	}
	v.trailers(r.Trailers, at.key("trailers"))
	v.done(at.key("done").path, r.Done)
	v.duration(at.key("timeout").path, r.Timeout, least, hour)
	v.noEffects(r, at)
}

func (v *validator) path(path, template string) {
	const most = 1024
	switch {
	case template == "":
		v.errorf(path, "path is required, such as /rooms/{room_id}/events")
	case !strings.HasPrefix(template, "/"):
		v.errorf(path, "must begin with /")
	case len(template) > most:
		v.errorf(path, "must be at most %d bytes", most)
	case strings.ContainsAny(template, "?#"):
		v.errorf(path, "must not hold ? or #: a path has no query; request.query says what a query may set")
	case colonVariable(template) != "":
		v.errorf(path, "variables are written {%s}", colonVariable(template))
	case strings.ContainsRune(template, ' ') || !isPrintable(template):
		v.errorf(path, "must not hold spaces or control characters")
	}
}

// colonVariable returns the name of a variable in the syntax of other routers, /orders/:id or
// /orders/<id>, or "". A colon within a segment begins a verb.
func colonVariable(template string) string {
	for segment := range strings.SplitSeq(template, "/") {
		name, isColon := strings.CutPrefix(segment, ":")
		if !isColon {
			name = strings.TrimSuffix(strings.TrimPrefix(segment, "<"), ">")
			isColon = len(name) == len(segment)-2
		}
		if isColon && isDotted(name) {
			return name
		}
	}
	return ""
}

func (v *validator) methods(methods []string, at place) {
	if len(methods) == 0 && v.has(at.path) {
		v.errorf(at.path, "must name GET, POST or both; leave the key out for GET")
	}
	for i, method := range methods {
		path := at.index(i).path
		upper := strings.ToUpper(method)
		switch {
		case upper != "GET" && upper != "POST":
			v.errorf(path, "must be GET or POST")
		case slices.IndexFunc(methods, func(m string) bool { return strings.EqualFold(m, method) }) < i:
			v.errorf(path, "%s is listed twice; remove one", upper)
		}
	}
}

// safe checks that safe is written only if GET is allowed.
func (v *validator) safe(r *Route, at place) {
	gets := len(r.Methods) == 0 || slices.ContainsFunc(r.Methods, func(m string) bool { return strings.EqualFold(m, "GET") })
	if !gets && v.isWritten(at.path, r.Safe) {
		v.errorf(at.path, "safe has no effect where methods does not name GET; remove it, or write methods: [GET]")
	}
}

func (v *validator) rpc(path, rpc string) {
	const form = "package.Service/Method, such as grpc.health.v1.Health/Watch"
	service, method, _ := strings.Cut(rpc, "/")
	switch {
	case rpc == "":
		v.errorf(path, "rpc is required: %s", form)
	case strings.HasPrefix(rpc, "/"):
		v.errorf(path, "must be %s, without a / before it", form)
	case !isDotted(service) || !isIdentifier(method):
		v.errorf(path, "must be %s", form)
	}
}

// reference checks that a route's upstream exists.
func (v *validator) reference(path, name string) {
	names := slices.Collect(maps.Keys(v.config.Upstreams))
	switch _, known := v.config.Upstreams[name]; {
	case name == "":
		v.errorf(path, "upstream is required: the name of one of upstreams")
	case !known && len(names) > 0:
		v.errorf(path, "there is no upstream of this name%s", didYouMean(name, names))
	}
}

func (v *validator) replay(r Replay, at place) {
	v.number(at.key("events").path, r.Events, maxEvents)
	v.size(at.key("bytes").path, r.Bytes, maxLogBytes)
	v.duration(at.key("age").path, r.Age, least, month)
	v.span(at.key("linger").path, r.Linger, month)
}

func (v *validator) heartbeat(h Heartbeat, at place) {
	every := at.key("every").path
	if h.Every != nil && *h.Every != 0 && (*h.Every < 100*least || *h.Every > hour) {
		v.errorf(every, "must be 0s, which is off, or from %s to %s", 100*least, hour)
	}
	v.enum(at.key("as"), h.As)
	off := h.Every != nil && *h.Every == 0 && !v.refused(every)
	if as := at.key("as").path; off && v.isWritten(as, h.As != "" && h.As != HeartbeatComment) {
		v.noEffect(as, "heartbeat.as", "heartbeat.every: 0s")
	}
}

func (v *validator) trailers(names []string, at place) {
	for i, name := range names {
		path := at.index(i).path
		switch wrong := badMetadataName(name); {
		case wrong != "":
			v.errorf(path, "%s", wrong)
		case strings.HasSuffix(strings.ToLower(name), "-bin"):
			v.errorf(path, "a binary trailer (-bin) cannot be shown as a string; remove it")
		case slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) < i:
			first := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
			v.errorf(path, "the same as %s; remove one of them", at.index(first).path)
		}
	}
}

func (v *validator) done(path, done string) {
	const most = 1024
	switch {
	case strings.ContainsAny(done, "\r\n\x00"):
		v.errorf(path, "must be one line")
	case len(done) > most:
		v.errorf(path, "must be at most %d bytes", most)
	}
}

// noEffects reports the keys of a route that have no effect because of its other keys.
func (v *validator) noEffects(r *Route, at place) {
	path := func(key string) string { return at.key(key).path }
	if !r.Share && !v.refused(path("share")) {
		v.noEffectsUnshared(r, at)
	}
	if r.Join == JoinOwn && r.Share && (v.lacksResume(r, at) || v.lacksID(r, at)) {
		v.errorf(path("join"), "join: own needs event.id and resume, by which a client's own stream merges into the shared one")
	}
	if r.OnComplete == OnCompleteReopen && r.Done != "" {
		v.noEffect(path("done"), "done", "on_complete: reopen, which never ends")
	}
}

// noEffectsUnshared reports the keys that have an effect only if clients share an RPC.
func (v *validator) noEffectsUnshared(r *Route, at place) {
	without := func(path, key, why, fix string) {
		v.errorf(path, "%s has no effect without share: true, %s; %s", key, why, fix)
	}
	const remove = "add share: true, or remove it"
	named := func(pattern, value string) bool { return slices.Contains(allowedValues(pattern), value) }
	if join := at.key("join").path; named("routes[].join", r.Join) && v.isWritten(join, r.Join != JoinLive) {
		without(join, "join", "as each client has an RPC of its own, from its first message", remove)
	}
	if slow := at.key("slow_client").path; named("routes[].slow_client", r.SlowClient) && v.isWritten(slow, r.SlowClient != SlowClientDisconnect) {
		without(slow, "slow_client", "as the backend is slowed down and nothing is dropped", remove)
	}
	if r.Event.ID != nil && isFieldPath(*r.Event.ID) && v.lacksResume(r, at) {
		without(at.key("event").key("id").path, "event.id", "as a client resumes from its own RPC, by the bridge's numbers",
			"add share: true, or resume, or remove it")
	}
	linger := at.key("replay").key("linger").path
	if r.Event.ID != nil && *r.Event.ID == "" && v.isWritten(linger, r.Replay.Linger != nil && *r.Replay.Linger != seconds(30)) {
		without(linger, "replay.linger", `where event.id is "", as the RPC ends with its client`, remove)
	}
}
