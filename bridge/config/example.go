package config

// exampleOf returns an example value for an error about a key's form: a mapping or a list in YAML, or
// "" if none helps.
func exampleOf(pattern string) string {
	switch pattern {
	case "tls":
		return "{cert: tls.crt, key: tls.key}"
	case "cors", "routes[].cors":
		return `{origins: ["https://app.example.com"]}`
	case "cors.origins", "routes[].cors.origins":
		return `["https://app.example.com", "https://*.example.com"]`
	case "cors.headers", "routes[].cors.headers", "cors.expose", "routes[].cors.expose":
		return "[x-tenant]"
	case "auth":
		return "{jwt: {issuer: https://id.example.com, audience: [events]}}"
	case "auth.jwt", "auth.jwt[]":
		return "{issuer: https://id.example.com, audience: [events]}"
	case "auth.jwt[].audience":
		return "[https://events.example.com]"
	case "auth.jwt[].algorithms":
		return "[RS256]"
	case "auth.jwt[].from":
		return `[header, "cookie:session"]`
	case "auth.jwt[].key":
		return "[sub]"
	case "auth.jwt[].refresh":
		return "{every: 15m}"
	case "routes[].auth.allow":
		return `[{claim: scope, has: "orders:read"}]`
	case "routes[].auth.allow[]":
		return `{claim: scope, has: "orders:read"}`
	case "routes[].request.claims":
		return "{sub: user_id}"
	case "limits":
		return "{clients: 10000}"
	case "drain":
		return "{delay: 5s, grace: 25s}"
	case "upstreams":
		return "{app: {target: 127.0.0.1:50051}}"
	case "upstreams.*":
		return "{target: 127.0.0.1:50051}"
	case "upstreams.*.tls":
		return "{} or {ca: roots.pem}"
	case "upstreams.*.metadata":
		return "{x-bridge: name}"
	case "upstreams.*.schema.proto":
		return "{files: [app.proto]}"
	case "upstreams.*.reconnect", "routes[].reconnect":
		return "{codes: [UNAVAILABLE]}"
	case "routes", "routes[]":
		return "{path: /clock, rpc: package.Service/Method, upstream: app}"
	case "routes[].methods":
		return "[GET, POST]"
	case "routes[].request":
		return "{query: true}"
	case "routes[].request.set", "routes[].resume.set":
		return "{limit: 50}"
	case "routes[].request.headers":
		return "{x-user: user_id}"
	case "routes[].request.metadata":
		return "[authorization]"
	case "routes[].request.ignore":
		return `[_ts, "utm_*"]`
	case "routes[].event":
		return "{id: seq}"
	case "routes[].event.data":
		return "{field: note} or {oneof: body}"
	case "routes[].resume":
		return "{field: after_seq}"
	case "routes[].resume.expired":
		return "{codes: [OUT_OF_RANGE]}"
	case "routes[].replay":
		return "{events: 1024, linger: 30s}"
	case "routes[].heartbeat":
		return "{every: 15s}"
	case "upstreams.*.reconnect.codes", "routes[].reconnect.codes", "routes[].resume.expired.codes":
		return "[UNAVAILABLE]"
	default:
		return ""
	}
}

// mustBe returns the message for a value of the wrong form. what describes the expected form, other is
// the actual kind.
func mustBe(what, pattern string, other kind) string {
	if example := exampleOf(pattern); example != "" {
		what += ", such as " + example
	}
	return "must be " + what + ", not " + other.String()
}
