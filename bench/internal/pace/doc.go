// Package pace says when a stream's next event is sent: at a fixed rate, as fast
// as the stream is read, or as fast as the slowest client got those before.
//
// The last is what saturates a server that shares one stream among many
// clients: none of them slows its stream down for a client, so the pace has
// to. The load generator tells, over a connection of its own, which event has
// reached all of its clients, and at most a few events more are on their way
// (Window).
package pace
