// Package procfs reads from Linux what processes have used: their time on a
// processor, their share of memory, their threads and descriptors, and what the
// kernel holds for their sockets.
package procfs
