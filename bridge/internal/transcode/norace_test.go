//go:build !race

package transcode

const (
	// raceEnabled reports that pools drop items at random, so that counts of allocations are
	// meaningless.
	raceEnabled = false
	// hostileSize is the size of hostile messages.
	hostileSize = 64 << 20
)
