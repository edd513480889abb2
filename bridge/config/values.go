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

// allowedValues are what an enumerated key may be, its default first; nil for the keys
// that are not enumerated. Validation and the JSON Schema both go by it.
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

// renamedValue returns what a value that an earlier release took is written as now, or "".
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

// codeNames are the names of gRPC's codes, but for OK, which is no failure.
func codeNames() []string {
	return []string{
		"CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED",
	}
}
