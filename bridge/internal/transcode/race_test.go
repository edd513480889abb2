//go:build race

package transcode

const (
	// raceEnabled says that a pool gives things back at random, and that allocations mean nothing.
	raceEnabled = true
	// hostileSize is how large hostile messages are. The detector makes each byte cost fifty times as much.
	hostileSize = 8 << 20
)
