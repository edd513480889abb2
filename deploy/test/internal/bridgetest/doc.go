// Package bridgetest builds the real command once for all tests of a package, and runs it.
//
// It imports nothing of the bridge's: what is tested is the binary that is deployed.
package bridgetest
