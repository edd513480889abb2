// Package transcode is stage 3 of the bridge: it turns the wire bytes of one protobuf message, whose type is known only
// at run time, into canonical proto3 JSON, and reads the values that become the event's id, name and data.
//
// It works in two phases:
//
//  1. [Compile] checks a message type and the tapped field paths once and gives a [Plan]. What is wrong with a
//     configuration is found here, never at the first message.
//  2. [Plan.AppendJSON] and [Plan.AppendTapped] run for each message. A plan is immutable and shared by goroutines;
//     what a call needs for itself lives in its [Tapped].
//
// What a backend sends is hostile until shown otherwise: nesting and the size of the JSON are bounded, a panic of the
// protobuf library becomes an [*Error], and no error text carries bytes of the message.
//
// The package knows descriptors. It does not know gRPC, and it does not know SSE: names and ids are handed on as the
// message has them, and making them fit for a frame is the next stage's work.
package transcode
