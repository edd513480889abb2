// Fanout measures what sending one stream to many clients costs the bridge, and
// compares it with others in the same run.
//
//	backend ──gRPC──▶ ssebridge serve ──SSE──▶ load, which counts
//	                  floor, naive, go-sse, nchan, grpc-gateway: one at a time, in turn
//
// Each is a process of its own; what a server used is read from /proc. A case is
// rounds of windows: in each round every contender is started, gets its clients,
// is measured and stopped, so that whatever else the machine does it does to all
// of them. What counts is the median of a contender's rounds, and its ratio to
// another's.
//
// README.md in this folder says how to run it.
package main
