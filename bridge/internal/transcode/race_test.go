//go:build race

package transcode

// raceEnabled says that a pool gives things back at random, and that allocations mean nothing.
const raceEnabled = true
