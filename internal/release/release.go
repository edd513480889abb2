// Package release knows which version a build was released as. It knows nothing of what was
// built.
package release

// version is set by the linker; scripts/ldflags.sh has the flag.
var version string

// Version returns the version of a release, "" of any other build.
func Version() string { return version }
