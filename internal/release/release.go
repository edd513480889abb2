// Package release has the version that a build was released as.
package release

// version is set by the linker; scripts/ldflags.sh has the flag.
var version string

// Version returns the version of a release, "" of any other build.
func Version() string { return version }
