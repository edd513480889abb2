// Package transcode is stage 3 of the bridge: it turns the wire bytes of one protobuf message, whose type is known only
// at run time, into canonical proto3 JSON, and reads the values that become the event's id, name and data. There is no
// message in between: what the bytes say is appended as they are read.
//
// It works in phases:
//
//  1. [Compile] checks a message type and the tapped field paths once and gives a [Plan]: a flat table for each type that
//     can be reached, with what each tag prints as (program.go, compiler.go; ops.go is the table of op-codes). What is
//     wrong with a configuration is found here, never at the first message.
//  2. [Plan.AppendJSON] and [Plan.AppendTapped] run for each message. The first pass takes the bytes as they come, and
//     allocates nothing (fields.go). Types whose fields are not declared in the order that serializers write them in are
//     printed as they come and put right afterwards (loose.go).
//  3. A message whose fields are out of order, repeated or split makes the first pass give up. The orderly pass sorts the
//     fields of each message level by their tags and prints them from where they are; parts of a split field are put
//     together first, by the rules of merging (settle.go), and what is left out is checked as decoding would have
//     (check.go). It comes once, for the whole message: giving up level by level could double the
//     work at each.
//  4. What neither pass does (extensions, MessageSets, map entries that the library panics on), and errors, go to
//     dynamicpb and protojson under recover (library.go). So no message is refused that protojson would print. [Stats]
//     counts what takes these ways.
//
// The reference is protojson on dynamicpb, byte for byte but for its random blanks. Tests compare with it on random
// messages of random schemas, fuzzers on everything else, and `make conformance` runs the official suite.
//
// A plan is immutable but for what it remembers of types inside google.protobuf.Any, and is shared by goroutines. It
// belongs to the schema it was compiled from: the bridge compiles one for each route and schema, and so nothing here
// caches plans or notices that a schema has changed.
//
// What a backend sends is hostile until shown otherwise: nesting, the size of the JSON, and how often bytes may be moved
// are bounded, a panic of the protobuf library becomes an [*Error], and no error text carries bytes of the message.
//
// The package knows descriptors. It does not know gRPC, and it does not know SSE: names and ids are handed on as the
// message has them, and making them fit for a frame is the next stage's work.
package transcode
