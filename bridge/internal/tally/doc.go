// Package tally is counters for what happens in the bridge, made of atomics and
// nothing else: a family of counters by a label, and a histogram of durations.
//
// Stages count with it where things happen, and know neither the reader nor its
// format. It is no registry, has no names, and computes nothing: package bridge
// reads the numbers when it is asked for metrics.
package tally
