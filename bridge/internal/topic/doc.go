// Package topic is stage 6 of the bridge: one RPC, one log, and all of its clients.
//
// A topic's pump reads one Source into one log, through a Renderer that makes the frames. Clients
// whose requests a backend cannot tell apart share a topic. Each has a Subscription, and reads the
// log at its own pace.
//
//	Source ──▶ pump ──▶ Renderer ──▶ replay.Log ◀── Subscription (a position)
//
// The life of a topic:
//
//	Opening ──▶ Live ──▶ Finished      the RPC ended: a last frame, then the log is closed
//	   ▲  │      │
//	   │  └──────┴────▶ Broken         it failed: clients are asked to reconnect
//	   └───────────────────┘           and the first one starts the pump again
//
// A topic starts with its first client, lingers after its last one, and ends when it has lingered,
// or earlier if a newer one needs its place.
//
// Where to read: placement.go has the rules by which a client gets its log; meet.go, those by which
// logs merge; retain.go and part.go, how a pump waits for slow clients and how these are parted;
// slots.go, how many catch-ups replay at once; idle.go, relief.go and intake.go, how memory is
// bounded; pump.go, the life of an RPC.
//
// The package knows neither protobuf nor sockets, nor the content of a frame.
package topic
