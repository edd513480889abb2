// What the bridge is compared with, each a program of its own. In a module of
// its own for what they depend on.
module github.com/ssebridge/ssebridge/bench/comparators

go 1.26.8

replace (
	github.com/ssebridge/ssebridge => ../../
	github.com/ssebridge/ssebridge/bench => ../
)

require (
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.31.0
	github.com/ssebridge/ssebridge v0.0.0
	github.com/ssebridge/ssebridge/bench v0.0.0
	github.com/tmaxmax/go-sse v0.11.0
	golang.org/x/sys v0.48.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20260921155816-b14227669459 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260918162117-cecb64721679 // indirect
)
