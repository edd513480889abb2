// Package delivery is stage 7 of the bridge: clients, each a position in a
// log, and the bytes that bring them to its head.
//
// It writes what a log holds after a client's position, keeps silent
// connections alive, gives up on sockets that take nothing, and asks clients
// to come back when their stream is too old or the bridge is to stop. It
// writes whole frames only, so that a block of a client's own may stand
// between any two.
//
// It knows neither protobuf nor gRPC; the blocks that it writes are handed in.
package delivery
