// Package ssetest holds the strict SSE client that tests of ssebridge, and of programs that embed it, look through.
//
// It has three parts, each usable alone:
//
//  1. [Parser] reads any event stream as the WHATWG standard has it, forgiving what the standard forgives.
//  2. [Reader] is a Parser that forgives nothing: each byte that ssebridge's own wire contract does not allow is a
//     [*Violation], also where every browser would get along.
//  3. [Client] keeps a connection as a browser's EventSource does, with its Last-Event-ID, but reconnects only when told,
//     records all it sees, and fails the test on a violation. [CutTransport] cuts connections at an exact byte.
//
// It serves tests only and imports nothing of the bridge, so that the bridge cannot agree with itself by mistake.
//
// The standard: https://html.spec.whatwg.org/multipage/server-sent-events.html
package ssetest
