// Package footprint measures what the bridge takes as a sidecar: its binary, its memory when idle, and the
// time until it is ready. Size and memory are held whenever the tests run; the time by
// `make footprint` alone, on a machine that does nothing else.
package footprint
