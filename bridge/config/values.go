package config

// The values of enumerated keys.
const (
	ProtocolGRPC = "grpc"

	AuthNone = "none"

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
	case "routes[].auth":
		return []string{AuthNone}
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
