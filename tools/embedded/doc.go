// Package embedded compares the bridge as a command with the bridge as a library: the
// same configurations, backends and faults, and the same answers.
package embedded
