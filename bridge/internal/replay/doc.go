// Package replay is stage 5 of the bridge: the log, a bounded, append-only
// sequence of rendered frames.
//
// A topic has no other buffer than its log. A client is a position in the log: the number of frames
// that it has received. A client that is being replayed to is at an earlier position, a live client at
// the head, and both read in the same way. So there is no switch from replay to live.
//
// Each frame is copied once, into a segment. Written bytes of a segment never change or move: readers
// get slices of segments and may keep them, even when the log drops the frames.
//
// A log may be retained (Params.Retain): it then keeps every frame until the readers have it, and
// reports with Full when its writer must wait for them.
//
// The package knows neither the content of a frame nor its source or destination.
package replay
