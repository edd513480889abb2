// Package release holds the version of a released build.
package release

// version is set by the linker; scripts/ldflags.sh has the flag.
var version string

// Version returns the version of a release, "" for any other build.
func Version() string { return version }
