// Package delivery is stage 7 of the bridge: it writes to clients. A client is a position in a log, and
// delivery sends it the frames after that position, until it is at the head, and then each new frame.
//
// It also sends heartbeats, ends streams whose socket takes nothing, and asks clients to reconnect when
// a stream reaches its maximum age or the bridge drains. It writes whole frames, so that a block of the
// client's own, such as a heartbeat, is always between two frames.
//
// The parts, from the decision to the socket:
//
//   - A session decides for one client which blocks come next. It knows no socket and never blocks.
//   - An encoder turns blocks into the bytes of a connection: plain or gzip, with or without chunks.
//   - A writer takes steps from the session, and writes them: a step is the blocks to write next. Most
//     HTTP/1.1 connections on Linux share one writer, the shard, with one goroutine for all of them. Every
//     other connection has a Stream, with a goroutine of its own.
//   - Within the shard, a member is a client with its socket, and a group is the members that read the
//     same log. When a log grows, the shard makes a round through its group.
//
// Package delivery knows neither protobuf nor gRPC: Source, Follower and Blocks connect it to topics and
// to the wire format.
package delivery
