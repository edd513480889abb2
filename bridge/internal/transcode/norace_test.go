//go:build !race

package transcode

const (
	// raceEnabled says that a pool gives things back at random, and that allocations mean nothing.
	raceEnabled = false
	// hostileSize is how large hostile messages are.
	hostileSize = 64 << 20
)
