package main

// allowedImports is the whole import graph of the module: each package and what it
// may import of this module, both without the module's path. It is what keeps a
// stage from knowing what is none of its business, so a new line wants a reason.
// Packages whose names end in "test" serve tests only and stand outside, as
// importers; nothing here may import them.
//
//nolint:gochecknoglobals // a table
var allowedImports = map[string][]string{
	"bridge": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/auth",
		"bridge/internal/configerr",
		"bridge/internal/delivery",
		"bridge/internal/failure",
		"bridge/internal/observe",
		"bridge/internal/reason",
		"bridge/internal/route",
		"bridge/internal/serve",
		"bridge/internal/site",
		"bridge/internal/source",
		"bridge/internal/sse",
		"bridge/internal/topic",
		"internal/logqueue",
		"internal/pause",
		"upstream",
	},
	"bridge/config": {"internal/nearest", "internal/regular"},
	"bridge/internal/admit": {
		"bridge/config",
		"bridge/internal/peer",
		"bridge/internal/reason",
		"internal/address",
	},
	"bridge/internal/auth":      {},
	"bridge/internal/configerr": {"bridge/config"},
	"bridge/internal/cors":      {},
	"bridge/internal/deflate":   {},
	"bridge/internal/delivery": {
		"bridge/internal/deflate",
		"bridge/internal/reason",
		"bridge/internal/replay",
		"bridge/internal/tally",
		"internal/acked",
		"internal/pause",
	},
	"bridge/internal/failure": {
		"bridge/internal/route",
		"bridge/internal/transcode",
		"internal/printable",
		"upstream",
	},
	"bridge/internal/observe": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/auth",
		"bridge/internal/delivery",
		"bridge/internal/failure",
		"bridge/internal/peer",
		"bridge/internal/reason",
		"bridge/internal/tally",
		"bridge/internal/topic",
		"bridge/internal/transcode",
		"internal/logqueue",
		"internal/printable",
		"internal/release",
		"upstream",
	},
	"bridge/internal/peer":   {"internal/address"},
	"bridge/internal/reason": {},
	"bridge/internal/replay": {"bridge/internal/deflate", "bridge/internal/reason"},
	"bridge/internal/route":  {"internal/nearest", "internal/printable"},
	"bridge/internal/serve": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/auth",
		"bridge/internal/cors",
		"bridge/internal/delivery",
		"bridge/internal/failure",
		"bridge/internal/observe",
		"bridge/internal/peer",
		"bridge/internal/reason",
		"bridge/internal/replay",
		"bridge/internal/route",
		"bridge/internal/site",
		"bridge/internal/source",
		"bridge/internal/sse",
		"bridge/internal/topic",
		"bridge/internal/transcode",
		"internal/printable",
		"upstream",
	},
	"bridge/internal/site": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/auth",
		"bridge/internal/configerr",
		"bridge/internal/cors",
		"bridge/internal/delivery",
		"bridge/internal/failure",
		"bridge/internal/observe",
		"bridge/internal/reason",
		"bridge/internal/route",
		"bridge/internal/sse",
		"bridge/internal/tokens",
		"bridge/internal/topic",
		"bridge/internal/transcode",
		"upstream",
	},
	"bridge/internal/source": {
		"bridge/config",
		"bridge/internal/admit",
		"bridge/internal/failure",
		"bridge/internal/observe",
		"bridge/internal/reason",
		"bridge/internal/replay",
		"bridge/internal/route",
		"bridge/internal/site",
		"bridge/internal/sse",
		"bridge/internal/topic",
		"bridge/internal/transcode",
		"internal/printable",
		"upstream",
	},
	"bridge/internal/sse":    {"bridge/internal/reason"},
	"bridge/internal/tally":  {},
	"bridge/internal/tokens": {"bridge/internal/auth", "internal/pause", "internal/printable", "internal/regular"},
	"bridge/internal/topic": {
		"bridge/internal/reason",
		"bridge/internal/replay",
		"bridge/internal/tally",
		"internal/pause",
	},
	"bridge/internal/transcode": {"internal/nearest"},
	"cmd/ssebridge":             {"cmd/ssebridge/internal/cli"},
	"cmd/ssebridge/internal/cli": {
		"bridge",
		"bridge/config",
		"cmd/ssebridge/internal/demo",
		"cmd/ssebridge/internal/listen",
		"cmd/ssebridge/internal/watch",
		"internal/logqueue",
		"internal/regular",
		"internal/release",
	},
	"cmd/ssebridge/internal/demo": {
		"bridge",
		"bridge/config",
		"gen/ssebridge/demo/v1",
		"internal/pause",
	},
	"cmd/ssebridge/internal/listen": {
		"bridge/config",
		"internal/acked",
		"internal/address",
		"internal/regular",
	},
	"cmd/ssebridge/internal/watch": {"internal/regular"},
	"gen/ssebridge/demo/v1":        {},
	"gen/ssebridge/test/v1":        {},
	"internal/acked":               {},
	"internal/address":             {},
	"internal/architecture":        {},
	"internal/logqueue":            {},
	"internal/nearest":             {},
	"internal/pause":               {},
	"internal/printable":           {},
	"internal/regular":             {},
	"internal/release":             {},
	"upstream": {
		"internal/nearest",
		"internal/pause",
		"internal/printable",
		"internal/regular",
	},
}

// rooms are the packages of a configuration at run time and of the story of a request,
// beside the stages that a message runs through.
//
//nolint:gochecknoglobals // a table
var rooms = map[string]bool{
	"bridge":                    true,
	"bridge/internal/admit":     true,
	"bridge/internal/configerr": true,
	"bridge/internal/failure":   true,
	"bridge/internal/observe":   true,
	"bridge/internal/peer":      true,
	"bridge/internal/reason":    true,
	"bridge/internal/serve":     true,
	"bridge/internal/site":      true,
	"bridge/internal/source":    true,
}

const (
	// assembly is the file that puts the rooms together, and may know all of them.
	assembly = "bridge/bridge.go"
	// mostKnown is how many rooms any other file may know.
	mostKnown = 5
	// mostLines is how many lines a room may have, tests left out.
	mostLines = 2500
	// mostMethods is how many methods a type of a room may have.
	mostMethods = 20
)
