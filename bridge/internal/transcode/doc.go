// Package transcode is stage 3 of the bridge: it turns the wire bytes of one protobuf message, whose
// type is known only at run time, into canonical proto3 JSON, and reads the values of the event's id,
// name and data. It builds no message in between: it appends JSON while it reads the bytes.
//
// It works in phases:
//
//  1. [Compile] checks a message type and the tapped field paths once and returns a [Plan]: a flat table for
//     each reachable type, with the JSON form of each tag (program.go, compiler.go; ops.go has the table of
//     op-codes). Compile finds every error of a configuration, so that none waits for the first message.
//  2. [Plan.AppendJSON] and [Plan.AppendTapped] run for each message. The first pass reads the bytes in wire
//     order and allocates nothing (fields.go). If serializers write a type's fields in another order than its
//     declaration, the pass prints them in wire order and rearranges the JSON afterwards (loose.go).
//  3. Fields that are out of order, repeated or split end the first pass. The orderly pass sorts the fields
//     of each message by their tags and prints them from where they are. It first joins the parts of a split
//     field by the rules of merging (settle.go), and checks the replaced parts as decoding would (check.go).
//     It runs once for the whole message, since restarting at each level could double the work per level.
//  4. Extensions, MessageSets, map entries that panic in the library, and errors go to dynamicpb and
//     protojson under recover (library.go). So this package refuses no message that protojson would print.
//     [Stats] counts these messages.
//
// The reference is protojson on dynamicpb, byte for byte except for its random spaces. Tests compare
// with it on random messages of random schemas, fuzzers on everything else, and `make conformance` runs
// the official suite.
//
// A plan is immutable except for its cache of types inside google.protobuf.Any, and safe for concurrent
// use. It belongs to one schema: the bridge compiles a plan for each route and schema, so this package
// neither caches plans nor detects a changed schema.
//
// A backend's messages are treated as hostile. Nesting, the size of the JSON, and the number of bytes
// moved are bounded, a panic of the protobuf library becomes an [*Error], and no error text contains
// bytes of the message.
//
// The package knows descriptors, but neither gRPC nor SSE: it returns names and ids as the message has
// them, and the next stage makes them fit for a frame.
package transcode
