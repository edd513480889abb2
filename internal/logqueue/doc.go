// Package logqueue writes a log without making its callers wait for it.
//
// A log's reader may stall: Docker's blocking driver, a stuck journald, Ctrl-S on a
// terminal. A write to its pipe then blocks, and a slog handler holds its lock meanwhile, so
// that every goroutine with something to log stops as well. A [Queue] stands between the
// two. Putting a line never blocks; one goroutine writes, and exists only while there are
// lines. The queue is bounded: a line that finds no room is dropped and counted, and once
// the log flows again a line says how many were.
//
// The package knows neither the content of a line nor where the log goes.
package logqueue
