package config

// The values of enumerated keys.
const (
	ProtocolGRPC = "grpc"

	AuthNone     = "none"
	AuthOptional = "optional"
	AuthRequired = "required"

	CursorUnique  = "unique"
	CursorRepeats = "repeats"

	JoinLive = "live"
	JoinHeld = "held"
	JoinOwn  = "own"

	SlowClientDisconnect = "disconnect"
	SlowClientSkip       = "skip"

	OnCompleteEnd    = "end"
	OnCompleteReopen = "reopen"

	OnBadMessageGap  = "gap"
	OnBadMessageStop = "stop"

	HeartbeatComment = "comment"
	HeartbeatEvent   = "event"
)

// allowedValues returns the values of an enumerated key, its default first, or nil for other keys.
// Validation and the JSON Schema use it.
func allowedValues(pattern string) []string {
	switch pattern {
	case "upstreams.*.protocol":
		return []string{ProtocolGRPC}
	case "routes[].auth.mode":
		return []string{AuthNone, AuthOptional, AuthRequired}
	case "auth.jwt[].algorithms[]":
		return append(asymmetric(), symmetric()...)
	case "routes[].event.cursor":
		return []string{CursorUnique, CursorRepeats}
	case "routes[].join":
		return []string{JoinLive, JoinHeld, JoinOwn}
	case "routes[].slow_client":
		return []string{SlowClientDisconnect, SlowClientSkip}
	case "routes[].on_complete":
		return []string{OnCompleteEnd, OnCompleteReopen}
	case "routes[].on_bad_message":
		return []string{OnBadMessageGap, OnBadMessageStop}
	case "routes[].heartbeat.as":
		return []string{HeartbeatComment, HeartbeatEvent}
	default:
		return nil
	}
}

// renamedValue returns the current form of a value from an earlier release, or "".
func renamedValue(pattern, value string) string {
	if pattern != "routes[].share" {
		return ""
	}
	switch value {
	case "auto":
		return "share: true, which lets equal requests share one RPC"
	case "never":
		return "share: false, the default, which gives each client an RPC of its own"
	default:
		return ""
	}
}

// codeNames returns the names of the gRPC codes except OK, which is not a failure.
func codeNames() []string {
	return []string{
		"CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED",
	}
}

// asymmetric returns the algorithms of signatures (RFC 7518, section 3.1; RFC 8037, section 3.1).
func asymmetric() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// symmetric returns the algorithms of HMAC (RFC 7518, section 3.1).
func symmetric() []string { return []string{"HS256", "HS384", "HS512"} }
