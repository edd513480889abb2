//go:build race

package transcode

const (
	// raceEnabled reports that pools drop items at random, so that counts of allocations are
	// meaningless.
	raceEnabled = true
	// hostileSize is the size of hostile messages. The race detector multiplies the cost of a byte by
	// fifty.
	hostileSize = 8 << 20
)
