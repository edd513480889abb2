// Package sse is stage 4 of the bridge: the grammar of the event stream.
//
// It appends blocks (events, control events, comments) to byte slices, gives
// the frames of a log their ids, and reads the id that a client comes back
// with. It is pure: it knows no protobuf, no gRPC, no sockets and no clock.
//
// The wire vocabulary, LF only, each block closed by an empty line:
//
//	retry: 3012            the first block of a route with ids: a position
//	id: <position>         that a client resumes from even if it saw nothing
//	event: stream-open     else
//	data: {}
//
//	id: <id>               an event; id and data always in the same block
//	event: <name>          left out where there is no name
//	data: {"seq":"7"}
//
//	:                      a heartbeat: one comment line, no empty line
//
// Ids. A log position is <epoch>-<seq>; on routes whose ids are cursors of the
// backend's, "~" is the bridge's own: ~<epoch>-<seq> a position that no cursor
// precedes, <cursor>~n the n-th frame after that cursor, ~0 no id at all, and
// …~sum~end the end of the stream, which a browser is never to come back from.
//
// See https://html.spec.whatwg.org/multipage/server-sent-events.html.
package sse
