// Package logqueue writes a log whose writes may block, without blocking its callers.
//
// A log's reader may stall: Docker's blocking driver, a stuck journald, Ctrl-S on a
// terminal. A write to its pipe then blocks, and a slog handler holds its lock during the write, so
// every other goroutine that logs blocks as well. A [Queue] decouples the callers from the log.
// Putting a line never blocks. One goroutine writes the lines, and exists only while there are
// some. The queue is bounded: it drops and counts a line that finds no room, and reports the
// number once the log accepts lines again.
//
// The package knows neither the content of a line nor the destination of the log.
package logqueue
