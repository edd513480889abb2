// Package topic is stage 6 of the bridge: one RPC, one log, and all of its clients.
//
// A topic's pump reads one Source into one log, through a Renderer that makes
// the frames. Clients whose requests a backend could not tell apart share a
// topic; they hold a Subscription, and read the log at their own pace.
//
//	Source ──▶ pump ──▶ Renderer ──▶ replay.Log ◀── Subscription (a position)
//
// The life of a topic:
//
//	Opening ──▶ Live ──▶ Finished      the RPC ended: a last frame, then the log is closed
//	   ▲  │      │
//	   │  └──────┴────▶ Broken         it failed: clients are told to come back
//	   └───────────────────┘           and the first to do so starts the pump again
//
// A topic starts with its first client, lingers after its last one, and ends
// by lingering out, or earlier where a newer one needs its place.
//
// The package knows neither protobuf nor sockets, nor what a frame says.
package topic
