// Package ssetest is a strict SSE client for the tests of ssebridge and of programs that embed it.
//
// It has three parts, each usable alone:
//
//  1. [Parser] reads any event stream by the WHATWG standard, and tolerates everything that the
//     standard tolerates.
//  2. [Reader] is a Parser that tolerates nothing: each byte that ssebridge's own wire contract does
//     not allow is a [*Violation], even if every browser accepts it.
//  3. [Client] keeps a connection like a browser's EventSource, with its Last-Event-ID, but
//     reconnects only on request, records all it sees, and fails the test on a violation. [CutTransport]
//     cuts connections at an exact byte.
//
// It is for tests only and imports nothing of the bridge, so that the bridge cannot agree with itself
// by mistake.
//
// The standard: https://html.spec.whatwg.org/multipage/server-sent-events.html
package ssetest
