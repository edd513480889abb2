// Package tally has counters for events within the bridge: a family of counters with one label, and a
// histogram of durations. Both are made of atomics.
//
// Stages count with it where events happen. It has no registry, names or formats: package observe reads the
// numbers at a scrape.
package tally
