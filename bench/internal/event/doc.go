// Package event is what the benchmarks send: a message of about 290 bytes of
// JSON that says when it was sent and which one of its stream it is.
//
// Every contender sends the same bytes. Those with a gRPC backend get them as
// an ssebridge.test.v1.FeedEvent, whose proto3 JSON is what AppendJSON writes;
// the others call AppendJSON themselves.
//
// The place and the moment stand behind a mark that occurs nowhere else, so that
// a load generator finds them without a JSON parser: see Parser.
package event
