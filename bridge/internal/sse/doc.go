// Package sse is stage 4 of the bridge: the grammar of the event stream.
//
// It appends blocks (events, control events, comments) to byte slices, gives the frames of a log their
// ids, and parses the id that a client returns with. It uses neither protobuf nor gRPC, sockets or clocks.
//
// The wire format has LF line ends, and an empty line after each block:
//
//	retry: 3012            the first block of a route with ids; a client that
//	id: <position>         receives nothing else resumes from its id
//	event: stream-open
//	data: {}
//
//	id: <id>               an event; id and data are always in the same block
//	event: <name>          omitted for an event without a name
//	data: {"seq":"7"}
//
//	:                      a heartbeat: one comment line, no empty line
//
// An id is a position in a log, <epoch>-<seq>, or a cursor of the backend. On routes with cursors "~" marks
// what the bridge adds: ~<epoch>-<seq> is a position that no cursor precedes, <cursor>~n the n-th frame
// after the message with that cursor, and ~0 no id. On all routes …~sum~end is the end of the stream, after
// which a browser must not reconnect.
//
// See https://html.spec.whatwg.org/multipage/server-sent-events.html.
package sse
