// Package embedded holds the bridge as a command against the bridge as a library: the
// same configurations, backends and faults, and the same answers.
package embedded
