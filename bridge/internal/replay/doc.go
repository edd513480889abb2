// Package replay is stage 5 of the bridge: the log, a bounded, append-only
// sequence of rendered frames.
//
// The log is the only buffer of a topic. A client is a position in it: the
// number of frames it has got. Replay is a position further back, live is the
// head, and both read the same way, so there is no hand-over between them.
//
// Frames are copied once, into segments that are never written again below
// their length and never moved; readers get slices of them and may keep these
// for as long as they like, whatever the log drops meanwhile.
//
// The package does not know what a frame says, where it comes from, or where
// it goes.
package replay
